// Whom does this dispatcher not pick any more, and what does it still have under way there? Instances that wait to leave ask.
import type { DispatcherDrains, Instance } from '@switchyard/protocol';
import { memberOf } from '@switchyard/protocol';
import type { InstanceMeter, Meters } from '@switchyard/proxy';
import type { RoutingTable } from './routing-table.ts';

/** Who leaves, kept up to date service by service. */
export interface FleetDrains {
  /** The table has changed; `only` this service, or anything. False when nobody there leaves, or did. */
  changed(table: RoutingTable | undefined, only?: string): boolean;
  now(): DispatcherDrains;
}

type Drain = DispatcherDrains['drains'][number];

/** Entries told at once; about 80 bytes each. */
const mostDrains = 256;

/** Nobody leaves, until `changed` is called. `isPicked`: whether clients were told a moment ago where the service is. */
export function createFleetDrains(meters: Meters, isPicked: (service: string) => boolean = () => false): FleetDrains {
  let table: RoutingTable | undefined;
  const leaving = new Map<string, readonly Instance[]>();

  const look = (service: string): boolean => {
    const found = table?.services.get(service)?.instances.filter(leaves) ?? [];
    if (found.length === 0) return leaving.delete(service);
    leaving.set(service, found);
    return true;
  };
  return {
    changed(next, only) {
      table = next;
      if (only !== undefined) return look(only);
      leaving.clear();
      for (const service of table?.services.keys() ?? []) look(service);
      return true;
    },
    now() {
      const busy = new Map<string, InstanceMeter>();
      const drains: Drain[] = [];
      const redirected = leaving.size > 0 && table ? redirectedBy(table) : undefined;
      const add = (ref: { service: string; id: string }, revision: number, meter: InstanceMeter | undefined): void => {
        const { service, id } = ref;
        const { inFlight = 0, tunnels = 0 } = meter ?? {};
        const direct = (redirected?.has(service) ?? false) || isPicked(service);
        drains.push({ service, id, revision, inFlight, tunnels, direct });
      };
      meters.each((service, id, meter) => {
        if (meter.inFlight === 0 && meter.tunnels === 0) return;
        busy.set(memberOf(service, id), meter);
        // one that has gone from the catalog, but whose requests are not over
        const known = table?.services.get(service)?.instances.some((one) => one.id === id);
        if (table && !known) add({ service, id }, 0, meter);
      });
      for (const instances of leaving.values()) {
        for (const one of instances) add(one, one.revision, busy.get(memberOf(one.service, one.id)));
      }
      // those that nobody waits for any more are the oldest
      if (drains.length > mostDrains) drains.sort((one, other) => other.revision - one.revision);
      return {
        epoch: table?.epoch ?? 0,
        revision: table?.revision ?? 0,
        drains: drains.slice(0, mostDrains),
        omitted: Math.max(0, drains.length - mostDrains),
      };
    },
  };
}

function redirectedBy({ routes }: RoutingTable): ReadonlySet<string> {
  const services = routes.flatMap(({ route }) =>
    route.action === 'redirect' ? [route.service, ...(route.split ?? []).map((part) => part.service)] : [],
  );
  return new Set(services.filter((service) => service !== undefined));
}

const leaves = ({ intent, liveness }: Instance): boolean => intent !== 'in-service' || liveness === 'dead';

/** What makes others wait or leave: when it changes, they are told at once. */
export const gistOf = ({ drains }: DispatcherDrains): string =>
  drains
    .map(({ service, id, revision, inFlight, tunnels, direct }) =>
      [service, id, revision, inFlight === 0, tunnels === 0, direct].join(' '),
    )
    .join('\n');
