// Which endpoints do rollbacks have?
import { route, type Route } from '@switchyard/http';
import { operationSchema, rollbackRequestSchema, type Result, type RollbackRequest } from '@switchyard/protocol';
import { viewOperation, type OperationRecord } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';
import type { RollbackRecord } from './rollback-journal.ts';

const listSchema = z.object({
  rollbacks: z.array(
    z.object({
      operation: z.string(),
      group: z.string(),
      beganAt: z.iso.datetime(),
      state: z.string(),
      waitsFor: z.string(),
      to: z.record(z.string(), z.unknown()),
      at: z.string(),
      safetyPoint: z.string().nullable(),
      reason: z.string().nullable(),
      result: z.record(z.string(), z.unknown()).nullable(),
    }),
  ),
});

/** Routes for `/v1/rollbacks`. */
export function rollbackRoutes(options: {
  readonly begin: (request: RollbackRequest) => Promise<Result<OperationRecord>>;
  readonly list: (signal: AbortSignal) => Promise<readonly RollbackRecord[]>;
  readonly group: string;
  readonly clock: Clock;
}): Route[] {
  const { begin, list, clock } = options;
  return [
    route({
      method: 'post',
      path: '/v1/rollbacks',
      summary:
        'Brings the running group, or some of its keys, back to a moment; with dryRun it says what that would do',
      tags: ['rollbacks'],
      body: rollbackRequestSchema,
      responses: {
        202: { description: 'It has begun; Location names the operation to follow', schema: operationSchema },
      },
      handle: async ({ body }) => {
        const begun = await begin(body);
        if (!begun.ok) return begun.error;
        return {
          status: 202,
          body: viewOperation(begun.value, clock.unixMs()),
          headers: { location: `/v1/operations/${begun.value.id}` },
        };
      },
    }),
    route({
      method: 'get',
      path: '/v1/rollbacks',
      summary: 'Rollbacks of this group as its repository remembers them, newest first',
      tags: ['rollbacks'],
      responses: { 200: { description: 'The rollbacks', schema: listSchema } },
      handle: async ({ signal }) => ({ status: 200, body: { rollbacks: (await list(signal)).map(viewOf) } }),
    }),
  ];
}

function viewOf(record: RollbackRecord): z.infer<typeof listSchema>['rollbacks'][number] {
  const { id, group, beganAtMs, state, request, point, safetyPoint, result } = record;
  return {
    operation: id,
    group,
    beganAt: new Date(beganAtMs).toISOString(),
    state: state.outcome ?? 'running',
    waitsFor: state.waitsFor,
    to: { ...request.to },
    at: point.at,
    safetyPoint: safetyPoint?.label ?? null,
    reason: state.reason,
    result: result === null ? null : { ...result },
  };
}
