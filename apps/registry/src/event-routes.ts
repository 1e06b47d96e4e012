// How do people and programs see what happened? History by cursor, and a live stream that resumes exactly.
import type { CatalogStore } from '@switchyard/catalog';
import type { Route } from '@switchyard/http';
import { openSse, route } from '@switchyard/http';
import { eventSchema, eventTypes, refuse, serviceNameSchema } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import type { Clock, Logger } from '@switchyard/runtime';
import { z } from 'zod';
import { createTailReader, streamEvents } from './event-stream.ts';
import { cursorOf } from './watch-cursor.ts';
import type { WatchHub } from './watch-hub.ts';
import { topicOf } from './watch-ring.ts';

const topics = [...new Set(eventTypes.map(topicOf))];
const topicList = z
  .string()
  .max(200)
  .transform((text) => text.split(',').map((each) => each.trim()))
  .refine((list) => list.every((topic) => topics.includes(topic)), `must be some of ${topics.join(', ')}`);

const MOST_SERVICES = 256;
/** `service=a&service=b` and `service=a,b` are the same. */
const serviceList = z
  .union([z.string(), z.array(z.string())])
  .transform((given) => [...new Set([given].flat().flatMap((text) => text.split(',').map((each) => each.trim())))])
  .pipe(z.array(serviceNameSchema).min(1).max(MOST_SERVICES))
  .meta({ description: 'only events of instances and policies of these services; repeatable, or a list with commas' });

const streamQuery = z.strictObject({
  topics: topicList.optional(),
  service: serviceList.optional(),
  snapshot: z.enum(['true', 'false']).default('false').meta({
    description: 'true: begin with the whole state, and send it again after each reset',
  }),
});

const STREAM_DESCRIPTION = `Frames: \`start\` (where the stream begins), or with snapshot=true \`snapshot\`
({ epoch, revision, services: [{ name, policy, revision, instances: [...] }], routes }, the routes only without \`service\`); then each
event under its type, with its id; \`reset\` when events are missing: read the catalog again, or with snapshot=true take the snapshot that
follows. Frames without data carry the id from which to resume: also a stream that was silent for hours resumes exactly. A client that
does not read is cut off, and resumes by its last id. A stream that resumes brings the events that it has missed and no snapshot.`;

const historyQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  before: z.coerce.number().int().min(1).optional(),
  topics: topicList.optional(),
});
const historySchema = z.object({ events: z.array(eventSchema), next: z.int().nullable() }).meta({ id: 'EventHistory' });

/** What the routes read from. */
export interface EventRoutesOptions {
  readonly store: CatalogStore;
  readonly feed: CatalogFeed;
  readonly hub: WatchHub;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Routes for `/v1/events` and `/v1/stream`. */
export const eventRoutes = ({ store, feed, hub, clock, logger }: EventRoutesOptions): Route[] => {
  const readTail = createTailReader(store);
  return [
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
        const link =
          next === null ? {} : { link: `</v1/events?limit=${query.limit}&before=${next}${same}>; rel="next"` };
        return { status: 200, body: { events, next }, headers: link };
      },
    }),
    route({
      method: 'get',
      path: '/v1/stream',
      summary: 'Events as they happen (server-sent events); Last-Event-ID resumes exactly or says `reset`',
      description: STREAM_DESCRIPTION,
      tags: ['events'],
      query: streamQuery,
      responses: { 200: { description: 'The stream', mediaType: 'text/event-stream' } },
      handle: ({ query, headers }) => {
        if (!feed.status().loaded) return refuse('not_ready', 'the catalog has not been read yet').error;
        const last = String(headers['last-event-id'] ?? '').trim();
        const after = cursorOf(last);
        if (last !== '' && !after) {
          const why = ['Last-Event-ID: must be the id of an event, such as 1700000000.42'];
          return refuse('invalid_input', `Last-Event-ID is not an event id: ${last.slice(0, 60)}`, { why }).error;
        }
        const filter = { topics: query.topics, services: query.service, snapshot: query.snapshot === 'true' };
        return {
          stream: (res, req) => {
            const stream = openSse(req, res);
            streamEvents({ stream, hub, readTail, clock, filter, after }).catch((error: unknown) => {
              if (!stream.closed.aborted) logger.debug({ err: error }, 'stream.broken');
              // the watcher comes back with its last id
              stream.close();
            });
          },
        };
      },
    }),
  ];
};
