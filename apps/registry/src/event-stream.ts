// How does a watcher see every event once, across reconnects? Listen first, then fetch what it missed, then go on in order.
import type { CatalogStore, Cursor } from '@switchyard/catalog';
import type { SseStream } from '@switchyard/http';
import type { EventType, SwitchyardEvent } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';

const PAGE = 512;
/** Live events kept while the missed ones are fetched; a watcher that needs more gets a reset. */
const MAX_WAITING = 10_000;

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
 * `reset` (events are missing: read the catalog again, then go on from the frame's id).
 */
export async function streamEvents(options: {
  readonly sse: SseStream;
  readonly feed: CatalogFeed;
  readonly store: CatalogStore;
  readonly after: Cursor | undefined;
  readonly wants: (event: SwitchyardEvent) => boolean;
}): Promise<void> {
  const { sse, feed, store, after, wants } = options;
  let sent: Cursor = after ?? feed.status();
  let waiting: SwitchyardEvent[] | undefined = [];

  const reset = (to: Cursor, reason: string): void => {
    sent = to;
    sse.send({ id: idOf(to), event: 'reset', data: { ...to, epoch: to.epoch, revision: to.revision, reason } });
  };
  const send = (event: SwitchyardEvent): void => {
    if (event.epoch === sent.epoch && event.revision <= sent.revision) return;
    sent = { epoch: event.epoch, revision: event.revision };
    if (wants(event)) sse.send({ id: event.id, event: event.type, data: event });
  };
  const stopListening = feed.listen((news) => {
    if (news.type === 'event') {
      if (!waiting) send(news.event);
      else if (waiting.length < MAX_WAITING) waiting.push(news.event);
      return;
    }
    waiting = waiting && [];
    reset({ epoch: news.view.epoch, revision: news.view.revision }, 'the catalog was read anew: events may be missing');
  });
  sse.closed.addEventListener('abort', stopListening, { once: true });
  if (sse.closed.aborted) stopListening();

  if (!after) {
    const { epoch, revision } = sent;
    sse.send({ id: idOf(sent), event: 'start', data: { epoch, revision } });
  }
  for (;;) {
    const tail = await store.tail(sent, PAGE);
    if (tail.type === 'gap') {
      reset(tail.cursor, 'events between your last one and now are no longer kept');
      break;
    }
    for (const event of tail.events) send(event);
    if (tail.events.length < PAGE || sse.closed.aborted) break;
  }
  for (const event of waiting ?? []) send(event);
  waiting = undefined;
}
