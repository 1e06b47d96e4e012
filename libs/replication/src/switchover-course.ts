// Where does a switchover turn: forward once somebody else is primary, back while nobody is, aside when Sentinel acts by itself.
import { sameAddress } from './address.ts';
import type { SwitchoverNode, SwitchoverState, SwitchoverStep } from './switchover-plan.ts';
import { endpointIn, goTo, noted, wait, type Turn } from './switchover-turn.ts';

/** Somebody else is primary: from here on it only goes forward. */
export const beginForward = ({ state, nowMs }: Turn, heir: SwitchoverNode): SwitchoverStep => {
  const { plan, barrier } = state;
  const endpoint = endpointIn(plan, heir) ?? plan.to;
  // Without a barrier of ours the server itself has levelled the two.
  const level = plan.way === 'sentinel' ? barrier !== null && (heir.offset ?? -1) >= barrier : state.promotionAsked;
  const found = { ...state, heir: endpoint, heirAtMs: nowMs, level };
  const told = sameAddress(endpoint, plan.to)
    ? found
    : noted(found, `${endpoint.name} became primary, not ${plan.to.name}`);
  return wait(goTo(told, 'old-fenced', nowMs));
};

/** Takes it back: what is paused is resumed, what was set is restored, an accepted promotion is aborted first. */
export const beginUndo = (state: SwitchoverState, reason: string, nowMs: number): SwitchoverStep => {
  const because = noted({ ...state, reason: state.reason ?? reason }, reason);
  return wait(goTo(because, state.promotionAsked ? 'abort-confirmed' : 'writes-released', nowMs));
};

/** Sentinel is at work by itself: wait for whom it names, then finish its work properly. */
export const leaveToSentinel = (state: SwitchoverState, reason: string, nowMs: number): SwitchoverStep => {
  const because = noted({ ...state, reason: state.reason ?? reason }, reason);
  return wait(goTo(because, state.plan.acting === null ? 'writes-released' : 'heir-known', nowMs));
};
