// Which instances of a service can be picked, and why not the others? From what the catalog says, for one service.
import { pickerFor, type Picker, type PolicyContext } from '@switchyard/balancing';
import { eligibilityOf, type Eligibility } from '@switchyard/catalog';
import { isPanic, type Ejection, type EjectionSettings } from '@switchyard/failure-detection';
import { defaultServicePolicy, type Instance, type PolicyName, type ServicePolicy } from '@switchyard/protocol';
import type { Meters, ServiceRules, Target, WhyNot } from '@switchyard/proxy';
import { ejectionSettingsOf, rulesOf, slowStartOf } from './service-rules.ts';
import { allWarm, warmedUp, type WarmUp } from './warm-up.ts';

/** One service as the dispatcher sees it; replaced as a whole when something about it changes. */
export interface ServiceEntry {
  readonly name: string;
  readonly policy: ServicePolicy;
  readonly rules: ServiceRules;
  /** When an instance is left out for failures; undefined for never. */
  readonly outlier: EjectionSettings | undefined;
  readonly instances: readonly Instance[];
  /** The eligible ones; when there are none, those that are better than nothing. */
  readonly picker: Picker<Target>;
  /** True when nobody is eligible and suspects take the traffic. */
  readonly lastResort: boolean;
  /** True when this dispatcher would leave out so many that it gives up ejections, or leaves out nobody at all. */
  readonly panic: boolean;
  readonly warmUp: WarmUp;
  /** Eligible, but left out by this dispatcher: for a request that has nobody else left. */
  readonly reserve: readonly Target[];
  /** Everybody who is not picked, with the reason. */
  readonly whyNot: readonly WhyNot[];
}

/** What an entry is made from. */
export interface ServiceFacts {
  readonly name: string;
  readonly policy: ServicePolicy | undefined;
  readonly instances: readonly Instance[];
  /** Everybody counts as warmed up: the dispatcher has just begun to look. */
  readonly settled?: boolean;
}

/** What all entries share. */
export interface EntryContext {
  readonly meters: Meters;
  readonly random: () => number;
  /** The monotonic clock of this process. */
  readonly nowMs: () => number;
  /** What this dispatcher itself leaves out for a moment. */
  readonly ejectionOf?: (service: string, id: string) => Ejection | undefined;
  /** Why probes of this dispatcher speak against an instance. */
  readonly probedOut?: (service: string, id: string) => string | undefined;
}

/** The entry; the picker of `previous` goes on where it stands. */
export function serviceEntry(facts: ServiceFacts, context: EntryContext, previous?: ServiceEntry): ServiceEntry {
  const policy = facts.policy ?? defaultServicePolicy;
  const instances = facts.instances.toSorted((one, other) => (one.id < other.id ? -1 : 1));
  const judged = instances.map((instance) => ({ instance, verdict: verdictOn(instance) }));
  const eligible = judged.filter(({ verdict }) => verdict.eligible);
  const lastResort = eligible.length === 0;
  const usable = lastResort ? judged.filter(({ verdict }) => !verdict.eligible && verdict.lastResort) : eligible;
  const outlier = ejectionSettingsOf(policy);
  const { ejected, panic } = leftOutOf(eligible, { outlier, context });
  const used = new Set(usable.map(({ instance }) => instance.id));
  const whyNot = judged.flatMap(({ instance: { id }, verdict }) => {
    const reason = verdict.eligible ? ejected.get(id) : used.has(id) ? undefined : verdict.reason;
    return reason === undefined ? [] : [{ id, reason }];
  });
  const all = usable.map(({ instance }) => targetOf(instance, context.meters));
  const reserve = all.filter(({ id }) => ejected.has(id));
  const isSettled = facts.settled === true || lastResort || panic;
  const { warmUp, ...picked } = warmedUp({
    targets: all.filter(({ id }) => !ejected.has(id)),
    policy: policy.policy,
    slowStart: slowStartOf(policy),
    before: previous?.warmUp ?? allWarm,
    isNew: isSettled ? () => false : newcomersTo(previous, instances),
    nowMs: context.nowMs(),
  });
  const picker = pickerOf(picked, { context, previous: previous?.picker });
  return {
    name: facts.name,
    policy,
    rules: rulesOf(policy),
    outlier,
    instances,
    picker,
    lastResort: lastResort && usable.length > 0,
    panic,
    warmUp,
    reserve,
    whyNot,
  };
}

