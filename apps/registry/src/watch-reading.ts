// How does a client without event streams stay up to date? Long-poll: its read waits until there is something newer than its cursor.
import type { CatalogView, Cursor } from '@switchyard/catalog';
import type { PlainReply, Reply } from '@switchyard/http';
import { durationSchema, parseDurationMs, refuse } from '@switchyard/protocol';
import type { Refusal } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import { answerFrom } from './reading.ts';
import { cursorSchema, idOf } from './watch-cursor.ts';
import type { WatchHub } from './watch-hub.ts';

const LONGEST_WAIT_MS = 600_000;
const DEFAULT_WAIT_MS = 30_000;

/** Query of a list that can be waited for. */
export const waitQuery = {
  after: cursorSchema.optional(),
  wait: durationSchema(0, LONGEST_WAIT_MS)
    .optional()
    .meta({ description: 'with after: how long to wait for something newer, 0s to 10m; 30s unless given' }),
};

/** Of a route whose query has `waitQuery`. */
export const longPollTimeoutMs = LONGEST_WAIT_MS + 10_000;

export const LONG_POLL_DESCRIPTION = `Every answer has its cursor in the header \`switchyard-cursor\`. With after=<cursor> the answer comes as soon
as there is something newer, at once when there is already or when the cursor is of another epoch, else after \`wait\` with the same list. The
cursor of a service moves with changes of that service alone. An answer may come without anything being newer. The
control listener gives up after a minute: through it, wait less than that.`;

/** What can be waited for, and how long somebody wants to. */
export interface WaitRequest {
  /** undefined: all of them */
  readonly service: string | undefined;
  readonly query: { readonly after?: Cursor | undefined; readonly wait?: string | undefined };
  readonly signal: AbortSignal;
}

/** Answers from the view, with the cursor, when there is something newer than what the client knows or its wait is over. */
export async function answerWhenNewer(
  from: { readonly feed: CatalogFeed; readonly hub: WatchHub },
  { service, query, signal }: WaitRequest,
  read: (view: CatalogView) => PlainReply | Refusal,
): Promise<Reply> {
  const { feed, hub } = from;
  const waitMs = parseDurationMs(query.wait ?? '') ?? DEFAULT_WAIT_MS;
  if (query.after && waitMs > 0 && feed.status().loaded) {
    const waited = await hub.newer(service, { after: query.after, waitMs, signal });
    if (!waited) {
      const { error } = refuse('overloaded', 'too many requests wait for changes here already');
      return { refusal: error, headers: { 'retry-after': '1' } };
    }
  }
  const reply = answerFrom(feed, read);
  const headers = { 'switchyard-cursor': idOf(hub.cursor(service)) };
  if ('status' in reply) return { ...reply, headers: { ...reply.headers, ...headers } };
  // also a service that is gone can be waited for
  return reply.code === 'not_found' ? { refusal: reply, headers } : reply;
}
