// How is a node rebuilt? Unattended, from whom it follows: protected from promotion, copied anew, compared, and only then back in service.
import { ok, refuse, type Operation, type RedisNodeView, type RestoreTarget, type Result } from '@switchyard/protocol';
import { planRefusal, rebuildPlan, sameAddress, type Endpoint, type RebuildPlan } from '@switchyard/replication';
import { fullResync, type SyncOutcome } from '../consistency/full-resync.ts';
import type { HeldGate } from '../switchover/operation-gate.ts';
import { copyDeadlineMs } from './rebuild-limits.ts';
import { followAgain, seedNode, seedStep, workerCheck } from './rebuild-seed.ts';
import type { Rebuilds } from './rebuild.ts';
import type { OperationRun } from '../redis-operations.ts';

const verifyDeadlineMs = 600_000;
/** Of more keys than that a sample is compared; all of them with POST .../check. */
const sampling = { above: 100_000, keys: 20_000 };
const knownWithinMs = 20_000;
const lookEveryMs = 100;
/** Shares of the whole, in percent. */
const copyShare = 85;

/** How a rebuild is asked for. */
export interface RebuildRequest {
  /** What is confirmable does not matter. */
  readonly confirmed: boolean;
  /** Compare every key afterwards, not a sample of many. */
  readonly compareAll: boolean;
  /** Out of a backup, and of which moment, instead of from the primary. */
  readonly backup?: RestoreTarget | undefined;
}

/** Begins to rebuild `node`. */
export const beginRebuild = async (
  rebuilds: Rebuilds,
  node: RedisNodeView,
  { confirmed, compareAll, backup }: RebuildRequest,
): Promise<Result<Operation>> => {
  const { tools } = rebuilds;
  const held = await tools.gate.begin(`rebuild of ${node.name}`);
  if (!held.ok) return held;
  // With the gate closed nobody of ours changes the group any more: what is decided now holds.
  const plan = rebuildPlan(node, rebuilds.group());
  const checks = [...plan.checks, ...(backup === undefined ? [] : [await workerCheck(rebuilds)])];
  const refusal = planRefusal(checks, confirmed);
  if (refusal !== null || plan.source === null) {
    held.value.release();
    return refusal === null ? refuse('no_primary', 'there is nobody to copy from') : { ok: false, error: refusal };
  }
  held.value.holds([plan.node]);
  const { source } = plan;
  const begun = tools.operations.begin({
    kind: 'rebuild',
    subject: `${tools.definition.name}/${node.name}`,
    steps: ['protect', ...(backup === undefined ? [] : [seedStep]), 'copy', 'compare', 'back in service'],
    work: (run) => rebuild(rebuilds, { plan, source, run, held: held.value, compareAll, backup }),
  });
  if (!begun.ok) held.value.release();
  return begun;
};

const rebuild = async (
  rebuilds: Rebuilds,
  work: {
    readonly plan: RebuildPlan;
    readonly source: Endpoint;
    readonly run: OperationRun;
    readonly held: HeldGate;
    readonly compareAll: boolean;
    readonly backup: RestoreTarget | undefined;
  },
): Promise<Result<Readonly<Record<string, unknown>>>> => {
  const { plan, source, run, held, compareAll, backup } = work;
  const { node } = plan;
  const primary = rebuilds.group().view.primary;
  const shown = rebuilds.show(node, `it copies everything anew from ${source.name}`);
  const [replica, from] = [rebuilds.connect(node), rebuilds.connect(source)];
  try {
    run.step('protect', 'running');
    await rebuilds.guards.protect({ operation: run.id, kind: 'rebuild', node });
    run.step('protect', 'done', 'its replica-priority is 0: Sentinel does not promote it');
    const moved = primary === null ? null : rebuilds.stillLed(primary);
    if (moved !== null) return { ok: false, error: moved };
    if (backup !== undefined) {
      const seeding = { node, source, to: backup, run, replica, from, tell: (said: string) => shown.tell(said) };
      const seeded = await seedNode(rebuilds, seeding);
      if (!seeded.ok) {
        const why = [...(seeded.error.why ?? []), await followAgain(replica, source)];
        return { ok: false, error: { ...seeded.error, why } };
      }
      return await intoService(rebuilds, { node, source, run, copied: seeded.value, compareAll });
    }
    run.step('copy', 'running');
    const copied = await fullResync({
      replica,
      primary: from,
      clock: rebuilds.tools.clock,
      signal: run.signal,
      deadlineMs: copyDeadlineMs,
      onProgress: ({ percent, etaSeconds, detail }) => {
        run.progress((copyShare * percent) / 100, etaSeconds);
        run.step('copy', 'running', detail);
        shown.tell(`it copies everything anew: ${detail}`);
      },
      recheck: () => (primary === null ? null : rebuilds.stillLed(primary)),
    });
    if (!copied.ok) {
      run.step('copy', 'failed', copied.error.detail);
      return copied;
    }
    run.step('copy', 'done', copyText(copied.value));
    return await intoService(rebuilds, { node, source, run, copied: copied.value, compareAll });
  } finally {
    rebuilds.guards.leave(node);
    shown.done();
    held.release();
    replica.close();
    from.close();
    rebuilds.tools.wake();
  }
};

