// How does a data plane ask the routing table? One read of the present table for each question.
import type { Refusal } from '@switchyard/protocol';
import type { Ejections } from './ejections.ts';
import type {
  ReplayClaim,
  ReplayVerdict,
  RequestHead,
  RouteDecision,
  Target,
  TrafficPolicy,
  WhyNot,
} from '@switchyard/proxy';
import type { ReplayFence } from '@switchyard/redis';
import type { RequestLog } from './request-log.ts';
import type { RoutingTable } from './routing-table.ts';

const noTable: Refusal = Object.freeze({
  code: 'not_ready',
  detail: 'The dispatcher has no routing table yet.',
  why: ['Redis has not answered since the start, and no table was saved by an earlier run'],
});
const refuseNoTable: RouteDecision = Object.freeze({ action: 'refuse', refusal: noTable });

/** Routes by the table's routes. `current` gives the table that holds at the moment of the call. */
export function trafficPolicy(options: {
  readonly current: () => RoutingTable | undefined;
  readonly log: RequestLog;
  readonly ejections: Ejections;
  /** Grants a keyed request its one repetition; without it there is none. */
  readonly fence?: ReplayFence;
}): TrafficPolicy {
  const { current, log, ejections, fence } = options;
  return {
    route: (head: RequestHead) => current()?.router.route(head) ?? refuseNoTable,
    pick: (service, excluded) => pickFrom(current(), service, excluded),
    whyNot: (service) => whyNotIn(current(), service),
    observe: (target, outcome, reason) =>
      ejections.observe({ target, outcome, reason }, usableIn(current(), target.service)),
    report: (outcome) => log.record(outcome),
    ...(fence && { claimReplay: (claim, done) => void ask(fence, claim, done) }),
  };
}

async function ask(fence: ReplayFence, claim: ReplayClaim, done: (verdict: ReplayVerdict) => void): Promise<void> {
  done(await fence.claim(claim));
}

/** The instance whose turn it is; one that is left out for a moment when nobody else is left. */
export function pickFrom(
  table: RoutingTable | undefined,
  service: string,
  excluded: readonly string[],
): Target | undefined {
  const entry = table?.services.get(service);
  const result = entry?.picker.pick(excluded);
  return result?.picked === true ? result.candidate : entry?.reserve.find(({ id }) => !excluded.includes(id));
}

/** How many instances of the service may take traffic, those included that are left out for a moment. */
export function usableIn(table: RoutingTable | undefined, service: string): number {
  const entry = table?.services.get(service);
  return entry ? entry.picker.candidates.length + entry.reserve.length : 0;
}

/** Every instance of the service that is not picked, with the reason. */
export function whyNotIn(table: RoutingTable | undefined, service: string): readonly WhyNot[] {
  return table?.services.get(service)?.whyNot ?? [];
}
