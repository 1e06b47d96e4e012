// How does a watcher see every event once, across reconnects? From the ring in memory, before that from Redis, and otherwise it is
// told so: `reset`.
//
//   BEHIND --what it missed, page by page--> LIVE (in the hub: gets every event in order)
//      \--no longer kept, another epoch--> reset --> LIVE
import type { CatalogStore, Cursor, Tail } from '@switchyard/catalog';
import { sseChunk } from '@switchyard/http';
import type { SseStream } from '@switchyard/http';
import type { Clock } from '@switchyard/runtime';
import { idOf } from './watch-cursor.ts';
import { wants } from './watch-groups.ts';
import type { WatchFilter } from './watch-groups.ts';
import type { WatchHub } from './watch-hub.ts';
import { entryOf } from './watch-ring.ts';

const PAGE_EVENTS = 512;
const PAGE_BYTES = 256 * 1024;
/** A reader that has not taken a page of what it missed after so long is let go; it comes back with its last id. */
const PAGE_DEADLINE_MS = 30_000;
const PAGE_LOOK_MS = 1;
const UNCLAIMED_WAIT_MS = 500;

/** What came after a cursor, from Redis. */
export type ReadTail = (after: Cursor) => Promise<Tail>;

/** Watchers who left at the same place, such as all of a registry that is gone, share one question to Redis. */
export function createTailReader(store: Pick<CatalogStore, 'tail'>): ReadTail {
  const asked = new Map<string, Promise<Tail>>();
  return (after) => {
    const id = idOf(after);
    const known = asked.get(id);
    if (known) return known;
    const tail = store.tail(after, PAGE_EVENTS).finally(() => asked.delete(id));
    asked.set(id, tail);
    return tail;
  };
}

/**
 * Serves one watcher: from `after` on when it resumes, else from now on. Frames: `start` or `snapshot` (where it begins), the events,
 * `reset` (events are missing: the snapshot that follows, or the catalog of this registry, says where things stand). Resolves when the
 * watcher is in the hub. Only a watcher whose events are no longer in memory needs Redis; rejects when it is away then.
 */
export async function streamEvents(options: {
  readonly stream: SseStream;
  readonly hub: WatchHub;
  readonly readTail: ReadTail;
  readonly clock: Clock;
  readonly filter: WatchFilter;
  readonly after: Cursor | undefined;
}): Promise<void> {
  const { stream, hub, readTail, clock, filter, after } = options;
  const joining = { stream, filter };
  const generation = hub.generation();
  const joinAt = (sent: Cursor): void => {
    let { revision } = sent;
    if (sent.epoch === hub.position().epoch && revision < hub.position().revision) {
      const rest = hub.missed(revision, filter, Infinity);
      if (rest && rest.frames.length > 0) stream.write(sseChunk(rest.frames));
      revision = rest?.upTo ?? revision;
    }
    hub.join(joining, { ...sent, revision });
  };

  if (!after) {
    joinAt(hub.begin(joining));
    return;
  }
  let sent = after;
  /** Redis has confirmed that there is nothing between here and what this registry has not seen yet. */
  let confirmed = false;
  while (!stream.closed.aborted) {
    if (hub.generation() !== generation) {
      joinAt(hub.reset(joining));
      return;
    }
    const now = hub.position();
    const isAhead = sent.epoch !== now.epoch || sent.revision > now.revision;
    const missed = isAhead ? undefined : hub.missed(sent.revision, filter, PAGE_BYTES);
    if (missed) {
      if (missed.frames.length > 0) stream.write(sseChunk(missed.frames));
      sent = { epoch: now.epoch, revision: missed.upTo };
      if (missed.upTo === now.revision) {
        hub.join(joining, sent);
        return;
      }
      await taken(stream, clock);
      continue;
    }
    if (isAhead && confirmed) {
      hub.join(joining, sent);
      return;
    }
    const tail = await readTail(sent);
    if (hub.generation() !== generation) continue;
    if (tail.type === 'gap') {
      joinAt(hub.reset(joining, 'events between your last one and now are no longer kept'));
      return;
    }
    if (tail.type === 'events') {
      const entries = tail.events.map(entryOf);
      const wanted = entries.filter((entry) => wants(filter, entry));
      if (wanted.length > 0) stream.write(sseChunk(wanted.map(({ frame }) => frame)));
      sent = { epoch: sent.epoch, revision: entries.at(-1)?.revision ?? sent.revision };
      confirmed = true;
      await taken(stream, clock);
    }
    // Redis has gone back, and the next epoch has not begun
    if (tail.type !== 'events' || (tail.events.length === 0 && !isAhead)) {
      await clock.sleep(UNCLAIMED_WAIT_MS, stream.closed);
    }
  }
}

/** Lets others have their turn, and waits until the reader has taken most of it: a long way back never lies in memory as a whole. */
async function taken(stream: SseStream, clock: Clock): Promise<void> {
  const untilMs = clock.monotonicMs() + PAGE_DEADLINE_MS;
  do {
    if (clock.monotonicMs() > untilMs) throw new Error('the watcher does not read');
    await clock.sleep(PAGE_LOOK_MS, stream.closed);
  } while (stream.unreadBytes() > PAGE_BYTES);
}
