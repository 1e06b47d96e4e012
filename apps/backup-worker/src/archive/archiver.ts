// How is the group archived, from one source after the other? The decisions are stepArchiver's (libs/backup); here is what they need done:
// look at the group, connect, store a data set, pass on the stream. All state that matters is in the repository.
import {
  archiverState,
  stepArchiver,
  timelineIdFor,
  type ArchiverAction,
  type ArchiverInput,
  type ArchiverState,
  type HeldPlace,
} from '@switchyard/backup';
import type { Timeline } from '@switchyard/protocol';
import { ReplicationLinkError, type FollowedStream, type FollowStreamOptions } from '@switchyard/replication-link';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { SegmentStore } from '../repository/segment-store.ts';
import type { GroupSurvey, SurveyedNode } from '../source/group-survey.ts';
import { textOf } from '../system-error.ts';
import { findEnd } from './archive-end.ts';
import type { ArchiveHead } from './archive.ts';
import { createChanges, type Changes } from './changes.ts';
import type { Ownership } from './ownership.ts';
import { createSegmentWriter, type SegmentWriter } from './segment-writer.ts';
import { createStreamFeed, TransactionTooLongError, type FeedLimits, type StreamFeed } from './stream-feed.ts';

/** Everything that the archiver needs. */
export interface ArchiverOptions {
  readonly group: string;
  readonly hasSentinels: boolean;
  readonly survey: () => Promise<GroupSurvey>;
  readonly follow: (options: FollowStreamOptions) => Promise<FollowedStream>;
  readonly credentials: Pick<FollowStreamOptions, 'username' | 'password' | 'tls'>;
  readonly segments: SegmentStore;
  readonly ownership: Pick<Ownership, 'held' | 'whenHeld'>;
  /** Stores the data set that a timeline begins with, and lets it be proven meanwhile. */
  readonly storeFirst: StoreFirst;
  readonly limits: FeedLimits;
  readonly maxLagBytes: number;
  readonly continueWithinMs: number;
  readonly primaryAfterMs: number | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onStored: (head: ArchiveHead, bytes: number, rawBytes: number) => void;
  readonly onTimeline: (timeline: Timeline) => void;
}

/** Reads a data set to its end; resolves with the database that the stream after it begins in, and with how it becomes a backup. */
export type StoreFirst = (
  data: { readonly link: FollowedStream; readonly start: HeldPlace; readonly source: SurveyedNode },
  signal: AbortSignal,
) => Promise<{ readonly database: number; publish(timeline: string): void; discard(): Promise<void> }>;

/** Archives one group while this worker owns its archive. */
export interface Archiver extends Component {
  readonly state: () => ArchiverState;
  readonly feed: () => StreamFeed | null;
  readonly writer: SegmentWriter;
  readonly head: () => ArchiveHead | null;
  /** Rings when something arrived, was stored, or when the state changed. */
  readonly changes: Changes;
  /** When it last knew that nothing is missing, unix ms. */
  readonly inStepAtMs: () => number | null;
  /** Bytes of the primary's history that had not arrived at the last look; null when it did not say. */
  readonly behindBytes: () => number | null;
  beginAnew(reason: Timeline['reason'], detail: string): void;
  /** Without an owner: what another one has written. */
  setHead(head: ArchiveHead | null): void;
}

const watchEveryMs = 2_000;
const answerWithinMs = 60_000;
const troublePauseMs = 2_000;
const drainMs = 4_000;

type Input = ArchiverInput<SurveyedNode>;
type Action = ArchiverAction<SurveyedNode>;

