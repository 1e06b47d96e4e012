// How does a server become a replica of the group? Looked at first, protected while it copies, compared, seen by the Sentinels.
import { ok, refuse, type Operation, type RedisNodeView, type RestoreTarget, type Result } from '@switchyard/protocol';
import {
  addPlan,
  addressKey,
  parseInfo,
  planRefusal,
  sameAddress,
  type AddPlan,
  type Endpoint,
} from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import { followSync, type SyncOutcome } from '../consistency/full-resync.ts';
import { surveyCandidate } from './rebuild-candidate.ts';
import { forgetNode, seenBySentinels } from './rebuild-sentinels.ts';
import { copyDeadlineMs } from './rebuild-limits.ts';
import { seedNode, seedStep, workerCheck } from './rebuild-seed.ts';
import { copyText, intoService } from './rebuild-work.ts';
import type { Rebuilds } from './rebuild.ts';
import type { OperationRun } from '../redis-operations.ts';

/** What is asked for. */
export interface AddRequest {
  readonly at: Endpoint;
  /** Whom it follows; the primary unless given. */
  readonly of: RedisNodeView | null;
  /** Its replica-priority afterwards; by default as it was, and 0 for a replica of a replica. */
  readonly priority?: number;
  readonly confirmed: boolean;
  /** It takes the place of this node, which the Sentinels then forget. */
  readonly forget?: RedisNodeView;
  /** It is filled from a backup of this moment first. */
  readonly backup?: RestoreTarget | undefined;
}

/** What would be done. Changes nothing. */
export const planAdd = async (rebuilds: Rebuilds, { at, of }: Pick<AddRequest, 'at' | 'of'>): Promise<AddPlan> =>
  addPlan(await surveyCandidate(rebuilds.tools, at), rebuilds.group(), of);

/** Begins to add it. */
export const beginAdd = async (rebuilds: Rebuilds, request: AddRequest): Promise<Result<Operation>> => {
  const { tools } = rebuilds;
  const held = await tools.gate.begin(`adding ${addressKey(request.at)}`);
  if (!held.ok) return held;
  const plan = await planAdd(rebuilds, request);
  const checks = [...plan.checks, ...(request.backup === undefined ? [] : [await workerCheck(rebuilds)])];
  const refusal = planRefusal(checks, request.confirmed);
  const { source } = plan;
  if (refusal !== null || source === null) {
    held.value.release();
    return refusal === null ? refuse('no_primary', 'there is nobody to copy from') : { ok: false, error: refusal };
  }
  held.value.holds([request.at]);
  const begun = tools.operations.begin({
    kind: request.forget === undefined ? 'add-replica' : 'rebuild',
    subject: `${tools.definition.name}/${request.at.name}`,
    steps: [
      'protect',
      ...(request.backup === undefined ? [] : [seedStep]),
      'copy',
      'compare',
      'back in service',
      ...(plan.cascading || tools.sentinels().length === 0 ? [] : ['seen by the Sentinels']),
      ...(request.forget === undefined ? [] : [`forget ${request.forget.name}`]),
    ],
    work: (run) =>
      add(rebuilds, { request, plan, source, run }).finally(() => {
        rebuilds.guards.leave(request.at);
        held.value.release();
        tools.wake();
      }),
  });
  if (!begun.ok) held.value.release();
  return begun;
};

interface Work {
  readonly request: AddRequest;
  readonly plan: AddPlan;
  readonly source: Endpoint;
  readonly run: OperationRun;
}

const add = async (rebuilds: Rebuilds, work: Work): Promise<Result<Readonly<Record<string, unknown>>>> => {
  const { request, source, run, plan } = work;
  const { at } = request;
  const primary = rebuilds.group().view.primary;
  const shown = rebuilds.show(at, `it copies everything from ${source.name}`);
  const [replica, from] = [rebuilds.connect(at), rebuilds.connect(source)];
  try {
    run.step('protect', 'running');
    const priority = request.priority ?? (plan.cascading ? 0 : undefined);
    await rebuilds.guards.protect({ operation: run.id, kind: 'add-replica', node: at }, priority);
    await giveAccess(rebuilds, replica);
    run.step('protect', 'done', 'its replica-priority is 0: an empty node must not be promoted');
    const moved = primary === null ? null : rebuilds.stillLed(primary);
    if (moved !== null) return { ok: false, error: moved };
    const { backup } = request;
    const copied =
      backup === undefined
        ? await copy(rebuilds, { work, replica, from, tell: (said: string) => shown.tell(said) })
        : await seedNode(rebuilds, {
            node: at,
            source,
            to: backup,
            run,
            replica,
            from,
            tell: (said: string) => shown.tell(said),
          });
    if (!copied.ok) {
      const why = [...(copied.error.why ?? []), await unfollow(rebuilds, { replica, from, at })];
      return { ok: false, error: { ...copied.error, why } };
    }
    const inService = await intoService(rebuilds, { node: at, source, run, copied: copied.value });
    if (!inService.ok) return inService;
    const kept = await rewriteConfig(replica);
    const seen = await seenStep(rebuilds, work);
    const forgotten = await forgetStep(rebuilds, work);
    if (!forgotten.ok) return forgotten;
    return ok({ ...inService.value, cascading: plan.cascading, seenBySentinels: seen, afterRestart: kept });
  } finally {
    shown.done();
    replica.close();
    from.close();
  }
};

