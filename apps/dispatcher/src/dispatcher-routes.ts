// What does this dispatcher tell about itself and about the requests that went wrong?
import { route, type Route } from '@switchyard/http';
import { refuse } from '@switchyard/protocol';
import type { DataPlane, InstanceMeter, Meters, RequestOutcome } from '@switchyard/proxy';
import { z } from 'zod';
import type { Ejections } from './ejections.ts';
import type { RequestLog } from './request-log.ts';
import type { TableKeeper } from './table-keeper.ts';

const latencySchema = z.object({ p50: z.number(), p95: z.number(), p99: z.number(), observations: z.int() });
const instanceSchema = z.object({
  service: z.string(),
  id: z.string(),
  url: z.string().nullable(),
  weight: z.number().nullable(),
  picked: z.boolean().meta({ description: 'whether it is among those that get new requests' }),
  why: z.string().nullable().meta({ description: 'why it gets none; null when it does' }),
  requests: z.int(),
  inFlight: z.int(),
  tunnels: z.int(),
  errors: z.int(),
  serverErrors: z.int(),
  retries: z.int(),
  staleConnections: z.int(),
  latencyMs: latencySchema.meta({ description: 'until the head of the answer, over the last one to two minutes' }),
  ejections: z.int().meta({ description: 'how often this dispatcher left it out for a moment' }),
  lastError: z.object({ reason: z.string(), at: z.iso.datetime() }).nullable(),
});
const listenerSchema = z.object({
  name: z.string(),
  connections: z.int(),
  requests: z.int(),
  inFlight: z.int(),
  tunnels: z.int(),
  retries: z.int(),
  redirects: z.int(),
  clientAborts: z.int(),
  truncated: z.int(),
  refusals: z.record(z.string(), z.int()),
});
const dispatcherSchema = z
  .object({
    id: z.string(),
    version: z.string(),
    table: z.object({
      source: z.enum(['redis', 'disk', 'none']),
      epoch: z.number().nullable(),
      revision: z.number().nullable(),
      ageMs: z.number().nullable(),
      keptInstances: z.int(),
    }),
    listeners: z.array(listenerSchema),
    instances: z.array(instanceSchema),
  })
  .meta({ id: 'Dispatcher' });
const outcomeSchema = z
  .object({
    requestId: z.string(),
    method: z.string(),
    target: z.string(),
    host: z.string(),
    route: z.string().nullable(),
    service: z.string().nullable(),
    end: z.enum(['answered', 'refused', 'cut', 'left']),
    status: z.int(),
    code: z.string().nullable(),
    why: z.array(z.string()),
    attempts: z.array(z.object({ instance: z.string(), outcome: z.string(), tookMs: z.number() })),
    started: z.iso.datetime(),
    tookMs: z.number(),
  })
  .meta({ id: 'RequestOutcome' });

/** What the routes look at. */
export interface DispatcherState {
  readonly id: string;
  readonly version: string;
  readonly keeper: TableKeeper;
  readonly meters: Meters;
  readonly ejections: Ejections;
  readonly planes: readonly DataPlane[];
  readonly log: RequestLog;
}

/** `GET /v1/dispatchers`, `GET /v1/requests`, `GET /v1/requests/{requestId}/why`. */
export const dispatcherRoutes = (state: DispatcherState): Route[] => [
  route({
    method: 'get',
    path: '/v1/dispatchers',
    summary: 'The dispatcher that answers: its table, its listeners, and what each instance does for it',
    tags: ['dispatcher'],
    responses: { 200: { description: 'Its state', schema: z.object({ dispatchers: z.array(dispatcherSchema) }) } },
    handle: () => ({ status: 200, body: { dispatchers: [dispatcherView(state)] } }),
  }),
  route({
    method: 'get',
    path: '/v1/requests',
    summary: 'The latest requests that were refused, retried, cut or left by their client, newest first',
    tags: ['dispatcher'],
    query: z.strictObject({ limit: z.coerce.number().int().min(1).max(1_000).default(50) }),
    responses: { 200: { description: 'Requests', schema: z.object({ requests: z.array(outcomeSchema) }) } },
    handle: ({ query }) => ({ status: 200, body: { requests: state.log.latest(query.limit).map(outcomeView) } }),
  }),
  route({
    method: 'get',
    path: '/v1/requests/:requestId/why',
    summary: 'Why a request was refused, retried, cut or left: every attempt and its reason',
    tags: ['dispatcher'],
    params: z.object({ requestId: z.string().min(1).max(128) }),
    responses: { 200: { description: 'What happened', schema: outcomeSchema } },
    handle({ params }) {
      const found = state.log.find(params.requestId);
      if (found) return { status: 200, body: outcomeView(found) };
      return refuse('not_found', `nothing is known about the request ${params.requestId}`, {
        why: [
          'requests that simply went well are counted, not kept',
          `this dispatcher keeps the last ${state.log.capacity} that did not`,
        ],
        next: 'GET /v1/requests lists those that are kept',
      }).error;
    },
  }),
];

