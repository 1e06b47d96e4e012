// Whom must requests not wait for any longer? Those that the catalog has just given up: evicted, removed, or in maintenance.
// Who was draining and then leaves is not among them: it finishes what it has.
import type { Instance } from '@switchyard/protocol';
import type { RoutingTable } from './routing-table.ts';

/** An instance that has gone, and why, in words about it. */
export interface GoneInstance {
  readonly service: string;
  readonly id: string;
  readonly reason: string;
}

/** Who has gone from one table to the next; `only` one service when it alone changed. */
export function goneBetween(before: RoutingTable | undefined, after: RoutingTable, only?: string): GoneInstance[] {
  const gone: GoneInstance[] = [];
  for (const service of only === undefined ? (before?.services.keys() ?? []) : [only]) {
    const [old, now] = [before?.services.get(service), after.services.get(service)];
    if (old === undefined || old === now) continue;
    const present = new Map(now?.instances.map((instance) => [instance.id, instance]));
    for (const instance of old.instances) {
      const reason = reasonFor(instance, present.get(instance.id));
      if (reason !== undefined) gone.push({ service, id: instance.id, reason });
    }
  }
  return gone;
}

function reasonFor(before: Instance, now: Instance | undefined): string | undefined {
  if (before.liveness === 'dead') return undefined;
  if (now === undefined) return before.intent === 'draining' ? undefined : 'it was removed from the catalog';
  if (now.liveness === 'dead') return `it was evicted${because(now.livenessReason)}`;
  if (now.intent !== 'maintenance' || before.intent === 'maintenance') return undefined;
  return `it was put into maintenance${because(now.intentReason)}`;
}

const because = (reason: string | undefined): string => (reason ? `: ${reason}` : '');
