// How does a replica leave the group, so that nobody takes it for a primary and no Sentinel remembers it? First it follows nowhere,
// then the Sentinels forget it one after the other, then the manager does. It keeps its data, takes no writes, and says what it is.
import { ok, refuse, type Operation, type RedisNodeView, type Refusal, type Result } from '@switchyard/protocol';
import {
  nowhere,
  parseInfo,
  planRefusal,
  removePlan,
  sameAddress,
  type PlanGroup,
  type RemovePlan,
} from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import { forgetNode } from './rebuild-sentinels.ts';
import type { Rebuilds } from './rebuild.ts';
import type { OperationRun } from '../redis-operations.ts';

/** Begins to remove `node`; `confirmed`: what is confirmable does not matter. */
export const beginRemove = async (
  rebuilds: Rebuilds,
  node: RedisNodeView,
  confirmed: boolean,
): Promise<Result<Operation>> => {
  const { tools } = rebuilds;
  const held = await tools.gate.begin(`removing ${node.name}`);
  if (!held.ok) return held;
  const plan = removePlan(node, rebuilds.group());
  const refusal = planRefusal(plan.checks, confirmed);
  if (refusal !== null) {
    held.value.release();
    return { ok: false, error: refusal };
  }
  held.value.holds([plan.node]);
  const begun = tools.operations.begin({
    kind: 'remove-replica',
    subject: `${tools.definition.name}/${node.name}`,
    steps: [...(plan.reachable ? ['detach'] : []), 'forget'],
    work: (run) =>
      remove(rebuilds, plan, run).finally(() => {
        held.value.release();
        tools.wake();
      }),
  });
  if (!begun.ok) held.value.release();
  return begun;
};

const remove = async (
  rebuilds: Rebuilds,
  plan: RemovePlan,
  run: OperationRun,
): Promise<Result<Readonly<Record<string, unknown>>>> => {
  const { node } = plan;
  const { tools } = rebuilds;
  const before = rebuilds.group();
  const { primary } = before.view;
  if (primary === null) return refuse('no_primary', 'there is no primary any more: nothing was done');
  const admin = rebuilds.connect(node);
  try {
    if (plan.reachable) {
      run.step('detach', 'running');
      const info = parseInfo(await admin.info('replication'));
      if (info.role !== 'replica') return refuse('conflict', `${node.name} is no replica any more: nothing was done`);
      await admin.call('REPLICAOF', nowhere.host, nowhere.port);
      run.step('detach', 'done', 'it follows nobody and takes no writes');
    }
    run.step('forget', 'running');
    const forgotten = await forgetNode(tools, {
      node,
      stay: staying(plan, before),
      signal: run.signal,
      recheck: () => recheck(rebuilds, { plan, admin, primary }),
      onProgress: (done, of, detail) => {
        run.step('forget', 'running', detail);
        run.progress(10 + (85 * done) / Math.max(1, of));
      },
    });
    if (!forgotten.ok) {
      run.step('forget', 'failed', forgotten.error.detail);
      const back = plan.reachable ? await comeBack(admin, primary) : 'it was not reachable and stays as it is';
      return { ok: false, error: { ...forgotten.error, why: [back] } };
    }
    run.step('forget', 'done', `in ${String(forgotten.value.tookMs)} ms`);
    tools.observer.drop(node);
    rebuilds.guards.drop(node);
    const restart = plan.reachable ? await keepAway(admin) : unreachableNext;
    return ok({ node: node.name, host: node.host, port: node.port, tookMs: forgotten.value.tookMs, next: restart });
  } finally {
    admin.close();
  }
};

const unreachableNext =
  'it was not reachable: if it is started again with its old configuration, it joins again; take replicaof out of that first';

/** Replicas that the Sentinels must know again: those that the primary lists. */
const staying = ({ node }: RemovePlan, { view, observation }: PlanGroup): readonly RedisNodeView[] =>
  view.nodes.filter((one) => {
    const seen = observation.nodes.find((other) => sameAddress(other, one));
    return (
      one.role === 'replica' &&
      one.state !== 'unreachable' &&
      !sameAddress(one, node) &&
      sameAddress(seen?.info?.follows ?? null, view.primary)
    );
  });

/** A Sentinel that still remembers it lets it follow the primary again after failover-timeout: then it is detached once more. */
const recheck = async (
  rebuilds: Rebuilds,
  work: {
    readonly plan: RemovePlan;
    readonly admin: RedisNodeAdmin;
    readonly primary: { readonly host: string; readonly port: number };
  },
): Promise<Refusal | null> => {
  const { plan, admin, primary } = work;
  const moved = rebuilds.stillLed(primary);
  if (moved !== null || !plan.reachable) return moved;
  const info = await admin.info('replication').then(parseInfo, () => null);
  if (info === null) return null;
  if (info.role === 'primary') {
    return refuse('conflict', `${plan.node.name} was made primary meanwhile`).error;
  }
  if (!sameAddress(info.follows, nowhere)) await admin.call('REPLICAOF', nowhere.host, nowhere.port);
  return null;
};

const comeBack = (admin: RedisNodeAdmin, primary: { readonly host: string; readonly port: number }): Promise<string> =>
  admin.call('REPLICAOF', primary.host, primary.port).then(
    () => 'it follows the primary again: nothing is lost, the Sentinels find it within 10 s',
    (error: unknown) =>
      `it could not be told to follow the primary again: ${error instanceof Error ? error.message : String(error)}`,
  );

/** So that a restart does not bring it back. What is to be done with it now, in words. */
const keepAway = (admin: RedisNodeAdmin): Promise<string> =>
  admin.call('CONFIG', 'REWRITE').then(
    () =>
      'it keeps its data, read-only: SHUTDOWN stops it, REPLICAOF NO ONE makes it a server of its own (a minute from now)',
    () =>
      'its configuration file cannot be written: take replicaof out of it before it is started again, or it joins again; until then it keeps its data, read-only',
  );
