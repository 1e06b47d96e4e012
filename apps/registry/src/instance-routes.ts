// Which endpoints does the catalog have for instances?
import { presentInstance } from '@switchyard/catalog';
import type { CatalogView } from '@switchyard/catalog';
import type { PlainReply, Route } from '@switchyard/http';
import { route } from '@switchyard/http';
import {
  heartbeatBodySchema,
  instanceIdSchema,
  instanceInputSchema,
  instancePatchSchema,
  livenessSchema,
  observedInstanceSchema,
  refuse,
  serviceNameSchema,
} from '@switchyard/protocol';
import type { Refusal } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import { z } from 'zod';
import type { CatalogService } from './catalog-service.ts';
import type { LivenessLoads } from './liveness-loads.ts';
import { etagOf, ifMatchOf } from './preconditions.ts';
import { answerFrom } from './reading.ts';
import { momentSchema } from './time-travel.ts';
import type { TimeTravel } from './time-travel.ts';
import type { WatchHub } from './watch-hub.ts';
import { answerWhenNewer, LONG_POLL_DESCRIPTION, longPollTimeoutMs, waitQuery } from './watch-reading.ts';

const ref = z.object({ service: serviceNameSchema, id: instanceIdSchema });
const listSchema = z.object({ instances: z.array(observedInstanceSchema) }).meta({ id: 'Instances' });
const tags = ['catalog'];
const path = '/v1/services/:service/instances/:id';

/** Routes below `/v1/services/{service}/instances`. */
export const instanceRoutes = ({
  catalog,
  feed,
  hub,
  loads,
  past,
}: {
  readonly catalog: CatalogService;
  readonly feed: CatalogFeed;
  readonly hub: WatchHub;
  readonly loads: LivenessLoads;
  readonly past: TimeTravel;
}): Route[] => [
  route({
    method: 'get',
    path: '/v1/services/:service/instances',
    summary: 'Instances of a service, with the reason of each that gets no traffic; waits for a change when asked to',
    description: LONG_POLL_DESCRIPTION,
    tags,
    timeoutMs: longPollTimeoutMs,
    params: z.object({ service: serviceNameSchema }),
    query: z.strictObject({ liveness: livenessSchema.optional(), ...waitQuery, at: momentSchema.optional() }),
    responses: { 200: { description: 'The instances', schema: listSchema } },
    handle: async ({ params: { service }, query, signal }) => {
      const readWith =
        (present: LivenessLoads['present']) =>
        (view: CatalogView): PlainReply | Refusal => {
          const all = [...view.instancesOf(service)];
          if (all.length === 0 && !view.policyOf(service)) {
            return refuse('not_found', `there is no service named ${service}`).error;
          }
          const instances = all
            .filter((instance) => query.liveness === undefined || instance.liveness === query.liveness)
            .map((instance) => present(instance))
            .sort((a, b) => (a.id < b.id ? -1 : 1));
          return { status: 200, body: { instances } };
        };
      // what it reports is of now
      if (query.at)
        return await past.answerAt(
          query.at,
          readWith((instance) => ({ ...presentInstance(instance), load: null, warnings: [] })),
        );
      await loads.refresh();
      return await answerWhenNewer(
        { feed, hub },
        { service, query, signal },
        readWith((instance) => loads.present(instance)),
      );
    },
  }),
  route({
    method: 'get',
    path,
    summary: 'One instance',
    tags,
    params: ref,
    responses: { 200: { description: 'The instance', schema: observedInstanceSchema } },
    handle: async ({ params }) => {
      await loads.refresh();
      return answerFrom(feed, (view) => {
        const found = view.instance(params.service, params.id);
        if (!found) return refuse('not_found', `instance ${params.id} of service ${params.service} is not known`).error;
        return { status: 200, body: loads.present(found), headers: etagOf(found.revision) };
      });
    },
  }),
  route({
    method: 'put',
    path,
    summary: 'Registers an instance; the same document again changes nothing',
    tags,
    params: ref,
    body: instanceInputSchema,
    responses: {
      200: { description: 'It was known', schema: observedInstanceSchema },
      201: { description: 'It is new', schema: observedInstanceSchema },
    },
    handle: async ({ params, body, headers }) => {
      const ifMatch = ifMatchOf(headers);
      if (!ifMatch.ok) return ifMatch.error;
      const written = await catalog.register(params, body, ifMatch.value);
      if (!written.ok) return written.error;
      const { document, created } = written.value;
      return { status: created ? 201 : 200, body: loads.present(document), headers: etagOf(document.revision) };
    },
  }),
  route({
    method: 'post',
    path: `${path}/heartbeat`,
    summary: 'A sign of life; 404 means: register again',
    tags,
    params: ref,
    body: heartbeatBodySchema.optional(),
    responses: { 204: { description: 'Heard' } },
    handle: async ({ params, body }) => {
      const heard = await catalog.heartbeat(params, body?.load);
      return heard.ok ? { status: 204 } : heard.error;
    },
  }),
  route({
    method: 'patch',
    path,
    summary: 'Changes weight or intent of an instance; the reason is kept, and told in the event',
    description: 'After draining, GET .../drain says when every dispatcher has let the instance go.',
    tags,
    params: ref,
    body: instancePatchSchema,
    responses: { 200: { description: 'The instance now', schema: observedInstanceSchema } },
    handle: async ({ params, body, headers }) => {
      const ifMatch = ifMatchOf(headers);
      if (!ifMatch.ok) return ifMatch.error;
      const patched = await catalog.patch(params, body, ifMatch.value);
      if (!patched.ok) return patched.error;
      return { status: 200, body: loads.present(patched.value), headers: etagOf(patched.value.revision) };
    },
  }),
  route({
    method: 'delete',
    path,
    summary: 'Removes an instance; the reason is told in the event',
    tags,
    params: ref,
    query: z.strictObject({
      reason: z
        .string()
        .max(256)
        .optional()
        .meta({ description: 'why; "deregistered over HTTP" when it is not given' }),
    }),
    responses: { 204: { description: 'It is gone' } },
    handle: async ({ params, query, headers }) => {
      const ifMatch = ifMatchOf(headers);
      if (!ifMatch.ok) return ifMatch.error;
      const removed = await catalog.deregister(params, query.reason ?? 'deregistered over HTTP', ifMatch.value);
      return removed.ok ? { status: 204 } : removed.error;
    },
  }),
];
