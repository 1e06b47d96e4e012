// How does a node get its data out of a backup, and go on from there? A backup-worker serves it base and stream under the name and offset
// of the group's own history; told to follow its primary again, it asks for the rest only, as far as the backlog reaches.
import { ok, type RestoreTarget, type Result } from '@switchyard/protocol';
import { addressKey, parseSyncFacts, type Endpoint, type PlanCheck } from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { OperationRun } from '../redis-operations.ts';
import { followSync, type SyncOutcome } from '../consistency/full-resync.ts';
import { copyDeadlineMs } from './rebuild-limits.ts';
import type { Rebuilds } from './rebuild.ts';

/** The step that the worker does. */
export const seedStep = 'restore from the backup';
/** Of the whole, in percent. */
const seedShare = 60;
const copyShare = 85;

/** What came out of a backup, and how much the primary had to add. */
export interface SeedOutcome extends SyncOutcome {
  readonly backup: {
    readonly operation: string;
    readonly worker: string;
    readonly result: Readonly<Record<string, unknown>>;
    /** `partial`: only what was written since; `full`: the backlog did not reach so far back, all was copied after all. */
    readonly resync: 'partial' | 'full';
  };
}

/** What is needed for it. */
export interface SeedWork {
  readonly node: Endpoint;
  readonly source: Endpoint;
  readonly to: RestoreTarget;
  readonly run: OperationRun;
  readonly replica: RedisNodeAdmin;
  readonly from: RedisNodeAdmin;
  readonly tell: (reason: string) => void;
}

/** Without a worker nothing is begun. */
export const workerCheck = async ({ backups }: Rebuilds): Promise<PlanCheck> => {
  const found = await backups.find();
  const name = 'a backup-worker answers';
  if (found.ok) return { name, ok: true, detail: `${found.value} does` };
  const { code, detail, why = [], next } = found.error;
  return { name, ok: false, detail: [detail, ...why].join(': '), code, ...(next === undefined ? {} : { next }) };
};

/**
 * Restores into `node` and lets it follow `source` until it is in sync. What the worker refuses is the outcome; whom the node follows then
 * is for the caller to put right.
 */
export const seedNode = async (
  rebuilds: Rebuilds,
  { node, source, to, run, replica, from, tell }: SeedWork,
): Promise<Result<SeedOutcome>> => {
  const { definition, clock } = rebuilds.tools;
  const led = rebuilds.group().view.primary;
  const recheck = () => (led === null ? null : rebuilds.stillLed(led));
  run.step(seedStep, 'running');
  const seeded = await rebuilds.backups.seed(
    { group: definition.name, to, node: addressKey(node) },
    {
      signal: run.signal,
      deadlineMs: copyDeadlineMs,
      recheck,
      onProgress({ percent, etaSeconds, detail }) {
        run.progress((seedShare * percent) / 100, etaSeconds);
        run.step(seedStep, 'running', detail);
        tell(`it is filled from a backup: ${detail}`);
      },
    },
  );
  if (!seeded.ok) {
    run.step(seedStep, 'failed', seeded.error.detail);
    return seeded;
  }
  const { operation, worker, result } = seeded.value;
  run.step(seedStep, 'done', `${textOf(result['keys'])} keys up to offset ${textOf(result['offset'])}`);
  run.progress(seedShare);
  run.step('copy', 'running');
  const before = parseSyncFacts(await from.info());
  await replica.call('REPLICAOF', source.host, source.port);
  const copied = await followSync(
    {
      replica,
      primary: from,
      clock,
      signal: run.signal,
      deadlineMs: copyDeadlineMs,
      recheck,
      onProgress: ({ percent, etaSeconds, detail }) => {
        run.progress(seedShare + ((copyShare - seedShare) * percent) / 100, etaSeconds);
        run.step('copy', 'running', detail);
        tell(`it copies what was written since: ${detail}`);
      },
    },
    before,
  );
  if (!copied.ok) {
    run.step('copy', 'failed', copied.error.detail);
    return copied;
  }
  const after = parseSyncFacts(await from.info());
  const resync = (after.fullSyncs ?? 0) > (before.fullSyncs ?? 0) ? 'full' : 'partial';
  run.step(
    'copy',
    'done',
    resync === 'partial'
      ? `only what was written since, in ${String(copied.value.tookMs)} ms`
      : `${source.name} does not remember so much: everything was copied from it after all, in ${String(copied.value.tookMs)} ms`,
  );
  return ok({ ...copied.value, backup: { operation, worker, result, resync } });
};

const textOf = (value: unknown): string => (typeof value === 'number' ? String(value) : '?');

/** After a restore that came to nothing: whatever it holds by now, its source gives it the rest. In words. */
export const followAgain = (replica: RedisNodeAdmin, source: Endpoint): Promise<string> =>
  replica.call('REPLICAOF', source.host, source.port).then(
    () => `it was told to follow ${source.name} again, which gives it everything that it lacks`,
    (error: unknown) => `it could not be told to follow ${source.name} again: ${String(error)}`,
  );