const copy = async (
  rebuilds: Rebuilds,
  copying: {
    readonly work: Work;
    readonly replica: RedisNodeAdmin;
    readonly from: RedisNodeAdmin;
    readonly tell: (reason: string) => void;
  },
): Promise<Result<SyncOutcome>> => {
  const { work, replica, from, tell } = copying;
  const { source, run } = work;
  const primary = rebuilds.group().view.primary;
  run.step('copy', 'running');
  await replica.call('REPLICAOF', source.host, source.port);
  const copied = await followSync({
    replica,
    primary: from,
    clock: rebuilds.tools.clock,
    signal: run.signal,
    deadlineMs: copyDeadlineMs,
    onProgress: ({ percent, etaSeconds, detail }) => {
      run.progress(percent * 0.85, etaSeconds);
      run.step('copy', 'running', detail);
      tell(`it copies everything: ${detail}`);
    },
    recheck: () => (primary === null ? null : rebuilds.stillLed(primary)),
  });
  run.step('copy', copied.ok ? 'done' : 'failed', copied.ok ? copyText(copied.value) : copied.error.detail);
  return copied;
};

/** It has to log in at whom it follows, now and after each failover. */
const giveAccess = async ({ tools }: Rebuilds, replica: RedisNodeAdmin): Promise<void> => {
  const { username, password } = tools.definition.settings;
  if (password === undefined) return;
  await replica.call('CONFIG', 'SET', 'masterauth', password);
  if (username !== undefined) await replica.call('CONFIG', 'SET', 'masteruser', username);
};

/** A node that never reached its source goes back to where it was; one that the primary lists already stays. In words. */
const unfollow = async (
  rebuilds: Rebuilds,
  { replica, from, at }: { readonly replica: RedisNodeAdmin; readonly from: RedisNodeAdmin; readonly at: Endpoint },
): Promise<string> => {
  const listed = await from.info('replication').then(
    (text) => parseInfo(text).replicas.some((one) => sameAddress(one, at)),
    () => true,
  );
  if (listed)
    return `${addressKey(at)} stays a replica and goes on by itself; DELETE .../nodes/${at.name} takes it out`;
  return replica.call('REPLICAOF', 'NO', 'ONE').then(
    async () => {
      await rebuilds.guards.release(at).catch(() => undefined);
      return `${addressKey(at)} follows nobody again; its data was not touched`;
    },
    (error: unknown) =>
      `${addressKey(at)} still tries to follow: ${error instanceof Error ? error.message : String(error)}`,
  );
};

/** What happens to it after a restart, in words. */
const rewriteConfig = (replica: RedisNodeAdmin): Promise<string> =>
  replica.call('CONFIG', 'REWRITE').then(
    () => 'its configuration file says whom it follows',
    () =>
      'it has no configuration file that it can write: start it with --replicaof, or it is empty and alone after a restart',
  );

const seenStep = async ({ tools }: Rebuilds, { plan, run, request }: Work): Promise<boolean | null> => {
  const step = 'seen by the Sentinels';
  if (plan.cascading || tools.sentinels().length === 0) return null;
  run.step(step, 'running', 'each of them asks the primary every 10 s');
  const seen = await seenBySentinels(tools, request.at, run.signal);
  run.step(
    step,
    seen ? 'done' : 'failed',
    seen
      ? 'all of them list it'
      : `not all of them list ${addressKey(request.at)}: it may announce another address (replica-announce-ip)`,
  );
  return seen;
};

const forgetStep = async (rebuilds: Rebuilds, { request, run }: Work): Promise<Result<null>> => {
  const { forget } = request;
  if (forget === undefined) return ok(null);
  const step = `forget ${forget.name}`;
  const { view, observation } = rebuilds.group();
  run.step(step, 'running');
  const stay = [
    request.at,
    ...view.nodes.filter(
      (one) =>
        one.role === 'replica' &&
        !sameAddress(one, forget) &&
        sameAddress(observation.nodes.find((node) => sameAddress(node, one))?.info?.follows ?? null, view.primary),
    ),
  ];
  const done = await forgetNode(rebuilds.tools, {
    node: forget,
    stay,
    signal: run.signal,
    recheck: () => Promise.resolve(view.primary === null ? null : rebuilds.stillLed(view.primary)),
    onProgress: (_done, _of, detail) => run.step(step, 'running', detail),
  });
  run.step(step, done.ok ? 'done' : 'failed', done.ok ? `in ${String(done.value.tookMs)} ms` : done.error.detail);
  if (done.ok) rebuilds.tools.observer.drop(forget);
  return done.ok ? ok(null) : done;
};
