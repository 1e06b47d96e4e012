// Which endpoints does long work have?
import { route, type Route } from '@switchyard/http';
import { operationSchema, refuse, type Result } from '@switchyard/protocol';
import { viewOperation, type OperationRecord } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';
import type { Operations } from './operations.ts';

const named = z.object({
  id: z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'must be an id as GET /v1/operations lists it'),
});

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
      tags: ['operations'],
      params: named,
      responses: { 200: { description: 'The operation', schema: operationSchema } },
      handle: ({ params }) => {
        const record = operations.get(params.id);
        if (record === undefined) return refuse('not_found', `There is no operation ${params.id}.`).error;
        return { status: 200, body: viewOperation(record, clock.unixMs()) };
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
