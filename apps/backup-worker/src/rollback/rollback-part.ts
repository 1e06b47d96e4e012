// How do rollbacks come about here? Requests become operations of this process, one at a time; what an earlier process left is taken up
// again, and settings that could not be put back are put back as soon as that is possible. Neither Redis nor a queue is needed for it.
import { randomUUID } from 'node:crypto';
import { refuse, type Refusal, type Result, type RollbackRequest } from '@switchyard/protocol';
import type { OperationRecord, RollbackState } from '@switchyard/backup';
import { announceEvent, createCatalogStore, type Redis } from '@switchyard/redis';
import { createTicker, withDeadline } from '@switchyard/runtime';
import type { Archive } from '../archive/archive.ts';
import type { Report } from '../backups/take-backup.ts';
import type { DirectOutcome, DirectWorkTools } from '../operations/operation-runner.ts';
import type { ObjectStore } from '../repository/object-store.ts';
import type { Materialiser } from '../restore/materialise.ts';
import { selectivePlan, selectiveRollback, type SelectiveTools } from '../selective/selective-rollback.ts';
import { createGroupProbe } from '../source/group-probe.ts';
import { createGroupSurvey, whyNoBackup } from '../source/group-survey.ts';
import type { WorkerPart, WorkerTools } from '../worker-part.ts';
import { createLeftovers } from './leftovers.ts';
import { createManagers } from './managers.ts';
import { createRollbackJournal, isAbandoned, type RollbackRecord } from './rollback-journal.ts';
import { createRollbackLease } from './rollback-lease.ts';
import { rollbackRoutes } from './rollback-routes.ts';
import { rollbackSteps, type RollableSettings, type RollbackEnd, type RollbackTools } from './rollback-tools.ts';
import { resumeRollback, runRollback } from './run-rollback.ts';
import { createSafetyPoints } from './safety-points.ts';

/** What the part needs of its worker. */
export type RollbackWorkerTools = Pick<
  WorkerTools,
  | 'group'
  | 'settings'
  | 'connections'
  | 'runner'
  | 'scratchDirectory'
  | 'advertisedHost'
  | 'bindHost'
  | 'instanceId'
  | 'clock'
  | 'logger'
>;

/** What the part stands on. */
export interface RollbackPartOptions {
  readonly archive: Archive;
  readonly materialise: Materialiser;
  readonly store: ObjectStore;
  /** For tests of crashes. */
  readonly onStep?: (state: RollbackState) => Promise<void>;
}

const lookEveryMs = 2_000;
const announceDeadlineMs = 5_000;
/** What is written sooner after a rollback is kept, but not each moment of it. */
const archivedAgainMs = 5_000;
const archivedAgainLookMs = 50;
/** Who names a moment that cannot be restored hears it in the answer to the request, when it is found out in this time. */
const earlyAnswerMs = 3_000;

