// How does a data plane ask the routing table? One read of the present table for each question.
import type { Refusal } from '@switchyard/protocol';
import type { RequestHead, RouteDecision, Target, TrafficPolicy, WhyNot } from '@switchyard/proxy';
import type { RequestLog } from './request-log.ts';
import type { RoutingTable } from './routing-table.ts';

const noTable: Refusal = Object.freeze({
  code: 'not_ready',
  detail: 'The dispatcher has no routing table yet.',
  why: ['Redis has not answered since the start, and no table was saved by an earlier run'],
});
const refuseNoTable: RouteDecision = Object.freeze({ action: 'refuse', refusal: noTable });

/** Routes by the table's routes. `current` gives the table that holds at the moment of the call. */
export function trafficPolicy(current: () => RoutingTable | undefined, log: RequestLog): TrafficPolicy {
  return {
    route: (head: RequestHead) => current()?.router.route(head) ?? refuseNoTable,
    pick: (service, excluded) => pickFrom(current(), service, excluded),
    whyNot: (service) => whyNotIn(current(), service),
    report: (outcome) => log.record(outcome),
  };
}

/** The instance whose turn it is. */
export function pickFrom(
  table: RoutingTable | undefined,
  service: string,
  excluded: readonly string[],
): Target | undefined {
  const result = table?.services.get(service)?.picker.pick(excluded);
  return result?.picked === true ? result.candidate : undefined;
}

/** Every instance of the service that is not picked, with the reason. */
export function whyNotIn(table: RoutingTable | undefined, service: string): readonly WhyNot[] {
  return table?.services.get(service)?.whyNot ?? [];
}
