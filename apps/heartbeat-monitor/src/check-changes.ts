// What does a verdict of checks change in the catalog?
import { registerInstanceUnder, reviveInstance, suspectInstance } from '@switchyard/catalog';
import type { Decision, Versioned } from '@switchyard/catalog';
import { formatDurationMs } from '@switchyard/protocol';
import type { Evidence, Instance, InstanceInput, ServicePolicy } from '@switchyard/protocol';
import type { CheckVerdict } from './check-results.ts';

/** As its owner described it. */
const inputOf = ({ url, declaredWeight, zone, version, meta, ttlMs, check, role }: Instance): InstanceInput => ({
  url,
  weight: declaredWeight,
  ...(zone === undefined ? {} : { zone }),
  ...(version === undefined ? {} : { version }),
  meta,
  ttl: formatDurationMs(ttlMs),
  ...(check === undefined ? {} : { check }),
  role,
});

/** `settings`: those of its service. */
type Change = (
  instance: Instance,
  evidence: Evidence,
  at: { readonly nowMs: number; readonly settings: Versioned<ServicePolicy> | undefined },
) => Decision;

/** The change of each verdict. One that was evicted is registered again, as a new process under its name. */
export const changeBy: Readonly<Record<CheckVerdict['type'], Change>> = {
  suspect: (instance, evidence, { nowMs }) => suspectInstance(instance, evidence, nowMs, 'check'),
  revive: (instance, evidence, { nowMs }) => reviveInstance(instance, evidence, nowMs),
  return: (instance, _evidence, at) => registerInstanceUnder(instance, instance, inputOf(instance), at),
};