// Whom this dispatcher leaves out, and why. When too few would be left, nobody; but ejections, which come and go with single
// requests, are given up before what probes have shown.
function leftOutOf(
  eligible: readonly { readonly instance: Instance }[],
  { outlier, context }: { readonly outlier: EjectionSettings | undefined; readonly context: EntryContext },
): { readonly ejected: ReadonlyMap<string, string>; readonly panic: boolean } {
  const probed = new Map<string, string>();
  const either = new Map<string, string>();
  for (const { instance } of eligible) {
    const { service, id } = instance;
    const ejection = outlier === undefined ? undefined : context.ejectionOf?.(service, id);
    const found = context.probedOut?.(service, id);
    if (found !== undefined) probed.set(id, found);
    const reason = ejection === undefined ? found : wordsFor(ejection);
    if (reason !== undefined) either.set(id, reason);
  }
  const leavesTooFew = ({ size }: ReadonlyMap<string, string>): boolean =>
    isPanic({ instances: eligible.length, ejected: size, mostPercent: outlier?.mostPercent });
  if (!leavesTooFew(either)) return { ejected: either, panic: false };
  return { ejected: leavesTooFew(probed) ? new Map() : probed, panic: true };
}

const wordsFor = ({ forMs, reason }: Ejection): string =>
  `ejected here for ${(forMs / 1_000).toFixed(1)} s after: ${reason}`;

// Who was not picked until now, or is another process than before under the same id.
function newcomersTo(previous: ServiceEntry | undefined, instances: readonly Instance[]): (id: string) => boolean {
  const picked = new Set(previous?.picker.candidates.map(({ id }) => id));
  const before = new Map(previous?.instances.map(({ id, incarnation }) => [id, incarnation]));
  const restarted = instances.filter(({ id, incarnation }) => incarnation > (before.get(id) ?? Infinity));
  const isRestarted = new Set(restarted.map(({ id }) => id));
  return (id) => !picked.has(id) || isRestarted.has(id);
}

// Addresses are checked when they are registered; one that was written around the registry must not stop the table.
function verdictOn(instance: Instance): Eligibility {
  if (!URL.canParse(instance.url)) return { eligible: false, reason: 'its address is not a URL', lastResort: false };
  return eligibilityOf(instance);
}

/** What the data plane needs of an instance whose URL can be parsed. */
export function targetOf(instance: Instance, meters: Meters): Target {
  const url = new URL(instance.url);
  const secure = url.protocol === 'https:';
  return {
    id: instance.id,
    service: instance.service,
    weight: instance.weight,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (secure ? 443 : 80),
    secure,
    origin: url.origin,
    meter: meters.of(instance.service, instance.id),
  };
}

/** How busy a target is, for policies that ask. */
export function policyContext(random: () => number): PolicyContext<Target> {
  return { random, inFlight: (target) => target.meter.inFlight };
}

function pickerOf(
  { targets, policy }: { readonly targets: readonly Target[]; readonly policy: PolicyName },
  { context, previous }: { readonly context: EntryContext; readonly previous: Picker<Target> | undefined },
): Picker<Target> {
  const isSame =
    previous?.policy === policy &&
    previous.candidates.length === targets.length &&
    previous.candidates.every((one, index) => isSameTarget(one, targets[index]));
  if (isSame) return previous;
  return pickerFor({ policy, candidates: targets, context: policyContext(context.random) }, previous);
}

function isSameTarget(one: Target, other: Target | undefined): boolean {
  return (
    other !== undefined &&
    one.id === other.id &&
    one.weight === other.weight &&
    one.origin === other.origin &&
    one.meter === other.meter
  );
}
