// Which instances of a service can be picked, and why not the others? From what the catalog says, for one service.
import { pickerFor, type Picker, type PolicyContext } from '@switchyard/balancing';
import { eligibilityOf, type Eligibility } from '@switchyard/catalog';
import { isPanic, type Ejection } from '@switchyard/failure-detection';
import { defaultServicePolicy, type Instance, type ServicePolicy } from '@switchyard/protocol';
import type { Meters, ServiceRules, Target, WhyNot } from '@switchyard/proxy';
import { rulesOf } from './service-rules.ts';

/** One service as the dispatcher sees it; replaced as a whole when something about it changes. */
export interface ServiceEntry {
  readonly name: string;
  readonly policy: ServicePolicy;
  readonly rules: ServiceRules;
  readonly instances: readonly Instance[];
  /** The eligible ones; when there are none, those that are better than nothing. */
  readonly picker: Picker<Target>;
  /** True when nobody is eligible and suspects take the traffic. */
  readonly lastResort: boolean;
  /** Eligible, but ejected by this dispatcher: for a request that has nobody else left. */
  readonly reserve: readonly Target[];
  /** Everybody who is not picked, with the reason. */
  readonly whyNot: readonly WhyNot[];
}

/** What an entry is made from. */
export interface ServiceFacts {
  readonly name: string;
  readonly policy: ServicePolicy | undefined;
  readonly instances: readonly Instance[];
}

/** What all entries share. */
export interface EntryContext {
  readonly meters: Meters;
  readonly random: () => number;
  /** What this dispatcher itself leaves out for a moment. */
  readonly ejectionOf?: (service: string, id: string) => Ejection | undefined;
}

/** The entry; the picker of `previous` goes on where it stands. */
export function serviceEntry(facts: ServiceFacts, context: EntryContext, previous?: ServiceEntry): ServiceEntry {
  const policy = facts.policy ?? defaultServicePolicy;
  const instances = facts.instances.toSorted((one, other) => (one.id < other.id ? -1 : 1));
  const judged = instances.map((instance) => ({ instance, verdict: verdictOn(instance) }));
  const eligible = judged.filter(({ verdict }) => verdict.eligible);
  const lastResort = eligible.length === 0;
  const usable = lastResort ? judged.filter(({ verdict }) => !verdict.eligible && verdict.lastResort) : eligible;
  const ejected = ejectedAmong(eligible, context);
  const used = new Set(usable.map(({ instance }) => instance.id));
  const whyNot = judged.flatMap(({ instance: { id }, verdict }) => {
    const reason = verdict.eligible ? ejected.get(id) : used.has(id) ? undefined : verdict.reason;
    return reason === undefined ? [] : [{ id, reason }];
  });
  const all = usable.map(({ instance }) => targetOf(instance, context.meters));
  const targets = all.filter(({ id }) => !ejected.has(id));
  const reserve = all.filter(({ id }) => ejected.has(id));
  const picker = pickerOf(targets, { policy, context, previous: previous?.picker });
  const rules = rulesOf(policy);
  return {
    name: facts.name,
    policy,
    rules,
    instances,
    picker,
    lastResort: lastResort && usable.length > 0,
    reserve,
    whyNot,
  };
}

// Ejections that would leave too few are ignored altogether.
function ejectedAmong(
  eligible: readonly { readonly instance: Instance }[],
  { ejectionOf }: EntryContext,
): ReadonlyMap<string, string> {
  const ejected = new Map<string, string>();
  for (const { instance } of ejectionOf ? eligible : []) {
    const ejection = ejectionOf?.(instance.service, instance.id);
    if (!ejection) continue;
    const forSeconds = (ejection.forMs / 1_000).toFixed(1);
    ejected.set(instance.id, `ejected here for ${forSeconds} s after: ${ejection.reason}`);
  }
  return isPanic({ instances: eligible.length, ejected: ejected.size }) ? new Map() : ejected;
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
  candidates: readonly Target[],
  from: {
    readonly policy: ServicePolicy;
    readonly context: EntryContext;
    readonly previous: Picker<Target> | undefined;
  },
): Picker<Target> {
  const { previous, policy } = from;
  const isSame =
    previous?.policy === policy.policy &&
    previous.candidates.length === candidates.length &&
    previous.candidates.every((one, index) => isSameTarget(one, candidates[index]));
  if (isSame) return previous;
  return pickerFor({ policy: policy.policy, candidates, context: policyContext(from.context.random) }, previous);
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
