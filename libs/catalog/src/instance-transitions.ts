// What is a legal change of an instance? Each function decides; the store commits; nobody else writes instances.
//
//   (absent) --register--> alive --suspect--> suspect --evict--> dead --reap--> (absent)
//                            ^------revive-------'                 |
//                            '----------------register-------------'   (incarnation + 1)
//
// Each way back to alive is counted; who takes it too often is damped until it settles.
import { memberOf, ok, OWN_DRAIN_REASON, parseDurationMs, refuse } from '@switchyard/protocol';
import type {
  Evidence,
  Instance,
  InstanceInput,
  InstancePatch,
  NewEvent,
  Result,
  ServicePolicy,
  StoredInstance,
} from '@switchyard/protocol';
import { unchanged } from './commit.ts';
import type { Commit, DeadlineChange, Decision, Expectation } from './commit.ts';
import { flapsAfterReturn, flapsOf, isSettled } from './damping.ts';
import { sameJson } from './json-equality.ts';
import { checkPrecondition } from './precondition.ts';
import type { Precondition } from './precondition.ts';
import { rightedRole, roleAfterRegistration } from './roles.ts';
import type { Versioned } from './setting-transitions.ts';

export interface InstanceRef {
  readonly service: string;
  readonly id: string;
}

type InstanceEventType = Extract<NewEvent['type'], `instance.${string}`>;

const nameOf = ({ service, id }: InstanceRef): string => `instance ${id} of service ${service}`;

/** The stored part of an instance: everything but the revision, which the commit gives out. */
export function storedPart(instance: Instance): StoredInstance {
  const { revision: _revision, ...stored } = instance;
  return stored;
}

function change(
  current: Instance | undefined,
  next: StoredInstance,
  what: { type: InstanceEventType; evidence?: Evidence; deadline?: DeadlineChange; expect?: readonly Expectation[] },
): Decision {
  const member = memberOf(next.service, next.id);
  const data = { instance: next, ...(what.evidence ? { evidence: what.evidence } : {}) };
  const commit: Commit = {
    expect: [{ kind: 'instance', key: member, revision: current?.revision ?? 0 }, ...(what.expect ?? [])],
    writes: [{ kind: 'instance', key: member, document: next, ...(current ? { before: storedPart(current) } : {}) }],
    service: next.service,
    event: { type: what.type, subject: member, data } as NewEvent,
    ...(what.deadline ? { deadline: what.deadline } : {}),
  };
  return { type: 'commit', commit };
}

/** The canonical base address: what is appended to it is a path and nothing else. The schema has checked that it is one. */
function urlOf(input: InstanceInput): string {
  const host = input.host?.includes(':') ? `[${input.host}]` : input.host;
  return new URL(input.url ?? `http://${host}:${input.port}`).origin;
}

function described(
  ref: InstanceRef,
  input: InstanceInput,
): Omit<StoredInstance, 'intent' | 'liveness' | 'sinceMs' | 'incarnation'> {
  return {
    service: ref.service,
    id: ref.id,
    url: urlOf(input),
    weight: input.weight,
    declaredWeight: input.weight,
    ...(input.zone === undefined ? {} : { zone: input.zone }),
    ...(input.version === undefined ? {} : { version: input.version }),
    meta: input.meta,
    ttlMs: parseDurationMs(input.ttl) ?? 3_000,
    ...(input.check === undefined ? {} : { check: input.check }),
    role: input.role,
  };
}

/**
 * Registers or re-registers. The same document again changes nothing. A weight or intent that an operator set
 * stands until the owner declares another weight: a re-registration must not undo a drain.
 */
export function registerInstance(
  current: Instance | undefined,
  ref: InstanceRef,
  input: InstanceInput,
  nowMs: number,
): Decision {
  return registered(current, described(ref, input), { nowMs });
}

/** What a registration is decided on besides the instance itself. */
export interface RegistrationContext {
  readonly nowMs: number;
  /** the stored policy of its service: it says who gives the role, and must not have changed when this is committed */
  readonly settings: Versioned<ServicePolicy> | undefined;
}

