// May this instance take new traffic, and if not, why? One predicate for pickers, API, CLI and `why`.
import type { Instance } from '@switchyard/protocol';

export type Eligibility =
  | { readonly eligible: true }
  | {
      readonly eligible: false;
      readonly reason: string;
      /** better than nothing: used only when no instance of the service is eligible */
      readonly lastResort: boolean;
    };

const no = (reason: string, lastResort = false): Eligibility => ({ eligible: false, reason, lastResort });
const eligible: Eligibility = Object.freeze({ eligible: true });
const because = (reason: string | undefined): string => (reason ? `: ${reason}` : '');

/** Three facts with three owners: what the owner wants, what the monitor believes, how much it should get. */
export function eligibilityOf(instance: Instance): Eligibility {
  if (instance.liveness === 'dead') return no(`evicted${because(instance.livenessReason)}`);
  if (instance.intent !== 'in-service') {
    const word = instance.intent === 'draining' ? 'draining' : 'in maintenance';
    // until another one is active, which is a matter of milliseconds where there is a standby
    const isActive =
      instance.intent === 'draining' && instance.role === 'active' && instance.fencingToken !== undefined;
    return no(`${word}${because(instance.intentReason)}`, isActive);
  }
  if (instance.role === 'standby') return no('on standby: the active instance takes the traffic');
  if (instance.weight === 0) return no(`its weight is 0${because(instance.weightReason)}`);
  if (instance.liveness === 'suspect') return no(`suspected${because(instance.livenessReason)}`, true);
  if (instance.dampedUntilMs !== undefined) {
    return no(
      `flapping: it went and came back too often, left out until ${new Date(instance.dampedUntilMs).toISOString()}`,
      true,
    );
  }
  return eligible;
}
