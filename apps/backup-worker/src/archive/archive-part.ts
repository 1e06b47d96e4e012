// How does the continuous archive come about? Survey, ownership, archiver, merging and display, put together.
import type { HeldPlace } from '@switchyard/backup';
import { followStream } from '@switchyard/replication-link';
import { createTicker, type Component } from '@switchyard/runtime';
import { createBaseStore } from '../backups/store-base.ts';
import type { BackupConfig } from '../config.ts';
import type { OpenRepository } from '../repository/open-repository.ts';
import { createProver } from '../scratch/prover.ts';
import { createGroupProbe } from '../source/group-probe.ts';
import { createGroupSurvey, whyNoBackup } from '../source/group-survey.ts';
import type { WorkerPart, WorkerTools } from '../worker-part.ts';
import { headOf, newestOf } from './archive-end.ts';
import { createArchiveDisplay } from './archive-status.ts';
import type { Archive } from './archive.ts';
import { createArchiver } from './archiver.ts';
import { createFirstBase } from './first-base.ts';
import { createLocator, followedBy } from './locate.ts';
import { createLiveArchive, type LiveArchive } from './live-archive.ts';
import { createMerger } from './merger.ts';
import { createOwnership } from './ownership.ts';

/** The part, and what the others ask. */
export interface ArchivePart extends WorkerPart {
  readonly archive: Archive;
  /** Whether a data set is being proven that a timeline begins with. */
  readonly isProvingBase: () => boolean;
  /** On which timeline a place lies, once everything before it is archived; undefined when on none, or when that takes too long. */
  readonly timelineOf: (place: HeldPlace, signal: AbortSignal) => Promise<string | undefined>;
}

const showEveryMs = 1_000;
const standbyLookEveryMs = 2_000;
const continueWithinMs = 3_000;
const placeWithinMs = 10_000;
const mostPendingBytes = 16 * 1024 * 1024;

/** What the part needs of its worker. */
export type ArchiveTools = Pick<
  WorkerTools,
  'group' | 'settings' | 'scratchDirectory' | 'instanceId' | 'writer' | 'clock' | 'logger' | 'metrics' | 'health'
>;

/** The archive of the group in the settings. */
export function archivePart(
  tools: ArchiveTools,
  { config, repository }: { readonly config: BackupConfig; readonly repository: OpenRepository },
): ArchivePart {
  const { settings, group, scratchDirectory, instanceId, clock, logger, writer } = tools;
  const { store, segments } = repository;
  const { username, password, tls } = settings;
  const probe = createGroupProbe(settings, { name: `${instanceId}:archive`, clock, logger });
  const prover = createProver({
    command: config.redisServer,
    scratchDirectory,
    deadlineMs: config.proofDeadlineMs,
    clock,
  });
  const bases = createBaseStore({ repository: repository.backups, prover, clock, writer });
  const display = createArchiveDisplay({ ...tools, status: () => archive.status() });
  const ownership = createOwnership({ group, store, instance: instanceId, clock, logger, onChange: () => undefined });
  const firstBase = createFirstBase({ group, bases, logger, onPublished: () => undefined });
  const archiver = createArchiver({
    group,
    hasSentinels: settings.kind === 'sentinel',
    survey: createGroupSurvey({ settings, probe, clock }),
    follow: followStream,
    credentials: {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls }),
    },
    segments,
    ownership,
    storeFirst: firstBase.store,
    limits: {
      sealEveryMs: config.sealEveryMs,
      sealBytes: config.sealBytes,
      mostPendingBytes: Math.max(mostPendingBytes, 2 * config.sealBytes),
      longestTransactionBytes: config.longestTransactionBytes,
    },
    maxLagBytes: config.maxLagBytes,
    continueWithinMs,
    primaryAfterMs: config.archiveFromPrimary ? config.archivePrimaryAfterMs : null,
    clock,
    logger,
    onStored: (head, bytes, rawBytes) => {
      display.sealed(bytes, rawBytes);
      archive.noteHead(head);
    },
    onTimeline: ({ reason }) => display.timelineBegun(reason),
  });
  const locator = createLocator({
    store,
    segments,
    backups: repository.backups,
    followed: (of, work) => followedBy(archive, clock)(of, work),
    clock,
  });
  const archive: LiveArchive = createLiveArchive({
    group,
    archiver,
    ownership,
    segments,
    locate: async (to, signal) => {
      const found = await locator.locate(group, to, signal);
      return found.ok ? { ok: true, value: found.value.point } : found;
    },
    clock,
  });
  const merger = createMerger({
    group,
    segments,
    isOwner: () => ownership.isOwner(),
    clock,
    logger,
    onMerged: (count) => display.merged(count),
  });
  const standby = createTicker({
    name: 'archive-standby',
    everyMs: standbyLookEveryMs,
    run: async (signal) => {
      if (ownership.isOwner()) return;
      const newest = await newestOf(segments, group, signal);
      archiver.setHead(newest === null ? null : headOf(newest.timeline, newest.last));
    },
    clock,
    logger,
  });
  const shown = createTicker({
    name: 'archive-display',
    everyMs: showEveryMs,
    run: () => Promise.resolve(display.show(archive.status())),
    clock,
    logger,
  });
  const isArchived = config.archive && whyNoBackup(settings) === null;
  const components: readonly Component[] = isArchived
    ? [firstBase, ownership, archiver, merger, standby, shown]
    : [standby];
  const timelineOf: ArchivePart['timelineOf'] = async ({ replicationId, offset }, signal) => {
    const within = AbortSignal.any([signal, AbortSignal.timeout(placeWithinMs)]);
    const flushed = await archive.flush({ untilOffset: offset, signal: within }).catch(() => undefined);
    signal.throwIfAborted();
    if (flushed?.ok !== true) return undefined;
    const { timeline } = flushed.value;
    const found = (await segments.timelines(group, signal)).timelines.find(({ id }) => id === timeline);
    if (found === undefined || offset < found.start.offset) return undefined;
    // A former primary that went on alone has the same name, and other data behind the place where the history was renamed.
    const histories = (await archive.segments(timeline, signal)).flatMap((one) => one.histories);
    const at = histories.findLast(({ from }) => from < offset)?.replicationId ?? found.start.replicationId;
    const next = histories.find(({ from }) => from === offset)?.replicationId;
    return at === replicationId || next === replicationId ? timeline : undefined;
  };
  return { archive, timelineOf, isProvingBase: () => firstBase.isProving(), routes: [], components };
}
