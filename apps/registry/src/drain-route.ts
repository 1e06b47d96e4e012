// Is an instance drained, and who still has requests there? Asked by people before they stop it, and by agents before they leave.
import type { CatalogStore } from '@switchyard/catalog';
import { route } from '@switchyard/http';
import type { Route } from '@switchyard/http';
import { drainViewSchema, instanceIdSchema, refuse, serviceNameSchema } from '@switchyard/protocol';
import { readDrain } from '@switchyard/redis';
import type { DispatcherBoard } from '@switchyard/redis';
import { z } from 'zod';

/** `GET /v1/services/{service}/instances/{id}/drain`, from Redis itself: a copy that lags would let an instance go too early. */
export const drainRoute = (from: { readonly store: CatalogStore; readonly board: DispatcherBoard }): Route =>
  route({
    method: 'get',
    path: '/v1/services/:service/instances/:id/drain',
    summary: 'Whether every dispatcher has let the instance go, and who still has requests there',
    description:
      'done is true when the instance gets no new requests and every live dispatcher has said that it has none under way ' +
      'there. Upgraded connections (WebSocket) are counted and do not count against done.',
    tags: ['catalog'],
    params: z.object({ service: serviceNameSchema, id: instanceIdSchema }),
    responses: { 200: { description: 'Who has let go', schema: drainViewSchema } },
    async handle({ params }) {
      const view = await readDrain(from, params);
      if (view) return { status: 200, body: view };
      return refuse('not_found', `instance ${params.id} of service ${params.service} is not known`, {
        why: ['it is not in the catalog, and no dispatcher has requests under way there'],
      }).error;
    },
  });
