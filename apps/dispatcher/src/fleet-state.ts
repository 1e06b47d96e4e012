// What does this dispatcher know about itself? Everything for whoever asks it; a bounded part of it for all others, each second.
import type { DispatcherState, InstanceTraffic } from '@switchyard/protocol';
import type { DataPlane, InstanceMeter, Meters } from '@switchyard/proxy';
import type { Ejections } from './ejections.ts';
import { panicsIn } from './panic.ts';
import type { RoutingTable } from './routing-table.ts';
import type { TableKeeper } from './table-keeper.ts';

/** Where it is read from. */
export interface DispatcherParts {
  readonly id: string;
  readonly version: string;
  /** Where others reach its own API. */
  readonly url: string;
  readonly keeper: Pick<TableKeeper, 'status'>;
  readonly meters: Meters;
  readonly ejections: Pick<Ejections, 'countOf'>;
  readonly planes: readonly DataPlane[];
}

/** Instances told to others, and bytes of all of them together. */
export interface StateBounds {
  readonly instances: number;
  readonly bytes: number;
}

/** About 450 bytes an instance; 64 dispatchers at most tell so much each second. */
export const toldBounds: StateBounds = Object.freeze({ instances: 200, bytes: 128 * 1024 });

/** Services in panic that are named. */
const mostPanics = 32;

const unbounded: StateBounds = Object.freeze({ instances: Infinity, bytes: Infinity });

/** The state now; within `bounds` the instances with the most requests, and how many were left out. */
export function dispatcherState(parts: DispatcherParts, bounds: StateBounds = unbounded): DispatcherState {
  const { id, version, url, keeper, meters, planes } = parts;
  const { table, ageMs, keptInstances } = keeper.status();
  const metered: Metered[] = [];
  meters.each((service, instance, meter) => metered.push({ service, id: instance, meter }));
  if (metered.length > bounds.instances) metered.sort((one, other) => other.meter.requests - one.meter.requests);
  const instances: InstanceTraffic[] = [];
  let bytes = 0;
  for (const one of metered) {
    if (instances.length >= bounds.instances) break;
    const view = trafficOf(one, table, parts);
    if (bounds.bytes < Infinity && (bytes += Buffer.byteLength(JSON.stringify(view))) > bounds.bytes) break;
    instances.push(view);
  }
  return {
    id,
    version,
    url,
    table: {
      source: table?.source ?? 'none',
      epoch: table?.epoch ?? null,
      revision: table?.revision ?? null,
      ageMs: Number.isFinite(ageMs) ? Math.round(ageMs) : null,
      keptInstances,
    },
    panics: panicsIn(table).slice(0, mostPanics),
    listeners: planes.map(listenerView),
    instances,
    omittedInstances: metered.length - instances.length,
  };
}

interface Metered {
  readonly service: string;
  readonly id: string;
  readonly meter: InstanceMeter;
}

function trafficOf(
  { service, id, meter }: Metered,
  table: RoutingTable | undefined,
  { ejections }: DispatcherParts,
): InstanceTraffic {
  const entry = table?.services.get(service);
  const instance = entry?.instances.find((one) => one.id === id);
  const reason = entry?.whyNot.find((one) => one.id === id)?.reason;
  const { requests, inFlight, tunnels, errors, serverErrors, retries, staleConnections, recent } = meter;
  return {
    service,
    id,
    url: instance?.url ?? null,
    weight: instance?.weight ?? null,
    picked: instance !== undefined && reason === undefined,
    why: instance === undefined ? 'it is not in the table any more' : (reason ?? null),
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
    ejections: ejections.countOf(service, id),
    lastError:
      meter.lastError === undefined
        ? null
        : { reason: meter.lastError.slice(0, 256), at: new Date(meter.lastErrorUnixMs).toISOString() },
  };
}

function listenerView(plane: DataPlane): DispatcherState['listeners'][number] {
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
