// How is a replica mended whose data is not the primary's? It copies everything anew, and is compared again.
import { ok, refuse, type Operation, type RedisGroupView, type RedisNodeView, type Result } from '@switchyard/protocol';
import { addressKey, parseInfo, sameAddress, type Endpoint } from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { fullResync } from './full-resync.ts';
import type { Group } from '../group.ts';
import type { HeldGate } from '../switchover/operation-gate.ts';
import type { OperationRun } from '../redis-operations.ts';

const copyDeadlineMs = 3_600_000;
const checkDeadlineMs = 3_600_000;
const questionMs = 2_000;

/** What is asked for. */
export interface ResyncOptions {
  readonly group: Group;
  readonly node: string;
  /** Has to be the node's name. */
  readonly confirm: string;
  readonly clock: Clock;
}

/** Begins it; refuses when it is not a replica of this primary, other work is under way, or it was not confirmed. */
export const beginResync = async (options: ResyncOptions): Promise<Result<Operation>> => {
  const { group, node: name, confirm } = options;
  const { tools } = group;
  const picked = pick(group.view(), name);
  if (!picked.ok) return picked;
  if (!tools.manages) {
    return refuse(
      'refused_for_safety',
      `the group ${group.definition.name} is only observed: nothing in it is changed`,
      {
        next: `PUT /v1/redis/groups/${group.definition.name} with "manage": "manage"`,
      },
    );
  }
  if (confirm !== name) {
    return refuse('refused_for_safety', `a resync throws away what ${name} has`, {
      next: `send {"confirm":"${name}"} if that is what you want`,
    });
  }
  const held = await tools.gate.begin(`resync of ${name}`);
  if (!held.ok) return held;
  held.value.holds([picked.value.node]);
  const begun = tools.operations.begin({
    kind: 'resync',
    subject: `${group.definition.name}/${name}`,
    steps: ['copy', 'compare'],
    work: (run) => resync(options, { ...picked.value, held: held.value, run }),
  });
  if (!begun.ok) held.value.release();
  return begun;
};

interface Picked {
  readonly node: RedisNodeView;
  readonly primary: NonNullable<RedisGroupView['primary']>;
}

const pick = (view: RedisGroupView, name: string): Result<Picked> => {
  const node = view.nodes.find((one) => one.name === name);
  if (node === undefined) {
    return refuse('not_found', `there is no node ${name} in the group ${view.name}`, {
      next: `known nodes: ${view.nodes.map((one) => one.name).join(', ')}`,
    });
  }
  const shard = view.shards?.find(({ replicas }) => replicas.some((one) => one.name === name));
  const primary = view.shards === undefined ? view.primary : (shard?.primary ?? null);
  if (primary === null) return refuse('no_primary', `there is no primary that ${name} could copy`);
  if (node.role !== 'replica') return refuse('conflict', `${name} is no replica: it is ${node.role}`);
  if (node.state === 'unreachable') return refuse('conflict', `${name} cannot be reached: ${node.reason ?? ''}`);
  if (view.shards !== undefined) {
    return refuse('not_implemented', 'a node of a Redis Cluster cannot be told to copy anew without leaving it', {
      next: `restart ${name} with an empty directory, or CLUSTER RESET and CLUSTER REPLICATE it`,
    });
  }
  return ok({ node, primary });
};

const resync = async (
  { group, node: name, clock }: ResyncOptions,
  { node, primary, held, run }: Picked & { readonly held: HeldGate; readonly run: OperationRun },
): Promise<Result<Readonly<Record<string, unknown>>>> => {
  const { tools } = group;
  const connect = (at: Endpoint): RedisNodeAdmin =>
    tools.connect(at, { deadlineMs: questionMs, name: 'switchyard-resync' });
  const [replica, source] = [connect(node), connect(primary)];
  try {
    run.step('copy', 'running');
    const info = parseInfo(await replica.info('replication'));
    // The state may have changed since it was asked for: compare and act.
    if (info.role !== 'replica' || !sameAddress(group.view().primary, primary)) {
      return refuse('conflict', `${name} is no replica of ${primary.name} any more: nothing was done`);
    }
    if (info.follows !== null && info.follows.port !== primary.port) {
      return refuse('conflict', `${name} follows ${addressKey(info.follows)}, not ${primary.name}: nothing was done`);
    }
    run.commit();
    const copied = await fullResync({
      replica,
      primary: source,
      at: info.follows ?? primary,
      clock,
      signal: run.signal,
      deadlineMs: copyDeadlineMs,
      onProgress: ({ percent, detail }) => {
        run.progress(percent * 0.7);
        run.step('copy', 'running', detail);
      },
    });
    if (!copied.ok) return copied;
    run.step('copy', 'done', `${String(copied.value.tookMs)} ms`);
  } finally {
    held.release();
    replica.close();
    source.close();
  }
  run.step('compare', 'running');
  const checked = await group.consistency.check(
    { input: { nodes: [name], digest: true }, cause: `resync of ${name}`, deadlineMs: checkDeadlineMs },
    { signal: run.signal, progress: (percent) => run.progress(70 + percent * 0.3) },
  );
  if (!checked.ok) return checked;
  run.step('compare', 'done', checked.value.verdict);
  return ok({ check: checked.value });
};