/** What a copy took, for people. */
export const copyText = ({ tookMs, copiedBytes }: SyncOutcome): string =>
  `${copiedBytes === null ? '' : `${String(copiedBytes)} bytes `}in ${String(tookMs)} ms`;

/** Compares a node that has just been copied, and lets it be promoted again; not when it differs. */
export const intoService = async (
  rebuilds: Rebuilds,
  work: {
    readonly node: Endpoint;
    readonly source: Endpoint;
    readonly run: OperationRun;
    readonly copied: SyncOutcome;
    readonly compareAll?: boolean;
  },
): Promise<Result<Readonly<Record<string, unknown>>>> => {
  const { node, source, run, copied, compareAll = false } = work;
  run.step('compare', 'running');
  run.progress(copyShare);
  const name = await nameInView(rebuilds, node, run.signal);
  const checked = await rebuilds.consistency.check(
    {
      input: { nodes: [name], digest: true },
      cause: run.id,
      deadlineMs: verifyDeadlineMs,
      ...(compareAll ? {} : { sampling }),
    },
    { signal: run.signal, progress: (percent) => run.progress(copyShare + (percent * (99 - copyShare)) / 100) },
  );
  const found = checked.ok ? (checked.value.nodes.find((one) => one.node === name) ?? null) : null;
  if (found?.verdict === 'different') {
    const was = rebuilds.guards.drop(node);
    run.step('compare', 'failed', found.detail);
    return refuse('refused_for_safety', `${name} has other data than its primary after the copy: ${found.detail}`, {
      next: `its replica-priority stays 0${was === null ? '' : ` (it was ${was})`}; look at what writes to it, then rebuild it again`,
    });
  }
  const said =
    found === null ? (checked.ok ? 'it is not listed' : checked.error.detail) : `${found.verdict}: ${found.detail}`;
  run.step('compare', 'done', said);
  run.step('back in service', 'running');
  await rebuilds.guards.release(node);
  run.step('back in service', 'done');
  return ok({
    node: name,
    from: source.name,
    ...copied,
    verified: found === null ? null : found.verdict === 'same',
    comparison: said,
    ...(found === null ? {} : { digest: found.digest, keys: found.keys }),
  });
};

/** A new node is known by the name that the observer gives it. */
const nameInView = async (rebuilds: Rebuilds, node: Endpoint, signal: AbortSignal): Promise<string> => {
  const { clock } = rebuilds.tools;
  const endMs = clock.monotonicMs() + knownWithinMs;
  while (clock.monotonicMs() < endMs && !signal.aborted) {
    const known = rebuilds.group().view.nodes.find((one) => sameAddress(one, node) && one.role === 'replica');
    if (known !== undefined) return known.name;
    await clock.sleep(lookEveryMs, signal).catch(() => undefined);
  }
  return node.name;
};
