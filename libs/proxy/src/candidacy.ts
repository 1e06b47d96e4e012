// Which instance gets a request, and what is said when none can? Asks the policy, passes over those that are full, and
// collects why each candidate was not used.
import type { Refusal } from '@switchyard/protocol';
import type { AttemptRecord, DataPlaneOptions, ForwardDecision, Target, WhyNot } from './engine.ts';

/** What one request knows about its candidates. */
export interface Candidacy {
  /** Ids that are not to be picked any more. */
  readonly excluded: string[];
  /** Those that were picked but not used, without an attempt. */
  readonly passedOver: WhyNot[];
}

/** Who is asked for instances. */
interface Asked {
  readonly options: Pick<DataPlaneOptions, 'policy' | 'limits'>;
}

/** More lines than this are not for people. */
const mostReasons = 32;

/**
 * The next instance that has room for one more request; when nobody else is left, one that hangs, or is on trial with a request
 * already. Undefined: there is none; those that were passed over are excluded then.
 */
export function pickTarget(
  engine: Asked,
  { service, rules }: Pick<ForwardDecision, 'service' | 'rules'>,
  candidacy: Candidacy,
): Target | undefined {
  const { policy, limits } = engine.options;
  const most = rules.inFlightPerInstance ?? limits.inFlightPerInstance;
  let doubtful: Target | undefined;
  for (;;) {
    const target = policy.pick(service, candidacy.excluded);
    if (target === undefined) return doubtful;
    const { inFlight, onTrial, stalled } = target.meter;
    const hasRoom = inFlight < most;
    const isDoubtful = stalled || (onTrial && inFlight > 0);
    if (hasRoom && !isDoubtful) return target;
    if (hasRoom) doubtful ??= target;
    candidacy.excluded.push(target.id);
    const trouble = stalled ? 'it hangs' : 'it is on trial with another request';
    candidacy.passedOver.push({ id: target.id, reason: hasRoom ? trouble : `it has ${inFlight} requests under way` });
  }
}

/** Counts a request that was handed to the instance without going through here. */
export function countPicked(target: Target): void {
  target.meter.requests += 1;
}

/** The refusal when no instance is left, with the reason of every candidate. */
export function giveUp(
  exchange: { readonly attempts: readonly AttemptRecord[]; readonly engine: Asked },
  decision: ForwardDecision,
  candidacy: Candidacy & {
    readonly last?: { readonly timedOut: boolean } | undefined;
    readonly because?: string | undefined;
  },
): Refusal {
  const { attempts, engine } = exchange;
  const { last, passedOver } = candidacy;
  const told = new Set<string>();
  const why: string[] = [];
  const tell = (id: string, reason: string): void => {
    told.add(id);
    why.push(`${id}: ${reason}`);
  };
  for (const { instance, outcome } of attempts) tell(instance, outcome);
  if (candidacy.because !== undefined) why.push(candidacy.because);
  for (const { id, reason } of passedOver) if (!told.has(id)) tell(id, reason);
  for (const { id, reason } of engine.options.policy.whyNot(decision.service)) if (!told.has(id)) tell(id, reason);
  if (why.length === 0) why.push(`no instance of ${decision.service} is registered`);
  if (why.length > mostReasons) why.splice(mostReasons, why.length, `and ${why.length - mostReasons} more`);

  if (last !== undefined) {
    return last.timedOut
      ? { code: 'upstream_timeout', detail: `${decision.service} did not answer in time.`, why }
      : { code: 'bad_upstream', detail: `${decision.service} gave no usable answer.`, why };
  }
  const busy = passedOver.length > 0 && decision.action === 'proxy';
  return busy
    ? { code: 'overloaded', detail: `Every instance of ${decision.service} has all it can take.`, why }
    : { code: 'no_instance', detail: `No instance of ${decision.service} can take the request.`, why };
}