/** The same where the service may be active/standby: a role given by activation stands, and whoever is new is a standby. */
export function registerInstanceUnder(
  current: Instance | undefined,
  ref: InstanceRef,
  input: InstanceInput,
  { settings, nowMs }: RegistrationContext,
): Decision {
  const expect = settings && [{ kind: 'service', key: ref.service, revision: settings.revision } as const];
  const fresh = { ...described(ref, input), ...roleAfterRegistration(settings, current, input.role) };
  return registered(current, fresh, { nowMs, ...(expect ? { expect } : {}) });
}

/** Gives the instance the role that the mode of its service calls for. */
export function rightRole(current: Instance, settings: Versioned<ServicePolicy> | undefined): Decision {
  const next = rightedRole(settings, current);
  if (!next) return unchanged;
  const detail =
    next.role === 'standby' ? 'another instance is the active one' : 'the service is not active/standby any more';
  const expect: Expectation[] = [{ kind: 'service', key: current.service, revision: settings?.revision ?? 0 }];
  return change(current, next, { type: 'instance.updated', evidence: { because: 'requested', detail }, expect });
}

function registered(
  current: Instance | undefined,
  fresh: ReturnType<typeof described>,
  { nowMs, expect = [] }: { readonly nowMs: number; readonly expect?: readonly Expectation[] },
): Decision {
  const member = memberOf(fresh.service, fresh.id);
  const deadline = { member, ttlMs: fresh.ttlMs };
  if (!current) {
    const next = { ...fresh, intent: 'in-service', liveness: 'alive', sinceMs: nowMs, incarnation: 1 } as const;
    return change(undefined, next, { type: 'instance.registered', deadline, expect });
  }
  const isWeightKept = current.declaredWeight === fresh.declaredWeight;
  const returning = current.liveness === 'dead';
  const next: StoredInstance = {
    ...fresh,
    ...(isWeightKept ? weightOf(current) : {}),
    ...intentAfter(current),
    ...(current.liveness === 'alive' ? flapsOf(current) : flapsAfterReturn(current, nowMs)),
    liveness: 'alive',
    sinceMs: current.liveness === 'alive' ? current.sinceMs : nowMs,
    incarnation: current.incarnation + (returning ? 1 : 0),
  };
  if (sameJson(next, storedPart(current))) return unchanged;
  const revived = current.liveness === 'suspect';
  const type = returning ? 'instance.registered' : revived ? 'instance.revived' : 'instance.updated';
  const evidence: Evidence | undefined = revived
    ? { because: 'registered', detail: 'it registered again while it was suspected' }
    : undefined;
  return change(current, next, { type, deadline, expect, ...(evidence ? { evidence } : {}) });
}

function weightOf({ weight, weightReason }: Instance): Pick<StoredInstance, 'weight' | 'weightReason'> {
  return { weight, ...(weightReason === undefined ? {} : { weightReason }) };
}

/** An operator's wish stands; the end of a process before this one does not. */
function intentAfter({ intent, intentReason }: Instance): Pick<StoredInstance, 'intent' | 'intentReason'> {
  if (intent === 'draining' && intentReason === OWN_DRAIN_REASON) return { intent: 'in-service' };
  return { intent, ...(intentReason === undefined ? {} : { intentReason }) };
}

/** Changes weight or intent of a known instance; refuses an unknown one, or one that is not as `precondition` says. */
export function patchInstance(
  current: Instance | undefined,
  ref: InstanceRef,
  patch: InstancePatch,
  precondition?: Precondition,
): Result<Decision> {
  if (!current) return refuse('not_found', `${nameOf(ref)} is not registered`);
  const held = checkPrecondition(nameOf(ref), current, precondition);
  if (!held.ok) return held;
  const { intentReason: _intent, weightReason: _weight, ...rest } = storedPart(current);
  const intentReason = patch.intent === undefined ? current.intentReason : patch.reason;
  const isWeighed = patch.weight !== undefined && (patch.weight !== current.weight || patch.reason !== undefined);
  const weightReason = isWeighed ? patch.reason : current.weightReason;
  const next: StoredInstance = {
    ...rest,
    weight: patch.weight ?? current.weight,
    ...(weightReason === undefined ? {} : { weightReason }),
    intent: patch.intent ?? current.intent,
    ...(intentReason === undefined ? {} : { intentReason }),
  };
  if (sameJson(next, storedPart(current))) return ok(unchanged);
  const evidence: Evidence | undefined = patch.reason ? { because: 'requested', detail: patch.reason } : undefined;
  return ok(change(current, next, { type: 'instance.updated', ...(evidence ? { evidence } : {}) }));
}

