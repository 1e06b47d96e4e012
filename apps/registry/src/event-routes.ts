// How do people and programs see what happened? History by cursor, and a live stream that resumes exactly.
import type { CatalogStore } from '@switchyard/catalog';
import type { Route } from '@switchyard/http';
import { openSse, route } from '@switchyard/http';
import { eventSchema, eventTypes, refuse } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import type { Logger } from '@switchyard/runtime';
import { z } from 'zod';
import { cursorOf, streamEvents, topicOf } from './event-stream.ts';

const topics = [...new Set(eventTypes.map(topicOf))];
const topicList = z
  .string()
  .max(200)
  .transform((text) => text.split(',').map((each) => each.trim()))
  .refine((list) => list.every((topic) => topics.includes(topic)), `must be some of ${topics.join(', ')}`);

const historyQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  before: z.coerce.number().int().min(1).optional(),
  topics: topicList.optional(),
});
const historySchema = z.object({ events: z.array(eventSchema), next: z.int().nullable() }).meta({ id: 'EventHistory' });

/** Routes for `/v1/events` and `/v1/stream`. */
export const eventRoutes = (store: CatalogStore, feed: CatalogFeed, logger: Logger): Route[] => [
  route({
    method: 'get',
    path: '/v1/events',
    summary: 'What happened, newest first; `next` is the cursor for `before`',
    tags: ['events'],
    query: historyQuery,
    responses: { 200: { description: 'Events', schema: historySchema } },
    handle: async ({ query }) => {
      const { events: page, next } = await store.history(query.before, query.limit);
      const events = page.filter((event) => query.topics?.includes(topicOf(event.type)) ?? true);
      const same = query.topics ? `&topics=${query.topics.join(',')}` : '';
      const link = next === null ? {} : { link: `</v1/events?limit=${query.limit}&before=${next}${same}>; rel="next"` };
      return { status: 200, body: { events, next }, headers: link };
    },
  }),
  route({
    method: 'get',
    path: '/v1/stream',
    summary: 'Events as they happen (server-sent events); Last-Event-ID resumes exactly or says `reset`',
    tags: ['events'],
    query: z.strictObject({ topics: topicList.optional() }),
    responses: { 200: { description: 'The stream', mediaType: 'text/event-stream' } },
    handle: ({ query, headers }) => {
      if (!feed.status().loaded) return refuse('not_ready', 'the catalog has not been read yet').error;
      const last = String(headers['last-event-id'] ?? '').trim();
      const after = cursorOf(last);
      if (last !== '' && !after) {
        const why = ['Last-Event-ID: must be the id of an event, such as 1700000000.42'];
        return refuse('invalid_input', `Last-Event-ID is not an event id: ${last.slice(0, 60)}`, { why }).error;
      }
      return {
        stream: (res, req) => {
          const sse = openSse(req, res);
          const wants = ({ type }: { type: (typeof eventTypes)[number] }): boolean =>
            query.topics?.includes(topicOf(type)) ?? true;
          streamEvents({ sse, feed, store, after, wants }).catch((error: unknown) => {
            logger.debug({ err: error }, 'stream.broken');
            // the watcher comes back with its last id
            sse.close();
          });
        },
      };
    },
  }),
];
