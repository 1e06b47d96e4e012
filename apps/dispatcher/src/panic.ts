// For which services are the rules of who may be picked set aside, because too few would be left? Said in a metric and, when it
// begins and ends, in the log.
import type { RoutingTable } from './routing-table.ts';
import type { ServiceEntry } from './targets.ts';

/** Why: everybody is suspect, or this dispatcher itself would leave out too many. */
export type PanicCause = 'suspects take the traffic' | 'too many would be left out';

/** Undefined when all is well with the service, and also when it has nobody at all. */
export function panicOf({ lastResort, panic }: Pick<ServiceEntry, 'lastResort' | 'panic'>): PanicCause | undefined {
  if (lastResort) return 'suspects take the traffic';
  return panic ? 'too many would be left out' : undefined;
}

/** A service whose panic began, ended (no cause) or has another cause now. */
export interface PanicChange {
  readonly service: string;
  readonly cause: PanicCause | undefined;
}

/** From one table to the next. A service that is gone is in no panic. */
export function panicChanges(before: RoutingTable | undefined, after: RoutingTable): readonly PanicChange[] {
  const changes: PanicChange[] = [];
  for (const [service, entry] of after.services) {
    const old = before?.services.get(service);
    if (old === entry) continue;
    const cause = panicOf(entry);
    if (cause !== (old && panicOf(old))) changes.push({ service, cause });
  }
  for (const [service, entry] of before?.services ?? []) {
    if (panicOf(entry) !== undefined && !after.services.has(service)) changes.push({ service, cause: undefined });
  }
  return changes;
}

/** The services that are in panic now, and why. */
export function panicsIn(
  table: RoutingTable | undefined,
): readonly { readonly service: string; readonly cause: PanicCause }[] {
  return [...(table?.services.values() ?? [])].flatMap((entry) => {
    const cause = panicOf(entry);
    return cause === undefined ? [] : [{ service: entry.name, cause }];
  });
}
