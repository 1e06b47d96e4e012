// Which endpoint do restores have?
import { route, type Route } from '@switchyard/http';
import { operationSchema, refuse, restoreRequestSchema } from '@switchyard/protocol';
import { viewOperation } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import type { OperationRunner } from '../operations/operation-runner.ts';
import type { RestoreWork } from './restore-work.ts';

/** Routes for `/v1/restores`. */
export function restoreRoutes(options: {
  readonly work: RestoreWork;
  readonly runner: OperationRunner;
  readonly group: string;
  readonly clock: Clock;
}): Route[] {
  const { work, runner, group, clock } = options;
  return [
    route({
      method: 'post',
      path: '/v1/restores',
      summary: 'Restores a moment into a directory or a server; never into what lives',
      tags: ['restores'],
      body: restoreRequestSchema,
      responses: {
        202: { description: 'It has begun; Location names the operation to follow', schema: operationSchema },
      },
      handle: async ({ body, signal }) => {
        if (body.group !== group)
          return refuse('not_found', `There is no group ${body.group} here.`, {
            next: `This worker restores ${group}; start one for ${body.group} on the same repository.`,
          }).error;
        const planned = await work.plan(body, signal);
        if (!planned.ok) return planned.error;
        const begun = await runner.begin(planned.value);
        if (!begun.ok) return begun.error;
        return {
          status: 202,
          body: viewOperation(begun.value, clock.unixMs()),
          headers: { location: `/v1/operations/${begun.value.id}` },
        };
      },
    }),
  ];
}
