// May this node become primary, and why not? The same words that people read in `reason`.
import type { RedisNodeView } from '@switchyard/protocol';
import { sameAddress, type Address } from './address.ts';
import { endpointOf, type GroupObservation, type NodeObservation, type TopologyLimits } from './observation.ts';
import type { PrimaryVerdict } from './primary-verdict.ts';

/** What a node is looked at with. */
export interface NodeContext {
  readonly group: GroupObservation;
  readonly verdict: PrimaryVerdict;
  readonly primary: NodeObservation | null;
  readonly promoting: Address | null;
  readonly limits: TopologyLimits;
  readonly nowMs: number;
}

/** The answer and its reason; the primary itself is fit. */
export interface Fitness {
  readonly eligible: boolean;
  readonly reason: string | null;
}

/** Sentinel passes over a replica whose link was down longer than this many times down-after. */
const linkDownTimes = 10;
const usualDownAfterMs = 1_000;

/** Judges one node. */
export const fitnessOf = (
  node: NodeObservation,
  context: NodeContext & { readonly state: RedisNodeView['state']; readonly lagBytes: number | null },
): Fitness => {
  const { state, primary, verdict, lagBytes, limits, group } = context;
  const no = (reason: string): Fitness => ({ eligible: false, reason });
  const { info } = node;
  if (state === 'unreachable' || info === null) return no(silence(node));
  if (state === 'loading') return no('it is loading its data set');
  if (info.role === 'primary') {
    if (state === 'stray-primary') return no(`it calls itself primary, but ${nameOf(context)} is`);
    return {
      eligible: true,
      reason: primary === null ? 'it calls itself primary; nobody confirmed it yet' : 'is primary',
    };
  }
  if (info.role === null) return no('it does not say its role');
  if (info.priority === 0) return no('its replica-priority is 0: it is told never to become primary');
  if (verdict.named !== null && info.follows !== null && !sameAddress(info.follows, verdict.named)) {
    return no(`it follows ${endpointOf(group.nodes, info.follows).name}, not ${nameOf(context)}`);
  }
  if (info.offset === null) return no('it has no copy of the data yet');
  if (info.link !== 'up') return primary === null ? orphanFitness(node, context) : no(linkReason(state));
  if (lagBytes !== null && lagBytes > limits.maxLagBytes) {
    return no(`it lags ${String(lagBytes)} bytes, more than ${String(limits.maxLagBytes)}`);
  }
  return { eligible: true, reason: null };
};

/** A replica whose primary is gone: its link is down for that reason, for a while that is no fault of its own. */
const orphanFitness = (node: NodeObservation, { group }: NodeContext): Fitness => {
  const downAfterMs = group.sentinels.map(({ view }) => view?.downAfterMs ?? null).find((ms) => ms !== null);
  const patienceMs = linkDownTimes * (downAfterMs ?? usualDownAfterMs) + usualDownAfterMs;
  const downMs = 1_000 * (node.info?.linkDownSeconds ?? 0);
  return downMs <= patienceMs
    ? { eligible: true, reason: null }
    : { eligible: false, reason: `its link is down for ${String(downMs)} ms: Sentinel passes over it` };
};

const linkReason = (state: RedisNodeView['state']): string =>
  state === 'syncing' ? 'it is copying the data set from the primary' : 'its link to the primary is down';

const silences = {
  gone: 'it is not there',
  silent: 'it does not answer',
  refused: 'it refuses to answer',
} as const;

/** Why nothing is known about a node or a Sentinel, in words. */
export const silence = ({ failure, answeredAtMs }: Pick<NodeObservation, 'failure' | 'answeredAtMs'>): string => {
  if (failure !== null) return `${silences[failure.kind]} (${failure.detail})`;
  return answeredAtMs === null ? 'it was not reached yet' : 'it stopped answering';
};

const nameOf = ({ group, verdict }: NodeContext): string =>
  verdict.named === null ? 'nobody' : endpointOf(group.nodes, verdict.named).name;
