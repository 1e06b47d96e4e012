// Who is the one active instance of an active/standby service, who takes over from it, and when? A pure decision; its commit takes
// the next fencing token and expects the revision of the service, so that of two who decide at the same time one is refused.
//
// The active one stays while it lives: silence alone takes nothing from it before the monitor evicts it. Another takes over when it
// is dead, gone, draining, in maintenance or without weight, or when its probe failed while it is suspected. Nobody gives way
// to one that comes back: it comes back as a standby, and its token is not the newest any more.
import type {
  Activation,
  ActivationHook,
  Evidence,
  Instance,
  ServicePolicy,
  StoredInstance,
} from '@switchyard/protocol';
import { memberOf } from '@switchyard/protocol';
import { NO_TOKEN_YET } from './commit.ts';
import type { Commit, Expectation, Write } from './commit.ts';
import { eligibilityOf } from './eligibility.ts';
import { storedPart } from './instance-transitions.ts';
import { activationOf, givenRole, isHolder } from './roles.ts';
import type { Versioned } from './setting-transitions.ts';

/** An active/standby service as it is now. */
export interface GovernedService {
  readonly name: string;
  readonly settings: Versioned<ServicePolicy>;
  readonly instances: readonly Instance[];
}

export type ActivationVerdict =
  | { readonly type: 'keep'; readonly active: Instance }
  | { readonly type: 'activate'; readonly chosen: Instance; readonly reason: string }
  /** the active one is lost and nobody can take over: to be written down once */
  | { readonly type: 'vacate'; readonly reason: string }
  /** nobody is active, and nothing can be done about it now */
  | { readonly type: 'nobody'; readonly reason: string };

/** Roles changed in one commit; the others are put right one by one. */
const MAX_CHANGED = 100;
/** Whoever declares himself a standby leaves the first activation of a service to others for so long. */
const FIRST_WAIT_MS = 1_000;

/** Why an instance could not be the active one now; undefined when it could. */
export function unfitFor(instance: Instance): string | undefined {
  const verdict = eligibilityOf({ ...instance, role: 'member' });
  return verdict.eligible ? undefined : verdict.reason;
}

/** What speaks against the one that was activated last. `gone`: it is not there, or not active, any more. */
function lossOf(
  { id, fencingToken }: Activation,
  holder: Instance | undefined,
): { readonly gone: boolean; readonly why: string } | undefined {
  if (!holder) return { gone: true, why: `${id} is no longer registered` };
  if (holder.liveness === 'dead') return { gone: true, why: `${id} was evicted: ${holder.livenessReason ?? 'dead'}` };
  if (holder.role !== 'active' || holder.fencingToken !== fencingToken) {
    return { gone: true, why: `${id} came back as a ${holder.role}` };
  }
  const isProbed = holder.suspectedBy === 'check' || holder.suspectedBy === 'doubt';
  if (holder.liveness === 'suspect' && isProbed) {
    return { gone: false, why: `${id} is suspected, and its probe failed: ${holder.livenessReason ?? 'no answer'}` };
  }
  const unfit = unfitFor({ ...holder, liveness: 'alive', dampedUntilMs: undefined });
  return unfit === undefined ? undefined : { gone: false, why: `${id}: ${unfit}` };
}

const declared = ({ declaredRole, role }: Instance): string => declaredRole ?? role;
const rank = (instance: Instance): number => (declared(instance) === 'active' ? 0 : 1);

/** Who comes first: declared as the active one, then by weight, then whoever has been alive for longest, then by id. */
const byMerit = (one: Instance, other: Instance): number =>
  rank(one) - rank(other) || other.weight - one.weight || one.sinceMs - other.sinceMs || (one.id < other.id ? -1 : 1);

/** The best of those who could be active now; one that is only damped for flapping when there is nobody else. */
export function bestStandby(instances: readonly Instance[], except?: string): Instance | undefined {
  const others = instances.filter(({ id }) => id !== except);
  const fit = others.filter((each) => unfitFor(each) === undefined);
  if (fit.length > 0) return fit.toSorted(byMerit)[0];
  return others
    .filter((each) => each.liveness === 'alive' && unfitFor({ ...each, dampedUntilMs: undefined }) === undefined)
    .toSorted(byMerit)[0];
}

/** The active instance of the service as it is stored; undefined when it is lost, or there was none yet. */
export function activeOf({ settings, instances }: GovernedService): Instance | undefined {
  const activation = activationOf(settings);
  const holder = activation && instances.find(({ id }) => id === activation.id);
  return activation && holder && isHolder(holder, activation) && holder.liveness !== 'dead' ? holder : undefined;
}

const whyNobody = (instances: readonly Instance[], except?: string): string => {
  const others = instances.filter(({ id }) => id !== except);
  if (others.length === 0) return 'no other instance is registered';
  const shown = others.slice(0, 5).map((each) => `${each.id}: ${unfitFor(each) ?? 'fit'}`);
  return `none of ${others.length} can take over (${shown.join('; ')}${others.length > 5 ? '; ...' : ''})`;
};