/** Removes the record on its owner's wish, or because a dead one was kept long enough (`reaped`). */
export function removeInstance(
  current: Instance | undefined,
  ref: InstanceRef,
  why: { type: 'instance.deregistered' | 'instance.reaped'; reason: string; precondition?: Precondition },
): Result<Decision> {
  if (!current) return refuse('not_found', `${nameOf(ref)} is not registered`);
  const held = checkPrecondition(nameOf(ref), current, why.precondition);
  if (!held.ok) return held;
  const { service, id } = ref;
  const member = memberOf(service, id);
  const event: NewEvent = { type: why.type, subject: member, data: { service, id, reason: why.reason } };
  return ok({
    type: 'commit',
    commit: {
      expect: [{ kind: 'instance', key: member, revision: current.revision }],
      writes: [{ kind: 'instance', key: member, document: null, before: storedPart(current) }],
      deadline: { member, remove: true },
      service,
      event,
    },
  });
}

/**
 * There is reason to doubt it: it gets no new traffic while another is left, and is probed. `by`: who may end the suspicion, a
 * heartbeat, or answers to its check. A check's suspicion stands when silence comes to it.
 */
export function suspectInstance(
  current: Instance,
  evidence: Evidence,
  nowMs: number,
  by: NonNullable<StoredInstance['suspectedBy']> = 'silence',
): Decision {
  if (current.liveness !== 'alive') return unchanged;
  const next: StoredInstance = {
    ...storedPart(current),
    liveness: 'suspect',
    livenessReason: evidence.detail,
    suspectedBy: by,
    sinceMs: nowMs,
  };
  return change(current, next, { type: 'instance.suspected', evidence });
}

/** It was heard again, or answers its check again, before anybody evicted it. */
export function reviveInstance(current: Instance, evidence: Evidence, nowMs: number): Decision {
  if (current.liveness !== 'suspect') return unchanged;
  const { livenessReason: _reason, suspectedBy: _by, ...rest } = storedPart(current);
  const next: StoredInstance = { ...rest, ...flapsAfterReturn(current, nowMs), liveness: 'alive', sinceMs: nowMs };
  return change(current, next, { type: 'instance.revived', evidence });
}

/** It has been quiet for long enough after flapping: it takes traffic again. */
export function settleInstance(current: Instance, nowMs: number): Decision {
  if (!isSettled(current, nowMs)) return unchanged;
  const { dampedUntilMs: _over, ...rest } = storedPart(current);
  const evidence: Evidence = { because: 'settled', detail: 'it has been quiet for long enough after flapping' };
  return change(current, rest, { type: 'instance.updated', evidence });
}

/** It is taken for dead. The record stays until it is reaped, so that people can ask why. */
export function evictInstance(current: Instance, evidence: Evidence, nowMs: number): Decision {
  if (current.liveness === 'dead') return unchanged;
  const { suspectedBy: _by, ...rest } = storedPart(current);
  const next: StoredInstance = {
    ...rest,
    liveness: 'dead',
    livenessReason: evidence.detail,
    sinceMs: nowMs,
  };
  // a decision that was under way for a while must not overtake a heartbeat
  const heard = evidence.deadlineMs === undefined ? {} : { unlessAfterMs: evidence.deadlineMs };
  const deadline = { member: memberOf(current.service, current.id), remove: true, ...heard } as const;
  return change(current, next, { type: 'instance.evicted', evidence, deadline });
}
