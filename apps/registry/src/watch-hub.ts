// How do many watchers learn of one change? The feed tells it once; it is serialised once, kept in a ring, and written to those whom
// it concerns. Redis has no more work by it, however many watch.
import type { CatalogView, Cursor } from '@switchyard/catalog';
import { frameOf, keepAliveChunk, sseChunk } from '@switchyard/http';
import type { SseChunk, SseStream } from '@switchyard/http';
import type { CatalogFeed, FeedNews } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger, Metrics } from '@switchyard/runtime';
import { idOf } from './watch-cursor.ts';
import { createWatchGroups, wants } from './watch-groups.ts';
import type { WatchFilter } from './watch-groups.ts';
import { createServiceRevisions } from './watch-revisions.ts';
import { createEventRing, entryOf } from './watch-ring.ts';
import { createWatchSnapshots } from './watch-snapshot.ts';
import type { ReadySnapshot } from './watch-snapshot.ts';
import { createWatchWaiters } from './watch-waiters.ts';

const RING_EVENTS = 16_384;
const RING_BYTES = 16 * 1024 * 1024;
const MOST_WAITERS = 20_000;
/** Every stream hears something at least this often; a part of them at each tick, so that nothing stops for all of them. */
const KEEP_ALIVE_MS = 15_000;
const KEEP_ALIVE_PARTS = 60;
const REREAD = 'the catalog was read anew: events may be missing';

/** Events of the ring for one who resumes. */
export interface Missed {
  readonly frames: readonly Buffer[];
  /** everything up to this revision was looked at */
  readonly upTo: number;
}

/** What a watcher is given when it joins. */
export interface Joining {
  readonly stream: SseStream;
  readonly filter: WatchFilter;
}

