// Which endpoints does the catalog have for services and traffic routes?
import { policyAlone, presentRoute, presentService } from '@switchyard/catalog';
import type { CatalogView } from '@switchyard/catalog';
import type { PlainReply, Route } from '@switchyard/http';
import { route } from '@switchyard/http';
import {
  plainNameSchema,
  refuse,
  routeViewSchema,
  serviceNameSchema,
  servicePolicySchema,
  serviceViewSchema,
  trafficRouteSchema,
} from '@switchyard/protocol';
import type { Refusal } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import { z } from 'zod';
import type { CatalogService } from './catalog-service.ts';
import { etagOf, ifMatchOf } from './preconditions.ts';
import { answerFrom } from './reading.ts';
import { momentSchema } from './time-travel.ts';
import type { TimeTravel } from './time-travel.ts';
import type { WatchHub } from './watch-hub.ts';
import { answerWhenNewer, LONG_POLL_DESCRIPTION, longPollTimeoutMs, waitQuery } from './watch-reading.ts';

const service = z.object({ service: serviceNameSchema });
const name = z.object({ name: plainNameSchema });

/** Routes for `/v1/services` and `/v1/services/{service}`. */
export const serviceRoutes = ({
  catalog,
  feed,
  hub,
  past,
}: {
  readonly catalog: CatalogService;
  readonly feed: CatalogFeed;
  readonly hub: WatchHub;
  readonly past: TimeTravel;
}): Route[] => [
  route({
    method: 'get',
    path: '/v1/services',
    summary: 'All services, with their instances counted; waits for a change when asked to',
    description: LONG_POLL_DESCRIPTION,
    tags: ['catalog'],
    timeoutMs: longPollTimeoutMs,
    query: z.strictObject({ ...waitQuery, at: momentSchema.optional() }),
    responses: { 200: { description: 'The services', schema: z.object({ services: z.array(serviceViewSchema) }) } },
    handle: ({ query, signal }) => {
      const read = (view: CatalogView): PlainReply => ({
        status: 200,
        body: { services: view.serviceNames().map((each) => presentService(view, each)) },
      });
      if (query.at) return past.answerAt(query.at, read);
      return answerWhenNewer({ feed, hub }, { service: undefined, query, signal }, read);
    },
  }),
  route({
    method: 'get',
    path: '/v1/services/:service',
    summary: 'One service: its policy, and its instances counted',
    tags: ['catalog'],
    params: service,
    query: z.strictObject({ at: momentSchema.optional() }),
    responses: { 200: { description: 'The service', schema: serviceViewSchema } },
    handle: ({ params, query }) => {
      const read = (view: CatalogView): PlainReply | Refusal => {
        const found = presentService(view, params.service);
        if (found.instances.total === 0 && !view.policyOf(params.service)) {
          return refuse('not_found', `there is no service named ${params.service}`).error;
        }
        return { status: 200, body: found, headers: etagOf(view.policyOf(params.service)?.revision ?? 0) };
      };
      return query.at ? past.answerAt(query.at, read) : answerFrom(feed, read);
    },
  }),
  route({
    method: 'put',
    path: '/v1/services/:service',
    summary: 'Sets the policy of a service; what is left out gets its default',
    tags: ['catalog'],
    params: service,
    body: servicePolicySchema,
    responses: { 200: { description: 'The policy now' }, 201: { description: 'The first policy of this service' } },
    handle: async ({ params, body, headers }) => {
      const ifMatch = ifMatchOf(headers);
      if (!ifMatch.ok) return ifMatch.error;
      const written = await catalog.putService(params.service, body, ifMatch.value);
      if (!written.ok) return written.error;
      const { document, revision } = written.value.document;
      return {
        status: written.value.created ? 201 : 200,
        body: { name: params.service, policy: policyAlone(document), revision },
        headers: etagOf(revision),
      };
    },
  }),
];

/** Routes for `/v1/routes`. */
export const trafficRoutes = (catalog: CatalogService, feed: CatalogFeed, past: TimeTravel): Route[] => [
  route({
    method: 'get',
    path: '/v1/routes',
    summary: 'All traffic routes',
    tags: ['routes'],
    query: z.strictObject({ at: momentSchema.optional() }),
    responses: { 200: { description: 'The routes', schema: z.object({ routes: z.array(routeViewSchema) }) } },
    handle: ({ query }) => {
      const read = (view: CatalogView): PlainReply => ({
        status: 200,
        body: { routes: [...view.routes()].map(([each, found]) => presentRoute(each, found)) },
      });
      return query.at ? past.answerAt(query.at, read) : answerFrom(feed, read);
    },
  }),
  route({
    method: 'get',
    path: '/v1/routes/:name',
    summary: 'One traffic route',
    tags: ['routes'],
    params: name,
    responses: { 200: { description: 'The route', schema: routeViewSchema } },
    handle: ({ params }) =>
      answerFrom(feed, (view) => {
        const found = view.routes().get(params.name);
        if (!found) return refuse('not_found', `there is no route named ${params.name}`).error;
        return { status: 200, body: presentRoute(params.name, found), headers: etagOf(found.revision) };
      }),
  }),
  route({
    method: 'put',
    path: '/v1/routes/:name',
    summary: 'Adds or replaces a traffic route; the same route again changes nothing',
    tags: ['routes'],
    params: name,
    body: trafficRouteSchema,
    responses: {
      200: { description: 'The route now', schema: routeViewSchema },
      201: { description: 'It is new', schema: routeViewSchema },
    },
    handle: async ({ params, body, headers }) => {
      const ifMatch = ifMatchOf(headers);
      if (!ifMatch.ok) return ifMatch.error;
      const written = await catalog.putRoute(params.name, body, ifMatch.value);
      if (!written.ok) return written.error;
      const { document, created } = written.value;
      return {
        status: created ? 201 : 200,
        body: presentRoute(params.name, document),
        headers: etagOf(document.revision),
      };
    },
  }),
  route({
    method: 'delete',
    path: '/v1/routes/:name',
    summary: 'Removes a traffic route',
    tags: ['routes'],
    params: name,
    responses: { 204: { description: 'It is gone' } },
    handle: async ({ params, headers }) => {
      const ifMatch = ifMatchOf(headers);
      if (!ifMatch.ok) return ifMatch.error;
      const removed = await catalog.deleteRoute(params.name, ifMatch.value);
      return removed.ok ? { status: 204 } : removed.error;
    },
  }),
];