/** An archiver; `start` begins to wait for ownership. */
export function createArchiver(options: ArchiverOptions): Archiver {
  const { group, segments, ownership, clock, logger } = options;
  const changes = createChanges();
  const stopping = new AbortController();
  let state = archiverState;
  let head: ArchiveHead | null = null;
  let feed: StreamFeed | null = null;
  let link: FollowedStream | null = null;
  let source: SurveyedNode | null = null;
  /** What a change of mind while the stream is read asks for. */
  let next: readonly Action[] | null = null;
  let inStepAtMs: number | null = null;
  /** Of the primary, when it was looked at last. */
  let groupOffset: number | null = null;
  let done: Promise<void> = Promise.resolve();

  const writer = createSegmentWriter({
    group,
    segments,
    clock,
    logger,
    onStored: (stored, bytes) => {
      const rawBytes = stored.offset - (head?.timeline === stored.timeline ? head.offset : stored.offset);
      head = stored;
      acknowledge();
      options.onStored(stored, bytes, rawBytes);
      changes.ring();
    },
    onFailed: ({ kind, detail }) => {
      // With a conflict the other writer is right: what it wrote is looked at, and gone on from there.
      endsOfOwner.abort(new Error(kind === 'conflict' ? `another worker writes: ${detail}` : detail));
      if (kind === 'defect') tell({ kind: 'cannot-continue', reason: 'repository', detail });
    },
  });
  let endsOfOwner = new AbortController();

  const rules = () => ({
    maxLagBytes: options.maxLagBytes,
    hasSentinels: options.hasSentinels,
    continueWithinMs: options.continueWithinMs,
    primaryAfterMs: options.primaryAfterMs,
    nowMs: clock.monotonicMs(),
  });

  const apply = (input: Input): readonly Action[] => {
    const before = state;
    const step = stepArchiver<SurveyedNode>(state, input, rules());
    ({ state } = step);
    if (before.waitsFor !== state.waitsFor) changes.ring();
    if (before.why.join() !== state.why.join() && state.why.length > 0)
      logger.debug({ group, why: state.why }, 'archive.waits');
    return step.actions;
  };
  /** An input from outside the loop: while the stream is read it may end that. */
  const tell = (input: Input): void => {
    const actions = apply(input);
    if (actions.length === 0) return;
    next = actions;
    link?.close();
  };

  const acknowledge = (): void => {
    if (link === null || head === null || feed === null) return;
    if (head.timeline === feed.timeline && head.offset <= link.receivedOffset()) link.acknowledge(head.offset);
  };

  const connect = async (
    action: Extract<Action, { kind: 'connect' }>,
    signal: AbortSignal,
  ): Promise<readonly Action[]> => {
    source = action.source;
    const { host, port } = source;
    try {
      link = await options.follow({
        ...options.credentials,
        host,
        port,
        ...(action.place === null ? {} : { position: action.place }),
        ...(action.announce === null ? {} : { announce: action.announce }),
        // A primary that a Sentinel watches must not count us among its replicas.
        acknowledges: !(options.hasSentinels && state.isPrimary),
        signal: AbortSignal.any([signal, answerSignal(signal)]),
      });
    } catch (error) {
      return ended(error, signal);
    }
    const { start } = link;
    return start.kind === 'continue'
      ? apply({ kind: 'continued', replicationId: start.replicationId })
      : apply({ kind: 'full', place: start });
  };
  // The answer to PSYNC may wait for a fork; the connection itself must outlive this deadline.
  const answerSignal = (signal: AbortSignal): AbortSignal => {
    const late = new AbortController();
    const asked = link;
    void clock
      .sleep(answerWithinMs, signal)
      .then(() => {
        if (link === asked && state.waitsFor === 'answer') late.abort(new Error('the source did not answer'));
      })
      .catch(() => undefined);
    return late.signal;
  };

  const begin = async (action: Extract<Action, { kind: 'begin' }>, signal: AbortSignal): Promise<readonly Action[]> => {
    if (link === null || source === null) return ended(new Error('the connection is gone'), signal);
    const { start, reason, detail, previous } = action;
    logger.info({ group, source: source.name, reason, detail, previous }, 'archive.copying');
    let first: Awaited<ReturnType<StoreFirst>>;
    try {
      first = await options.storeFirst({ link, start, source }, signal);
    } catch (error) {
      if (!signal.aborted && !(error instanceof ReplicationLinkError))
        await clock.sleep(troublePauseMs, signal).catch(() => undefined);
      return ended(error, signal);
    }
    if (signal.aborted || source.server === null) {
      await first.discard();
      return ended(new Error('the source did not say which server it is'), signal);
    }
    const startedAtMs = clock.unixMs();
    const timeline: Timeline = {
      formatVersion: 1,
      id: timelineIdFor(startedAtMs, state.place?.timeline ?? null),
      group,
      startedAtMs,
      start: { replicationId: start.replicationId, offset: start.offset },
      server: source.server,
      reason,
      detail: detail.slice(0, 500),
      previous,
    };
    // What the old timeline still holds in memory is stored first.
    feed?.cutOff();
    writer.begin(timeline);
    feed = feedOf(timeline.id, { offset: start.offset, replicationId: start.replicationId, database: first.database });
    first.publish(timeline.id);
    logger.info({ group, timeline: timeline.id, reason, detail, previous }, 'archive.timeline');
    inStepAtMs ??= startedAtMs;
    options.onTimeline(timeline);
    return apply({ kind: 'timeline-begun', place: { timeline: timeline.id, ...timeline.start } });
  };

  const feedOf = (timeline: string, start: Parameters<typeof createStreamFeed>[0]['start']): StreamFeed =>
    createStreamFeed({ timeline, start, writer, limits: options.limits, arrived: changes, clock, logger });

  const followNow = async (renamed: boolean, signal: AbortSignal): Promise<readonly Action[]> => {
    if (link === null || feed === null) return ended(new Error('the connection is gone'), signal);
    const { place, source: name, isPrimary } = state;
    if (renamed && place !== null) feed.rename(place.replicationId);
    logger.info({ group, source: name, offset: place?.offset, renamed }, 'archive.following');
    if (isPrimary && options.hasSentinels) logger.warn({ group, source: name }, 'archive.from_primary');
    acknowledge();
    const watching = new AbortController();
    watch(AbortSignal.any([signal, watching.signal])).catch(() => undefined);
    try {
      return await feed.pump(link, signal);
    } catch (error) {
      return ended(error, signal);
    } finally {
      watching.abort(new Error('the stream is over'));
    }
  };

  const watch = async (signal: AbortSignal): Promise<never> => {
    for (;;) {
      const survey = await options.survey();
      signal.throwIfAborted();
      noteStep(survey);
      await clock.sleep(watchEveryMs, signal);
    }
  };
  const noteStep = ({ nodes }: GroupSurvey): void => {
    const offsets = nodes
      .filter(({ role, state: of }) => role === 'primary' && of === 'ok')
      .map(({ offset }) => offset ?? 0);
    groupOffset = offsets.length === 0 ? null : Math.max(...offsets);
    if (behindBytes() === 0) inStepAtMs = clock.unixMs();
    const at = feed?.boundary();
    tell({ kind: 'looked', candidates: nodes, ...(at === undefined ? {} : { at }) });
  };

  const behindBytes = (): number | null =>
    link === null || groupOffset === null ? null : Math.max(0, groupOffset - link.receivedOffset());

  /** What follows when a connection is over, or what somebody wished meanwhile. */
  const ended = (error: unknown, signal: AbortSignal): readonly Action[] => {
    const wished = next;
    next = null;
    link?.close();
    link = null;
    groupOffset = null;
    feed?.cutOff();
    const bounds = feed?.boundary();
    const place =
      feed === null || bounds === undefined
        ? null
        : { timeline: feed.timeline, replicationId: bounds.replicationId, offset: bounds.offset };
    if (signal.aborted) return [];
    const detail = textOf(error);
    if (wished !== null) {
      if (place !== null) state = { ...state, place };
      return wished;
    }
    logger.info({ group, source: state.source, detail }, 'archive.link_ended');
    const isUnusable =
      error instanceof TransactionTooLongError ||
      (error instanceof ReplicationLinkError && error.code === 'protocol_error' && state.waitsFor === 'stream');
    const actions = apply({ kind: 'ended', place, detail });
    if (isUnusable) apply({ kind: 'cannot-continue', reason: 'gap', detail });
    return isUnusable ? [{ kind: 'look', afterMs: troublePauseMs }] : actions;
  };

  const perform = async (action: Action, signal: AbortSignal): Promise<readonly Action[]> => {
    switch (action.kind) {
      case 'look': {
        if (action.afterMs > 0) await clock.sleep(action.afterMs, signal);
        return apply({ kind: 'looked', candidates: (await options.survey()).nodes });
      }
      case 'connect':
        return connect(action, signal);
      case 'begin':
        return begin(action, signal);
      case 'follow':
        return followNow(action.renamed, signal);
      case 'leave':
        link?.close();
        link = null;
        logger.info({ group, detail: action.detail }, 'archive.left');
        return [];
      case 'stand-by':
        return [];
    }
  };

  const archive = async (signal: AbortSignal): Promise<void> => {
    const end = await findEnd(segments, group, signal);
    feed = null;
    writer.reset(null);
    head = null;
    if (end !== null) {
      const { place, atMs, resume, problem } = end;
      head = { ...place, atMs };
      if (resume !== null) {
        writer.reset({ timeline: place.timeline, chain: resume.chain });
        feed = feedOf(place.timeline, { ...place, database: resume.database });
      } else apply({ kind: 'cannot-continue', reason: 'repository', detail: problem ?? '' });
    }
    const writing = writer.run(signal);
    writing.catch((error: unknown) => {
      if (!signal.aborted) endsOfOwner.abort(error);
    });
    let actions: readonly Action[] = apply({ kind: 'owned', place: end?.place ?? null });
    while (!signal.aborted) {
      const [action, ...rest] = actions;
      if (action === undefined) throw new Error(`The archiver has nothing to do while it waits for ${state.waitsFor}.`);
      const following = await perform(action, signal);
      actions = [...rest, ...following];
    }
  };

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await ownership.whenHeld(stopping.signal);
        endsOfOwner = new AbortController();
        await archive(AbortSignal.any([stopping.signal, ownership.held(), endsOfOwner.signal]));
      } catch (error) {
        if (stopping.signal.aborted) return;
        logger.warn({ group, detail: textOf(error) }, 'archive.interrupted');
      }
      endsOfOwner.abort(new Error('it begins again'));
      link?.close();
      link = null;
      next = null;
      apply({ kind: 'disowned' });
      await clock.sleep(troublePauseMs / 2, stopping.signal).catch(() => undefined);
    }
  };

  /** What has arrived is worth a moment before the end. */
  const drain = async (): Promise<void> => {
    if (feed === null || state.waitsFor !== 'stream') return;
    feed.seal();
    const late = AbortSignal.timeout(drainMs);
    while (writer.waiting() > 0 && writer.trouble() === null && !late.aborted)
      await writer.changed(late).catch(() => undefined);
  };

  return {
    name: 'archiver',
    stopDeadlineMs: drainMs + 5_000,
    start: () => {
      done = run();
      return Promise.resolve();
    },
    stop: async () => {
      await drain();
      stopping.abort(new Error('the worker stops'));
      link?.close();
      await done;
    },
    state: () => state,
    feed: () => feed,
    writer,
    head: () => head,
    changes,
    inStepAtMs: () => inStepAtMs,
    behindBytes,
    beginAnew: (reason, detail) => tell({ kind: 'cannot-continue', reason, detail }),
    setHead: (found) => {
      if (state.waitsFor === 'ownership') head = found;
    },
  };
}