/** What has to happen now. `nowMs` is Unix time. */
export function decideActivation(service: GovernedService, nowMs: number): ActivationVerdict {
  const { settings, instances } = service;
  const activation = activationOf(settings);
  if (!activation) {
    const chosen = bestStandby(instances);
    if (!chosen)
      return { type: 'nobody', reason: instances.length === 0 ? 'no instance is registered' : whyNobody(instances) };
    const ageMs = nowMs - chosen.sinceMs;
    if (declared(chosen) === 'standby' && ageMs >= 0 && ageMs < FIRST_WAIT_MS) {
      return { type: 'nobody', reason: `${chosen.id} waits a moment for one that is not declared a standby` };
    }
    return { type: 'activate', chosen, reason: 'the first one of the service' };
  }
  const holder = instances.find(({ id }) => id === activation.id);
  const loss = lossOf(activation, holder);
  if (holder && !loss) return { type: 'keep', active: holder };
  const why = loss?.why ?? '';
  const chosen = bestStandby(instances, holder && isHolder(holder, activation) ? holder.id : undefined);
  if (chosen) return { type: 'activate', chosen, reason: activation.vacant?.reason ?? why };
  if (holder && loss && !loss.gone) return { type: 'keep', active: holder };
  const reason = activation.vacant?.reason ?? `${why}, and ${whyNobody(instances, activation.id)}`;
  return { type: activation.vacant ? 'nobody' : 'vacate', reason };
}

/** What is told with a change of the active one. */
export interface ActivationFacts {
  readonly reason: string;
  readonly nowMs: number;
  readonly evidence?: Evidence;
  readonly onActivate?: ActivationHook;
}

const told = ({ evidence, onActivate }: ActivationFacts): Pick<ActivationFacts, 'evidence' | 'onActivate'> => ({
  ...(evidence ? { evidence } : {}),
  ...(onActivate ? { onActivate } : {}),
});

function settingsWrite({ name, settings }: GovernedService, activation: Activation): [Expectation, Write] {
  const document = { ...settings.document, activation };
  return [
    { kind: 'service', key: name, revision: settings.revision },
    { kind: 'service', key: name, document, before: settings.document },
  ];
}

/** Makes `chosen` the active one and everybody else a standby, in one step and with the next fencing token. */
export function activateInstance(service: GovernedService, chosen: Instance, facts: ActivationFacts): Commit {
  const { name, instances, settings } = service;
  const { reason, nowMs } = facts;
  const before = activationOf(settings);
  const demoted = instances
    .filter(({ id, role }) => id !== chosen.id && role !== 'standby')
    // whoever holds the old token first
    .toSorted((one, other) => (other.fencingToken ?? 0) - (one.fencingToken ?? 0))
    .slice(0, MAX_CHANGED);
  const changed: readonly (readonly [Instance, StoredInstance])[] = [
    ...demoted.map((each) => [each, givenRole(each, { role: 'standby' })] as const),
    [chosen, givenRole(chosen, { role: 'active', fencingToken: NO_TOKEN_YET })],
  ];
  const [expected, write] = settingsWrite(service, {
    id: chosen.id,
    fencingToken: NO_TOKEN_YET,
    sinceMs: nowMs,
    reason,
  });
  return {
    expect: [
      expected,
      ...changed.map(([{ id, revision }]) => ({ kind: 'instance', key: memberOf(name, id), revision }) as const),
    ],
    writes: [
      write,
      ...changed.map(([current, document]) => {
        const key = memberOf(name, current.id);
        return { kind: 'instance', key, document, before: storedPart(current) } as const;
      }),
    ],
    service: name,
    grant: true,
    event: {
      type: 'service.activated',
      subject: name,
      data: {
        service: name,
        id: chosen.id,
        fencingToken: NO_TOKEN_YET,
        previous: before ? { id: before.id, fencingToken: before.fencingToken } : null,
        reason,
        sinceMs: nowMs,
        instances: changed.map(([, document]) => document),
        ...told(facts),
      },
    },
  };
}

/** Writes down that nobody is active; undefined when nobody ever was. */
export function vacateService(service: GovernedService, facts: ActivationFacts): Commit | undefined {
  const activation = activationOf(service.settings);
  if (!activation) return undefined;
  const { reason, nowMs } = facts;
  const [expected, write] = settingsWrite(service, { ...activation, vacant: { sinceMs: nowMs, reason } });
  const { id, fencingToken } = activation;
  return {
    expect: [expected],
    writes: [write],
    service: service.name,
    event: {
      type: 'service.vacated',
      subject: service.name,
      data: { service: service.name, previous: { id, fencingToken }, reason, sinceMs: nowMs, ...told(facts) },
    },
  };
}
