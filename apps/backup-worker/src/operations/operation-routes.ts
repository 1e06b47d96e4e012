// Which endpoints does long work have?
import { lastEventId, route, type Route } from '@switchyard/http';
import { durationSchema, operationSchema, parseDurationMs, refuse, type Result } from '@switchyard/protocol';
import { viewOperation, type OperationRecord } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';
import { endId, streamOperation, untilEnded } from './operation-stream.ts';
import type { Operations } from './operations.ts';

const named = z.object({
  id: z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'must be an id as GET /v1/operations lists it'),
});

/** The dispatcher gives up on an answer after a minute. */
const longestWaitMs = 50_000;
const streamDescription = `With \`Accept: text/event-stream\` the document is pushed as an event \`operation\` at each change, at most
five times a second, and the stream ends when the work has ended. With \`wait=30s\` the answer waits so long for the end.`;

/** Routes for `/v1/operations`. */
export function operationRoutes(options: {
  readonly operations: Operations;
  readonly cancel: (id: string) => Promise<Result<OperationRecord>>;
  readonly clock: Clock;
}): Route[] {
  const { operations, cancel, clock } = options;
  return [
    route({
      method: 'get',
      path: '/v1/operations',
      summary: 'Long work that waits, runs, or has ended lately; newest first',
      tags: ['operations'],
      responses: { 200: { description: 'The operations', schema: z.object({ operations: z.array(operationSchema) }) } },
      handle: () => ({
        status: 200,
        body: { operations: operations.list().map((record) => viewOperation(record, clock.unixMs())) },
      }),
    }),
    route({
      method: 'get',
      path: '/v1/operations/:id',
      summary: 'How far it is, how long it will still take, and how it ended',
      description: streamDescription,
      tags: ['operations'],
      params: named,
      query: z.object({ wait: durationSchema(0, longestWaitMs).optional() }),
      timeoutMs: longestWaitMs + 10_000,
      responses: {
        200: { description: 'The operation', schema: operationSchema },
        204: { description: 'A stream that is resumed after its end' },
      },
      handle: async ({ params, query, headers, signal }) => {
        const record = operations.get(params.id);
        if (record === undefined) return refuse('not_found', `There is no operation ${params.id}.`).error;
        if (/\btext\/event-stream\b/.test(headers.accept ?? '')) {
          // It keeps EventSource from coming back for ever.
          if (lastEventId(headers) === endId) return { status: 204 };
          return { stream: (res, req) => streamOperation({ operations, clock }, record, { req, res }) };
        }
        const waitMs = parseDurationMs(query.wait ?? '0s') ?? 0;
        const newest =
          waitMs === 0
            ? record
            : await untilEnded(operations, record, AbortSignal.any([signal, AbortSignal.timeout(waitMs)]));
        return { status: 200, body: viewOperation(newest, clock.unixMs()) };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/operations/:id',
      summary: 'Cancels it; a backup that was under way leaves nothing behind',
      tags: ['operations'],
      params: named,
      responses: { 200: { description: 'It is cancelled', schema: operationSchema } },
      handle: async ({ params }) => {
        const cancelled = await cancel(params.id);
        return cancelled.ok ? { status: 200, body: viewOperation(cancelled.value, clock.unixMs()) } : cancelled.error;
      },
    }),
  ];
}
