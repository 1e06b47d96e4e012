// What would a rollback do, and may it be done? Everything that can be found out before anything that lives is touched: the moment, made
// real on a throw-away server beside the present one, what differs, and every check of the group.
import { statfs } from 'node:fs/promises';
import { keyCounts, rollbackPreflight, rollbackWarnings, type RollbackPreflight } from '@switchyard/backup';
import { ok, type DataDiff, type RestorePoint, type Result, type RollbackRequest } from '@switchyard/protocol';
import type { ArchiveHead } from '../archive/archive.ts';
import { compareData } from '../compare/compare.ts';
import type { DirectWorkTools } from '../operations/operation-runner.ts';
import type { Materialised } from '../restore/materialise.ts';
import type { GroupContacts } from './group-contacts.ts';
import { surveyForRollback, type RollbackSurvey } from './rollback-survey.ts';
import type { RollbackTools } from './rollback-tools.ts';
import { prepareTarget, type PreparedTarget } from './served-data.ts';

/** What was found out. The caller closes `target`. */
export interface PreparedRollback {
  readonly point: RestorePoint;
  readonly target: PreparedTarget;
  readonly memoryBytes: number;
  readonly diff: DataDiff;
  readonly warnings: readonly string[];
  readonly survey: RollbackSurvey;
  readonly preflight: RollbackPreflight;
}

/** More keys than these are counted only, unless all are asked for. */
const mostCompared = 1_000_000;
const maxLagBytes = 16 * 1024 * 1024;
// A FLUSHALL of millions of keys holds a replica up for seconds before it passes it on.
const flushDeadlineMs = 30_000;

/** Finds out everything. Refuses when the moment cannot be found or made real. */
export async function prepareRollback(
  tools: RollbackTools,
  contacts: GroupContacts,
  job: { readonly request: RollbackRequest; readonly work: DirectWorkTools },
): Promise<Result<PreparedRollback>> {
  const { request, work } = job;
  const { signal, report } = work;
  report(0, {});
  const survey = await surveyForRollback(contacts, tools.settings);
  // What is to be undone may have happened a moment ago.
  const head = await archivedUntil(tools, survey.facts.primary?.offset ?? undefined, signal);
  const point = await tools.archive.locate(request.to, signal);
  if (!point.ok) return point;
  report(1, { detail: `${point.value.at}: ${point.value.base} and ${point.value.streamBytes} bytes after it` });
  const presenting = presentData(tools, head, signal);
  presenting.catch(() => undefined);
  const target = await tools.materialise(point.value, {
    signal,
    report: ({ fraction, detail }) => report(1, { fraction, detail }),
  });
  const close = async (): Promise<void> => {
    if (target.ok) await target.value.close();
    await presenting.then((present) => present?.close()).catch(() => undefined);
  };
  try {
    if (!target.ok) {
      await close();
      return target;
    }
    const present = await presenting;
    report(2, { detail: present === null ? 'by numbers only: the present could not be made real aside' : '' });
    const diff = await compare({ contacts, survey, present, target: target.value, request, work });
    await present?.close();
    const memory = /^used_memory:(\d+)/m.exec(String(await target.value.ask(['INFO', 'memory'], { signal })))?.[1];
    const memoryBytes = Number(memory ?? 0);
    const prepared = await prepareTarget(target.value, work.id, signal);
    report(3, {});
    const preflight = await check(tools, { survey, prepared, memoryBytes, signal });
    return ok({
      point: point.value,
      target: prepared,
      memoryBytes,
      diff,
      warnings: rollbackWarnings(diff),
      survey,
      preflight,
    });
  } catch (error) {
    await close();
    throw error;
  }
}

/** The end of the archive, once it has everything up to `offset`, or as much as it has within its time. */
async function archivedUntil(
  { archive }: RollbackTools,
  offset: number | undefined,
  signal: AbortSignal,
): Promise<ArchiveHead | null> {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(flushDeadlineMs)]);
  const wanted = offset === undefined ? {} : { untilOffset: offset };
  const flushed = await archive.flush({ ...wanted, signal: inTime }).catch(() => null);
  signal.throwIfAborted();
  return flushed?.ok === true ? flushed.value : archive.head();
}

/** The present as far as it is archived; null when it cannot be made real: then only numbers are compared. */
async function presentData(
  tools: RollbackTools,
  head: ArchiveHead | null,
  signal: AbortSignal,
): Promise<Materialised | null> {
  const { archive, logger, group } = tools;
  if (head === null) return null;
  const point = await archive.locate({ offset: head.offset, timeline: head.timeline }, signal);
  if (!point.ok) return null;
  const made = await tools.materialise(point.value, { signal });
  if (made.ok) return made.value;
  logger.warn({ group, code: made.error.code, detail: made.error.detail }, 'rollback.present_not_made');
  return null;
}

async function compare(sides: {
  readonly contacts: GroupContacts;
  readonly survey: RollbackSurvey;
  readonly present: Materialised | null;
  readonly target: Materialised;
  readonly request: RollbackRequest;
  readonly work: DirectWorkTools;
}): Promise<DataDiff> {
  const { contacts, survey, present, target, request, work } = sides;
  const { signal, report } = work;
  const targetKeys = (await target.keys(signal)).total;
  if (present === null) {
    const { primary } = survey.facts;
    const info = primary === null ? '' : await contacts.node(primary, ['INFO', 'keyspace']).then(String, () => '');
    const samples = { added: [], changed: [], removed: [] };
    return { now: keyCounts(info).total, target: targetKeys, added: null, changed: null, removed: null, samples };
  }
  const count = targetKeys + (await present.keys(signal)).total;
  const mode = request.diff ?? (count <= mostCompared ? 'all' : 'counts');
  return compareData({ now: present, target, mode, signal, onFraction: (fraction) => report(2, { fraction }) });
}

async function check(
  tools: RollbackTools,
  found: {
    readonly survey: RollbackSurvey;
    readonly prepared: PreparedTarget;
    readonly memoryBytes: number;
    readonly signal: AbortSignal;
  },
): Promise<RollbackPreflight> {
  const { archive, group, advertisedHost, scratchDirectory } = tools;
  const { survey, prepared, memoryBytes, signal } = found;
  const head = archive.isFollowing() ? archive.head() : null;
  const others = (await tools.journal.list(signal)).filter(({ state }) => state.waitsFor !== 'ended');
  const busy = await tools.managers.busy(signal);
  const disk = await statfs(scratchDirectory).catch(() => null);
  return rollbackPreflight({
    ...survey.facts,
    group,
    archive: head,
    underWay: [
      ...others.map(({ id, state }) => `the rollback ${id} waits for ${state.waitsFor}`),
      ...(busy === null ? [] : [busy]),
    ],
    target: {
      keys: prepared.keys.total,
      memoryBytes,
      version: prepared.materialised.server.version,
    },
    servedHost: advertisedHost,
    freeDiskBytes: disk === null ? null : disk.bavail * disk.bsize,
    // Its snapshot, and that of the safety point if it has to be taken back.
    neededDiskBytes: 2 * memoryBytes,
    maxLagBytes,
  });
}