/** Rollbacks of the group in the settings. */
export function rollbackPart(worker: RollbackWorkerTools, options: RollbackPartOptions): WorkerPart {
  const { group, settings, connections, runner, instanceId, clock, logger } = worker;
  const { archive, materialise, store } = options;
  const journal = createRollbackJournal({ store, group, logger });
  const keepPoint = createSafetyPoints({ store, group, clock });
  let redis: Redis | undefined;
  const commands = (): Redis => (redis ??= connections.connect('commands'));
  let underWay: string | null = null;

  const announce = async ({ record, safetyPoint }: RollbackEnd): Promise<void> => {
    // Only a catalog that was rolled back has readers that want to know; another group's data are left alone.
    if (!record.marked || record.state.outcome !== 'done') return;
    const { point, id } = record;
    const data = {
      group,
      operation: id,
      at: point.at,
      offset: point.offset,
      timeline: point.timeline,
      safetyPoint: safetyPoint?.label ?? null,
    };
    const told = announceEvent(createCatalogStore(commands(), instanceId), {
      type: 'redis.rolled-back',
      subject: group,
      data,
    });
    await withDeadline(told, announceDeadlineMs, 'the event of the rollback');
  };
  /** A rollback is over when what comes after it can be taken back, too: the archive has begun anew, and its first base is proven. */
  const archivedAgain = async ({ record, safetyPoint }: RollbackEnd): Promise<void> => {
    if (!record.state.takeAsked || safetyPoint === null) return;
    const untilMs = clock.monotonicMs() + archivedAgainMs;
    while (archive.isFollowing() || archive.head()?.timeline === safetyPoint.timeline) {
      const left = untilMs - clock.monotonicMs();
      if (left <= 0) break;
      const now = await archive.locate({ time: 'now' }, AbortSignal.timeout(Math.ceil(left))).catch(() => null);
      if (now?.ok === true && now.value.timeline !== safetyPoint.timeline) return;
      await clock.sleep(archivedAgainLookMs);
    }
    logger.warn({ group, operation: record.id }, 'rollback.not_archived_yet');
  };
  const toolsFor = (of: RollableSettings): RollbackTools => ({
    ...worker,
    settings: of,
    archive,
    materialise,
    journal,
    keepPoint,
    managers: createManagers({ redis: commands, group, logger }),
    lease: createRollbackLease({ redis: commands, group, holder: instanceId, logger }),
    onEnd: async (end) => {
      await Promise.all([announce(end), archivedAgain(end)]);
    },
    ...(options.onStep === undefined ? {} : { onStep: options.onStep }),
  });
  const whole = settings.kind === 'cluster' ? null : toolsFor(settings);
  const { username, password, tls } = settings;
  const probe = createGroupProbe(settings, { name: `${instanceId}:rollback`, clock, logger });
  const selective: SelectiveTools = {
    archive,
    materialise,
    survey: createGroupSurvey({ settings, probe, clock }),
    access: {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls }),
    },
    keepPoint,
    clock,
    logger,
  };

  /** One at a time; a dry run disturbs nobody. */
  const alone = async (id: string, work: () => Promise<DirectOutcome>): Promise<DirectOutcome> => {
    if (underWay !== null)
      return refuse('conflict', `The rollback ${underWay} of ${group} is under way.`, {
        next: `wait for its end: GET /v1/operations/${underWay}`,
      });
    underWay = id;
    try {
      return await work();
    } finally {
      underWay = null;
    }
  };
  const begin = async (request: RollbackRequest): Promise<Result<OperationRecord>> => {
    const { match, dryRun } = request;
    if (request.group !== group)
      return refuse('not_found', `There is no group ${request.group} here.`, {
        next: `This worker rolls ${group} back; start one for ${request.group} on the same repository.`,
      });
    if (whole === null)
      return refuse(
        'not_implemented',
        `A Redis Cluster cannot be rolled back in place: ${whyNoBackup(settings) ?? ''}.`,
        {
          why: ['its nodes refuse REPLICAOF, by which the data are handed over'],
          next: 'Restore into servers of its own with POST /v1/restores, or bring some keys back with match where one primary is followed.',
        },
      );
    if (underWay !== null && !dryRun)
      return refuse('conflict', `The rollback ${underWay} of ${group} is under way.`, {
        next: `wait for its end: GET /v1/operations/${underWay}`,
      });
    const id = `op-${randomUUID()}`;
    const found = Promise.withResolvers<void>();
    let isFound = false;
    let refused: Refusal | null = null;
    const run = async (work: DirectWorkTools): Promise<DirectOutcome> => {
      const report: Report = (step, progress) => {
        isFound ||= step > 0;
        if (isFound) found.resolve();
        work.report(step, progress);
      };
      const outcome = await (match === undefined
        ? runRollback(whole, request, { ...work, report })
        : selectiveRollback(selective, { ...request, match }, { ...work, report }));
      if (!outcome.ok && !isFound) refused = outcome.error;
      return outcome;
    };
    const begun = await runner.begin({
      id,
      kind: match === undefined ? 'rollback' : 'selective-rollback',
      subject: group,
      plan: match === undefined ? rollbackSteps : selectivePlan,
      run: dryRun ? run : (work) => alone(id, () => run(work)),
    });
    await Promise.race([found.promise, runner.ended(id), clock.sleep(earlyAnswerMs)]);
    return refused === null ? begun : { ok: false, error: refused };
  };
  const resume = async (tools: RollbackTools, record: RollbackRecord): Promise<void> => {
    const { id } = record;
    logger.warn({ group, operation: id, waitsFor: record.state.waitsFor }, 'rollback.resumed');
    const run = (work: DirectWorkTools): Promise<DirectOutcome> => alone(id, () => resumeRollback(tools, record, work));
    const begun = await runner.begin({ id, kind: 'rollback', subject: group, plan: rollbackSteps, run });
    if (!begun.ok) logger.error({ group, operation: id, detail: begun.error.detail }, 'rollback.not_resumed');
  };

  const leftovers = whole === null ? null : createLeftovers({ journal, settings: whole.settings, clock, logger });
  const look = async (signal: AbortSignal): Promise<void> => {
    if (whole === null || underWay !== null) return;
    const records = await journal.list(signal);
    const open = records.find((record) => record.state.waitsFor !== 'ended' && isAbandoned(record, clock));
    if (open !== undefined) await resume(whole, open);
    else await leftovers?.mend(records, signal);
  };
  const upkeep = createTicker({ name: 'rollback-upkeep', everyMs: lookEveryMs, run: look, clock, logger });
  return {
    routes: rollbackRoutes({ begin, list: (signal) => journal.list(signal), group, clock }),
    components: [upkeep],
  };
}