export interface WatchHub extends Component {
  /** Where this registry stands. */
  position(): Cursor;
  /** Rises whenever the catalog was read anew: what was fetched before belongs to another time. */
  generation(): number;
  /** Sends `start` or a snapshot; returns where the watcher is then. */
  begin(joining: Joining): Cursor;
  /** Sends `reset`, and a snapshot if the watcher wants one; returns where it is then. */
  reset(joining: Joining, reason?: string): Cursor;
  /** Up to `maxBytes` of what came after `revision`; undefined when the ring no longer has it. */
  missed(revision: number, filter: WatchFilter, maxBytes: number): Missed | undefined;
  /** From now on the watcher gets every event after `sent`, which is this registry's position or lies ahead of it. */
  join(joining: Joining, sent: Cursor): void;
  /** Where a service (all when undefined) last changed. */
  cursor(service: string | undefined): Cursor;
  /** Waits until the cursor of the service is newer than `after`; false when too many wait already. */
  newer(
    service: string | undefined,
    options: { readonly after: Cursor; readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<boolean>;
}

/** A hub behind `feed`; it must start before the feed does. */
export function createWatchHub(options: {
  readonly feed: CatalogFeed;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly ring?: { readonly maxEvents: number; readonly maxBytes: number };
  readonly keepAliveMs?: number;
  readonly mostWaiters?: number;
}): WatchHub {
  const { feed, clock, logger, metrics, keepAliveMs = KEEP_ALIVE_MS } = options;
  const ring = createEventRing(options.ring ?? { maxEvents: RING_EVENTS, maxBytes: RING_BYTES });
  const groups = createWatchGroups();
  const waiters = createWatchWaiters(options.mostWaiters ?? MOST_WAITERS);
  const revisions = createServiceRevisions();
  const snapshots = createWatchSnapshots();
  const wakeUps = metrics.counter('watch_wakeups_total', 'Writes to streams and answers to waiting requests', ['kind']);
  const streamWakeUps = wakeUps.labels({ kind: 'stream' });
  const waiterWakeUps = wakeUps.labels({ kind: 'long-poll' });
  metrics.gauge('watchers', 'Open streams and waiting requests', {
    labels: ['kind'],
    collect: (gauge) => {
      gauge.set({ kind: 'stream' }, groups.size);
      gauge.set({ kind: 'long-poll' }, waiters.size);
    },
  });
  let epoch = 0;
  let generation = 0;
  let flushing = false;
  let draining = false;
  let joined = 0;
  let part = 0;

  const position = (): Cursor => ({ epoch, revision: ring.latest });
  const flush = (): void => {
    flushing = false;
    const written = groups.flush();
    if (written > 0) streamWakeUps.inc(written);
  };
  /** Events that came in one turn are one write for each watcher. */
  const flushSoon = (): void => {
    if (flushing) return;
    flushing = true;
    queueMicrotask(flush);
  };
  /** Without an id when a snapshot follows: whoever is cut off in between must not resume as if it had the snapshot. */
  const resetChunk = (reason: string, { snapshot }: WatchFilter): SseChunk => {
    const id = snapshot ? {} : { id: idOf(position()) };
    return sseChunk([frameOf({ ...id, event: 'reset', data: { ...position(), reason } })]);
  };
  /** Never older than the last change of what it shows: a client that knows more would not believe it. */
  const snapshotFor = ({ services }: WatchFilter): ReadySnapshot => {
    const changed = services ? Math.max(...services.map((service) => revisions.of(service))) : ring.latest;
    return snapshots.of(feed.view, services, Math.max(ring.floor, changed));
  };
  const sendSnapshot = ({ stream, filter }: Joining): Cursor => {
    const { revision, chunk } = snapshotFor(filter);
    stream.write(chunk);
    return { epoch, revision };
  };

  const onReset = (view: CatalogView): void => {
    flush();
    ({ epoch } = view);
    ring.reset(view.revision);
    revisions.reset(view.revision);
    snapshots.clear();
    generation += 1;
    for (const { filter, members } of groups.all()) {
      const chunk = resetChunk(REREAD, filter);
      const snapshot = filter.snapshot ? snapshotFor(filter).chunk : undefined;
      for (const watcher of members) {
        watcher.aheadOf = 0;
        watcher.stream.write(chunk);
        if (snapshot) watcher.stream.write(snapshot);
      }
      streamWakeUps.inc(members.size);
    }
    waiterWakeUps.inc(waiters.wakeAll());
  };
  const onNews = (news: FeedNews): void => {
    if (news.type === 'reset') {
      onReset(news.view);
      return;
    }
    const entry = entryOf(news.event);
    ring.push(entry);
    groups.push(entry);
    flushSoon();
    if (news.change.type !== 'service') return;
    revisions.moved(news.change.service, entry.revision);
    const woken = waiters.moved(news.change.service, entry.revision);
    if (woken > 0) waiterWakeUps.inc(woken);
  };

  /** A part of the streams at each tick; whoever has seen everything up to here resumes from here. */
  const keepAlive = (): Promise<void> => {
    flush();
    part = (part + 1) % KEEP_ALIVE_PARTS;
    const here = keepAliveChunk(idOf(position()));
    const anywhere = keepAliveChunk();
    for (const { members } of groups.all()) {
      for (const watcher of members) {
        if (watcher.part === part) watcher.stream.write(watcher.aheadOf <= ring.latest ? here : anywhere);
      }
    }
    return Promise.resolve();
  };
  const everyMs = Math.max(1, keepAliveMs / KEEP_ALIVE_PARTS);
  const ticker = createTicker({ name: 'keep-alive', everyMs, run: keepAlive, clock, logger });
  let stopListening: (() => void) | undefined;

  return {
    name: 'watch-hub',
    position,
    generation: () => generation,
    begin(joining) {
      flush();
      if (joining.filter.snapshot) return sendSnapshot(joining);
      joining.stream.send({ id: idOf(position()), event: 'start', data: position() });
      return position();
    },
    reset(joining, reason = REREAD) {
      flush();
      joining.stream.write(resetChunk(reason, joining.filter));
      return joining.filter.snapshot ? sendSnapshot(joining) : position();
    },
    missed(revision, filter, maxBytes) {
      const entries = ring.after(revision);
      if (!entries) return undefined;
      const frames: Buffer[] = [];
      let bytes = 0;
      let upTo = revision;
      for (const entry of entries) {
        if (bytes >= maxBytes) break;
        upTo = entry.revision;
        if (!wants(filter, entry)) continue;
        frames.push(entry.frame);
        bytes += entry.frame.length;
      }
      return { frames, upTo };
    },
    join({ stream, filter }, sent) {
      flush();
      joined += 1;
      const aheadOf = sent.epoch === epoch ? sent.revision : Infinity;
      groups.add(filter, { stream, aheadOf, part: joined % KEEP_ALIVE_PARTS });
    },
    cursor: (service) => ({ epoch, revision: revisions.of(service) }),
    async newer(service, { after, waitMs, signal }) {
      if (draining || after.epoch !== epoch || revisions.of(service) > after.revision) return true;
      return await waiters.wait(service, { after: after.revision, waitMs, signal });
    },
    async start(signal) {
      stopListening = feed.listen(onNews);
      await ticker.start(signal);
    },
    drain() {
      draining = true;
      waiters.wakeAll();
      return Promise.resolve();
    },
    async stop() {
      stopListening?.();
      waiters.wakeAll();
      await ticker.stop();
    },
  };
}
