// How does a watcher see every event once, across reconnects? Listen first, then fetch what it missed, then go on in order.
import type { CatalogStore, Cursor } from '@switchyard/catalog';
import type { SseStream } from '@switchyard/http';
import type { EventType, SwitchyardEvent } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';

const PAGE = 512;

/** The cursor in an event id, `<epoch>.<revision>`. */
export function cursorOf(id: string | undefined): Cursor | undefined {
  const match = /^(\d{1,15})\.(\d{1,16})$/.exec(id ?? '');
  return match ? { epoch: Number(match[1]), revision: Number(match[2]) } : undefined;
}

/** Topics are the first words of event types: `instance`, `service`, `route`, `catalog`, `redis`, `backup`. */
export const topicOf = (type: EventType): string => type.slice(0, type.indexOf('.'));

const idOf = ({ epoch, revision }: Cursor): string => `${epoch}.${revision}`;

/**
 * Sends to one watcher: from `after` on when it resumes, else from now on. Frames: `start` (where it begins), the events,
 * `reset` (events are missing: read the catalog of this registry again, then go on from the frame's id). Only a watcher that
 * missed something needs Redis; rejects when it is away then.
 */
export async function streamEvents(options: {
  readonly sse: SseStream;
  readonly feed: CatalogFeed;
  readonly store: CatalogStore;
  readonly after: Cursor | undefined;
  readonly wants: (event: SwitchyardEvent) => boolean;
}): Promise<void> {
  const { sse, feed, store, after, wants } = options;
  const position = (): Cursor => {
    const { epoch, revision } = feed.status();
    return { epoch, revision };
  };
  let sent: Cursor = after ?? position();
  let live = false;

  // To where this registry's own view is, which the watcher reads next: it may be behind Redis, and must not be ahead of it.
  const reset = (reason: string): void => {
    sent = position();
    sse.send({ id: idOf(sent), event: 'reset', data: { ...sent, reason } });
  };
  const send = (event: SwitchyardEvent): void => {
    if (event.epoch !== sent.epoch || event.revision <= sent.revision) return;
    sent = { epoch: event.epoch, revision: event.revision };
    if (wants(event)) sse.send({ id: event.id, event: event.type, data: event });
  };
  const stopListening = feed.listen((news) => {
    if (news.type === 'reset') reset('the catalog was read anew: events may be missing');
    else if (live) send(news.event);
  });
  sse.closed.addEventListener('abort', stopListening, { once: true });
  if (sse.closed.aborted) stopListening();

  if (!after) sse.send({ id: idOf(sent), event: 'start', data: sent });
  // What it has missed. `live` is set in the same turn in which nothing is missing, so nothing falls in between.
  let fetched = after === undefined;
  while (!sse.closed.aborted) {
    const now = position();
    if (sent.epoch === now.epoch && sent.revision === now.revision) break;
    // further than this registry's view, or in an epoch that it has not seen yet: nothing to fetch, the view will follow
    if (fetched && (sent.epoch !== now.epoch || sent.revision > now.revision)) break;
    const from = sent;
    const tail = await store.tail(from, PAGE);
    // a reset came first: what was fetched belongs to the time before it
    if (sent !== from) continue;
    fetched = true;
    if (tail.type === 'gap') reset('events between your last one and now are no longer kept');
    else for (const event of tail.events) send(event);
  }
  live = true;
}
