// Which endpoints does long work on Redis groups have? And how does a route answer that has begun some?
import { route, type Reply, type Route } from '@switchyard/http';
import { operationSchema, parseDurationMs, refuse, type Operation, type Result } from '@switchyard/protocol';
import { z } from 'zod';
import type { RedisOperations } from './redis-operations.ts';

const named = z.object({
  id: z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'must be an id as GET /v1/redis/operations lists it'),
});
const longestWaitMs = 55_000;

/** `?wait=30s`: how long the answer may wait for the end of the work; part of the query of each route that begins some. */
export const waitQuery = z
  .string()
  .refine((text) => (parseDurationMs(text) ?? -1) >= 0, 'must be a duration such as "30s"')
  .transform((text) => Math.min(longestWaitMs, parseDurationMs(text) ?? 0))
  .optional();

/** What a route that begins work may answer. */
export const operationResponses = {
  200: { description: 'It has ended within the time that was waited', schema: operationSchema },
  202: { description: 'It is under way; Location says where it is told', schema: operationSchema },
};

/** 202 with its place; 200 when it has ended within `waitMs`. */
export const answerOperation = async (
  operations: RedisOperations,
  begun: Result<Operation>,
  waitMs = 0,
): Promise<Reply> => {
  if (!begun.ok) return begun.error;
  const { id } = begun.value;
  const operation = (waitMs > 0 ? await operations.ended(id, waitMs) : operations.get(id)) ?? begun.value;
  return {
    status: operation.finishedAt === null ? 202 : 200,
    headers: { location: `/v1/operations/${id}` },
    body: operation,
  };
};

/** Routes for operations whose id begins with `redis-`. */
export const redisOperationRoutes = (operations: RedisOperations): Route[] => {
  const tell = (id: string): Reply => {
    const operation = operations.get(id);
    return operation === undefined
      ? refuse('not_found', `There is no operation ${id}.`).error
      : { status: 200, body: operation };
  };
  const cancel = (id: string): Reply => {
    const cancelled = operations.cancel(id);
    return cancelled.ok ? { status: 200, body: cancelled.value } : cancelled.error;
  };
  return [
    route({
      method: 'get',
      path: '/v1/redis/operations',
      summary: 'Long work on Redis groups that runs or has ended lately; newest first',
      tags: ['operations'],
      responses: { 200: { description: 'The operations', schema: z.object({ operations: z.array(operationSchema) }) } },
      handle: () => ({ status: 200, body: { operations: [...operations.list()] } }),
    }),
    ...(['/v1/redis/operations/:id', '/v1/operations/:id'] as const).flatMap((path) => [
      route({
        method: 'get',
        path,
        summary: 'How far it is, and how it ended',
        tags: ['operations'],
        params: named,
        responses: { 200: { description: 'The operation', schema: operationSchema } },
        handle: ({ params }) => tell(params.id),
      }),
      route({
        method: 'delete',
        path,
        summary: 'Cancels it, as long as that is safe',
        tags: ['operations'],
        params: named,
        responses: { 200: { description: 'It is being cancelled', schema: operationSchema } },
        handle: ({ params }) => cancel(params.id),
      }),
    ]),
  ];
};
