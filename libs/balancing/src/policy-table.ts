// Which policies exist, and which picker does a changed service get? One explicit table; nothing registers itself.
import type { PolicyName } from '@switchyard/protocol';
import { leastRequest } from './least-request.ts';
import type { Candidate, Picker, Policy, PolicyContext } from './picker.ts';
import { random } from './random.ts';
import { roundRobin } from './round-robin.ts';
import { weightedRoundRobin } from './weighted-round-robin.ts';

/** Every policy that a service may name, and how its picker is made. */
export const policyTable: { readonly [P in PolicyName]: Policy } = Object.freeze({
  'round-robin': roundRobin,
  'weighted-round-robin': weightedRoundRobin,
  'least-request': leastRequest,
  random,
});

/** What a picker is made from. */
export interface PickerRequest<C extends Candidate> {
  readonly policy: PolicyName;
  readonly candidates: readonly C[];
  readonly context: PolicyContext<C>;
}

/**
 * The picker for these candidates. With the `previous` picker of the service, and the same policy, the order goes on
 * where that one stands, which from then on must not be picked from.
 */
export function pickerFor<C extends Candidate>(request: PickerRequest<C>, previous?: Picker<C>): Picker<C> {
  return previous?.policy === request.policy
    ? previous.follow(request.candidates)
    : policyTable[request.policy](request.candidates, request.context);
}