function dispatcherView(state: DispatcherState): z.infer<typeof dispatcherSchema> {
  const { id, version, keeper, meters, ejections, planes } = state;
  const { table, ageMs, keptInstances } = keeper.status();
  const instances: z.infer<typeof instanceSchema>[] = [];
  meters.each((service, instanceId, meter) => {
    const entry = table?.services.get(service);
    const instance = entry?.instances.find((one) => one.id === instanceId);
    const reason = entry?.whyNot.find((one) => one.id === instanceId)?.reason;
    instances.push({
      service,
      id: instanceId,
      url: instance?.url ?? null,
      weight: instance?.weight ?? null,
      picked: instance !== undefined && reason === undefined,
      why: instance === undefined ? 'it is not in the table any more' : (reason ?? null),
      ejections: ejections.countOf(service, instanceId),
      ...meterView(meter),
    });
  });
  return {
    id,
    version,
    table: {
      source: table?.source ?? 'none',
      epoch: table?.epoch ?? null,
      revision: table?.revision ?? null,
      ageMs: Number.isFinite(ageMs) ? Math.round(ageMs) : null,
      keptInstances,
    },
    listeners: planes.map(listenerView),
    instances,
  };
}

function meterView(
  meter: InstanceMeter,
): Omit<z.infer<typeof instanceSchema>, 'service' | 'id' | 'url' | 'weight' | 'picked' | 'why' | 'ejections'> {
  const { requests, inFlight, tunnels, errors, serverErrors, retries, staleConnections, recent } = meter;
  return {
    requests,
    inFlight,
    tunnels,
    errors,
    serverErrors,
    retries,
    staleConnections,
    latencyMs: {
      p50: recent.quantileMs(0.5),
      p95: recent.quantileMs(0.95),
      p99: recent.quantileMs(0.99),
      observations: recent.count,
    },
    lastError:
      meter.lastError === undefined
        ? null
        : { reason: meter.lastError, at: new Date(meter.lastErrorUnixMs).toISOString() },
  };
}

function listenerView(plane: DataPlane): z.infer<typeof listenerSchema> {
  const stats = plane.stats();
  return {
    name: plane.name,
    connections: stats.connections,
    requests: stats.requestsTotal,
    inFlight: stats.inFlight,
    tunnels: stats.tunnels,
    retries: stats.retriesTotal,
    redirects: stats.redirectsTotal,
    clientAborts: stats.clientAbortsTotal,
    truncated: stats.truncatedTotal,
    refusals: { ...stats.refusalsByCode },
  };
}

function outcomeView(outcome: RequestOutcome): z.infer<typeof outcomeSchema> {
  const { startedUnixMs, ...rest } = outcome;
  return {
    ...rest,
    route: rest.route ?? null,
    service: rest.service ?? null,
    code: rest.code ?? null,
    why: [...rest.why],
    attempts: rest.attempts.map(({ instance, outcome: what, tookMs }) => ({
      instance,
      outcome: what,
      tookMs: Math.round(tookMs),
    })),
    started: new Date(startedUnixMs).toISOString(),
    tookMs: Math.round(rest.tookMs),
  };
}
