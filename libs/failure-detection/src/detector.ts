// Who is dead? A pure step from what one sweep of the deadlines showed to what should be done about it.
//
//   heard --deadline passes--> suspect --probe refused, or somebody else answers---------> evict
//     |  ^                        |
//     |  |                        +--silent for another TTL, and four probes in a row
//     |  |                        |  without an answer, or none that could refuse--(guards)-> evict, or held
//     |  '------ heard again -----'
//     '--somebody saw it fail--> doubted --probe refused, or somebody else answers--------> evict
//                                   |--probe answered--> heard
//                                   '--no answer--> suspect at once
//
// The detector remembers whom it suspects; a sweep brings only what changed. A silence that was not read anew in this very sweep
// evicts nobody. Guards before verdicts: see guards.ts.
import { memberOf } from '@switchyard/protocol';
import type { Evidence } from '@switchyard/protocol';
import { defaultDetectorSettings } from './detector-facts.ts';
import type {
  CatalogFacts,
  DetectorAction,
  DetectorSettings,
  Hold,
  MemberFacts,
  SweepFacts,
} from './detector-facts.ts';
import { countCrowd, inGrace, isShaken, recentDepartures, serviceOf, stallsAfter } from './guards.ts';
import type { Crowd, Departures, HoldReason, Stalls } from './guards.ts';
import { healthAfter, initialLocalHealth } from './local-health.ts';
import type { LocalHealth } from './local-health.ts';
import {
  doubtOf,
  evidenceOf,
  freshSuspicion,
  isProbing,
  isProven,
  isSilent,
  isUnanswered,
  unansweredInARow,
  UNANSWERED_PROBES,
  silenceOf,
  silenceWaitMs,
  withProbe,
  withWitness,
} from './suspicion.ts';
import type { Suspicion } from './suspicion.ts';

/** Holds are told one by one; of more, the rest is told a sweep later. */
const MAX_NEW_HOLDS = 256;
/** From here on two changes for each of the dead, suspected and evicted, would take longer than to ask them first. */
const LARGE_CROWD = 256;
/** Departures of one crowd that are remembered. */
const MAX_DEPARTURES = 10_000;

export interface DetectorState extends Stalls {
  /** deadlines up to here have been read */
  readonly cursorMs: number;
  readonly rescannedAtMs: number;
  /** where the next window of questions begins */
  readonly askFrom: number;
  readonly health: LocalHealth;
  readonly suspicions: ReadonlyMap<string, Suspicion>;
  readonly departures: Departures;
}

export const initialDetectorState: DetectorState = Object.freeze({
  graceFromMs: -Infinity,
  lateFromMs: -Infinity,
  lastSweepMs: undefined,
  cursorMs: -Infinity,
  rescannedAtMs: -Infinity,
  askFrom: 0,
  health: initialLocalHealth,
  suspicions: new Map(),
  departures: new Map(),
});

export interface DetectorStep {
  readonly state: DetectorState;
  readonly actions: readonly DetectorAction[];
  readonly newHolds: readonly Hold[];
}

/**
 * Whose deadlines the next sweep should read again: at most `limit` of those that are suspected here or, `alsoSuspected`, in the
 * catalog. Those whose probe has proven them dead come first, the others take turns.
 */
export function membersToAsk(state: DetectorState, alsoSuspected: Iterable<string>, limit: number): string[] {
  const all = new Set(state.suspicions.keys());
  for (const member of alsoSuspected) all.add(member);
  if (all.size <= limit) return [...all];
  const asked = new Set<string>();
  for (const [member, suspicion] of state.suspicions) {
    if (asked.size * 2 >= limit) break;
    if (isFirst(suspicion)) asked.add(member);
  }
  const turns = [...all];
  for (let i = 0; i < turns.length && asked.size < limit; i += 1) {
    const member = turns[(state.askFrom + i) % turns.length];
    if (member !== undefined) asked.add(member);
  }
  return [...asked];
}

/** Whoever has been proven dead waits for nothing but a last look at its deadline. */
const isFirst = (suspicion: Suspicion | undefined): boolean =>
  suspicion !== undefined && isProven(suspicion) && !suspicion.probing;

/** Takes in one sweep. Only a leader acts; every monitor keeps the time between its own sweeps. */
export function stepDetector(
  state: DetectorState,
  sweep: SweepFacts,
  catalog: CatalogFacts,
  settings: DetectorSettings = defaultDetectorSettings,
): DetectorStep {
  const { nowMs } = sweep;
  const { late, steppedBack, stalls } = stallsAfter(state, nowMs, settings);
  const health = healthAfter(steppedBack ? initialLocalHealth : state.health, {
    nowMs,
    late,
    roundTripMs: sweep.roundTripMs,
    probesEnded: sweep.probed.length,
    probesTimedOut: sweep.probed.reduce((sum, { result }) => sum + (result.outcome === 'timeout' ? 1 : 0), 0),
  });
  if (!sweep.leader) return { state: { ...initialDetectorState, ...stalls, health }, actions: [], newHolds: [] };

  const round: Round = {
    sweep,
    catalog,
    settings,
    stalls,
    health: health.score,
    suspicions: new Map(steppedBack ? [] : state.suspicions),
    actions: [],
    newHolds: [],
  };
  takeInProbes(round);
  takeInDeadlines(round);
  takeInDoubts(round);
  const departures = recentDepartures(state.departures, nowMs);
  const crowd = countCrowd({ sweep, suspicions: round.suspicions, departures }, catalog, settings);
  for (const [member, suspicion] of round.suspicions) {
    const facts = catalog.find(member);
    if (!facts || facts.liveness === 'dead') round.suspicions.delete(member);
    else consider(round, crowd, { member, suspicion, facts });
  }
  const leavesCrowd = round.actions.filter(
    ({ type, member }) => type === 'evict' && crowd.heldBy(serviceOf(member))?.crowd,
  );

  // not before all of them were read once
  const isDue = nowMs - state.rescannedAtMs >= settings.rescanMs && sweep.cursorMs >= nowMs;
  const rescans = steppedBack || stalls.graceFromMs !== state.graceFromMs || isDue;
  const turns = sweep.asked.filter(({ member }) => !isFirst(state.suspicions.get(member))).length;
  return {
    state: {
      graceFromMs: stalls.graceFromMs,
      lateFromMs: stalls.lateFromMs,
      lastSweepMs: nowMs,
      health,
      cursorMs: rescans ? -Infinity : sweep.cursorMs,
      rescannedAtMs: rescans ? nowMs : state.rescannedAtMs,
      askFrom: (state.askFrom + turns) % 1_000_000_007,
      suspicions: round.suspicions,
      departures: withDepartures(departures, leavesCrowd, nowMs),
    },
    actions: round.actions,
    newHolds: round.newHolds,
  };
}

function withDepartures(before: Departures, leaving: readonly DetectorAction[], nowMs: number): Departures {
  const room = MAX_DEPARTURES - before.size;
  if (leaving.length === 0 || room <= 0) return before;
  return new Map([...before, ...leaving.slice(0, room).map(({ member }) => [member, nowMs] as const)]);
}

/** One step under way; its collections are its own. */
interface Round {
  readonly sweep: SweepFacts;
  readonly catalog: CatalogFacts;
  readonly settings: DetectorSettings;
  readonly stalls: Stalls;
  readonly health: number;
  readonly suspicions: Map<string, Suspicion>;
  readonly actions: DetectorAction[];
  readonly newHolds: Hold[];
}

function takeInProbes({ sweep, suspicions }: Round): void {
  for (const { member, result } of sweep.probed) {
    const suspicion = suspicions.get(member);
    if (suspicion) suspicions.set(member, withProbe(suspicion, result));
  }
}

function takeInDeadlines(round: Round): void {
  const { sweep, catalog, suspicions } = round;
  const { nowMs } = sweep;
  const silent = (member: string, deadlineMs: number, ttlMs: number): void => {
    const known = suspicions.get(member);
    const same = known?.deadlineMs === deadlineMs;
    const read = { deadlineMs, readAtMs: nowMs, ttlMs };
    suspicions.set(member, same ? { ...known, ...read } : { ...freshSuspicion(read, known?.witnesses) });
  };
  for (const { member, deadlineMs, ttlMs } of sweep.passed) {
    const liveness = catalog.find(member)?.liveness;
    if (liveness !== undefined && liveness !== 'dead') silent(member, deadlineMs, ttlMs);
  }
  for (const { member, deadlineMs } of sweep.asked) {
    const facts = catalog.find(member);
    if (deadlineMs === undefined || !facts || facts.liveness === 'dead') suspicions.delete(member);
    else if (deadlineMs <= nowMs) silent(member, deadlineMs, facts.ttlMs);
    else heard(round, { member, facts, deadlineMs });
  }
}

/** Its deadline lies ahead. */
function heard(round: Round, at: { member: string; facts: MemberFacts; deadlineMs: number }): void {
  const { sweep, suspicions, actions } = round;
  const { member, facts, deadlineMs } = at;
  const suspicion = suspicions.get(member);
  // whoever is doubted while it beats must beat again; a suspicion that lies ahead is older than a step of the clock
  const isHeardAgain =
    suspicion?.deadlineMs === undefined
      ? deadlineMs - facts.ttlMs > facts.sinceMs || facts.sinceMs > sweep.nowMs
      : deadlineMs > suspicion.deadlineMs;
  const isSuspect = facts.liveness === 'suspect';
  // answers end what failed checks began
  if (isSuspect && facts.suspectedBy !== 'check' && (facts.suspectedBy !== 'doubt' || isHeardAgain)) {
    actions.push({ type: 'revive', member, evidence: { because: 'heartbeat', detail: 'it was heard again' } });
  }
  if (!suspicion) return;
  if (isSilent(suspicion) || (isSuspect && isHeardAgain && !suspicion.probing)) suspicions.delete(member);
  else suspicions.set(member, { ...suspicion, deadlineMs, readAtMs: sweep.nowMs });
}

function takeInDoubts({ sweep, catalog, suspicions }: Round): void {
  const { nowMs } = sweep;
  for (const doubt of sweep.doubts) {
    const member = memberOf(doubt.service, doubt.id);
    const facts = catalog.find(member);
    const known = suspicions.get(member);
    // where the owner wants no probes there is nothing to ask: its deadline decides
    if (!facts || facts.liveness === 'dead' || (!known && !facts.probes)) continue;
    const witnesses = withWitness(known?.witnesses ?? [], doubt, nowMs);
    const fresh = (): Suspicion => freshSuspicion({ deadlineMs: undefined, readAtMs: -Infinity, ttlMs: facts.ttlMs });
    suspicions.set(member, { ...(known ?? { ...fresh(), sinceMs: nowMs }), witnesses });
  }
}

/** One suspect on its way through a step. */
interface Considered {
  readonly member: string;
  readonly suspicion: Suspicion;
  readonly facts: MemberFacts;
}

function consider(round: Round, crowd: Crowd, { member, suspicion, facts }: Considered): void {
  const { sweep, stalls, settings, suspicions } = round;
  const { nowMs } = sweep;
  const silent = isSilent(suspicion);
  if (suspicion.told && facts.liveness === 'alive' && !silent) {
    suspicions.delete(member);
    return;
  }
  const quiet = inGrace(stalls, suspicion.ttlMs, nowMs, settings);
  let current: Suspicion = { ...suspicion, told: suspicion.told || facts.liveness === 'suspect' };
  if (!current.begun || current.quiet !== quiet) {
    // heartbeats that waited for the same stall to end come first
    const mayYetBeHeard = quiet && current.witnesses.length === 0 && nowMs < stalls.graceFromMs + current.ttlMs / 3;
    if (mayYetBeHeard) return;
    current = { ...current, begun: true, quiet, probes: [], sinceMs: nowMs, held: undefined };
    if (facts.probes) current = probed(round, member, current);
  }
  suspicions.set(member, current);
  const verdict = silent ? judgeSilence(round, crowd, { member, suspicion: current, facts }) : undefined;
  if (silent) {
    // of a large crowd nobody is told before the probe ends: most of the dead are gone by then
    const waits = suspicions.size > LARGE_CROWD && isProbing(current, nowMs);
    const isNews = facts.liveness === 'alive' && !quiet && current.readAtMs === nowMs && !waits;
    if (isNews && verdict !== 'evicted') suspect(round, { member, suspicion: current, by: 'silence' });
  } else judgeDoubt(round, { member, suspicion: current, facts });
}

const probed = ({ sweep, health, actions }: Round, member: string, suspicion: Suspicion): Suspicion => {
  const patience = (1 + health) * 2 ** Math.min(unansweredInARow(suspicion), UNANSWERED_PROBES - 1);
  actions.push({ type: 'probe', member, patience });
  return { ...suspicion, probing: true, probedAtMs: sweep.nowMs, probedDeadlineMs: suspicion.deadlineMs };
};

function suspect(round: Round, whom: { member: string; suspicion: Suspicion; by: 'silence' | 'doubt' }): void {
  const { member, suspicion, by } = whom;
  const { nowMs } = round.sweep;
  const verdict =
    by === 'silence'
      ? ({ because: 'silence', detail: silenceOf(suspicion, nowMs) } as const)
      : ({ because: 'probe-failed', detail: `${doubtOf(suspicion)}, and ${lastDetail(suspicion)}` } as const);
  round.actions.push({
    type: 'suspect',
    member,
    by,
    evidence: evidenceOf(suspicion, { nowMs, health: round.health }, verdict),
  });
}

const lastDetail = ({ probes }: Suspicion): string => probes.at(-1)?.detail ?? 'it was not asked';

function evict(
  round: Round,
  member: string,
  suspicion: Suspicion,
  verdict: Pick<Evidence, 'because' | 'detail'>,
): void {
  const at = { nowMs: round.sweep.nowMs, health: round.health };
  round.actions.push({ type: 'evict', member, evidence: evidenceOf(suspicion, at, verdict) });
}

/** Evidence that is there: its address refuses, or answers as somebody else, and it was not heard since. */
function evictProven(round: Round, { member, suspicion }: Considered, what: string): 'evicted' | undefined {
  const { nowMs } = round.sweep;
  if (suspicion.readAtMs !== nowMs) return undefined;
  if ((suspicion.deadlineMs ?? 0) > (suspicion.probedDeadlineMs ?? Infinity)) {
    round.suspicions.set(member, probed(round, member, suspicion));
    return undefined;
  }
  const because = suspicion.probes.at(-1)?.outcome === 'other' ? 'address-taken' : 'probe-failed';
  evict(round, member, suspicion, { because, detail: `${what}, and ${lastDetail(suspicion)}` });
  return 'evicted';
}

/** Somebody saw it fail, but its deadline has not passed. */
function judgeDoubt(round: Round, whom: Considered): void {
  const { member, suspicion, facts } = whom;
  if (isProbing(suspicion, round.sweep.nowMs)) return;
  if (isProven(suspicion)) evictProven(round, whom, doubtOf(suspicion));
  else if (!isUnanswered(suspicion)) round.suspicions.delete(member);
  else if (!suspicion.quiet && facts.liveness === 'alive') suspect(round, { member, suspicion, by: 'doubt' });
}

/** What an application itself says is a sign of life; an open port is none, for the kernel accepts for a frozen process. */
function applicationAnswers({ probes }: Suspicion): HoldReason | undefined {
  const last = probes.at(-1);
  if (last?.outcome !== 'answered' || last.kind === 'tcp') return undefined;
  return {
    reason: `its heartbeats are missing, but its application answers: ${last.detail}`,
    crowd: false,
    last: false,
  };
}

/** Its deadline has passed. */
function judgeSilence(round: Round, crowd: Crowd, whom: Considered): 'evicted' | undefined {
  const { sweep, stalls, settings, suspicions } = round;
  const { nowMs } = sweep;
  const { member, suspicion, facts } = whom;
  if (isProbing(suspicion, nowMs)) return undefined;
  if (isProven(suspicion)) return evictProven(round, whom, silenceOf(suspicion, nowMs));
  // all that is left is evidence that is missing: read in this sweep, complete, and not after a stall
  if (suspicion.quiet || suspicion.readAtMs !== nowMs || sweep.cursorMs < nowMs) return undefined;
  if (isShaken(stalls, suspicion.ttlMs, nowMs, settings)) return undefined;
  const unanswered = isUnanswered(suspicion);
  const untilMs = (suspicion.deadlineMs ?? nowMs) + silenceWaitMs(suspicion, nowMs, round.health);
  // packets get lost: one time-out says little, and the next probe is more patient
  if (unanswered && unansweredInARow(suspicion) < UNANSWERED_PROBES) {
    if (nowMs - suspicion.probedAtMs >= suspicion.ttlMs / 6) suspicions.set(member, probed(round, member, suspicion));
    return undefined;
  }
  if (nowMs < Math.max(untilMs, suspicion.notBeforeMs)) return undefined;
  const hold = applicationAnswers(suspicion) ?? crowd.heldBy(serviceOf(member));
  const patienceMs = settings.crowdPatienceTtls * suspicion.ttlMs * (1 + round.health);
  const outOfPatience =
    hold?.crowd &&
    !hold.last &&
    nowMs - suspicion.sinceMs >= patienceMs &&
    suspicion.probes.every(({ outcome }) => outcome !== 'answered');
  if (hold === undefined && suspicion.held !== undefined) {
    suspicions.set(member, { ...suspicion, held: undefined, notBeforeMs: nowMs + suspicion.ttlMs });
    return undefined;
  }
  if (hold === undefined || (unanswered && outOfPatience)) {
    const silence = silenceOf(suspicion, nowMs);
    const answered = suspicion.probes.length > 0 ? ', although its address answers' : '';
    evict(round, member, suspicion, {
      because: unanswered ? 'probe-failed' : 'silence',
      detail: unanswered ? `${silence}, and ${lastDetail(suspicion)}` : `${silence}${answered}`,
    });
    return 'evicted';
  }
  let held = suspicion;
  if (held.held === undefined && round.newHolds.length < MAX_NEW_HOLDS) {
    const verdict = { because: 'silence', detail: hold.reason } as const;
    const evidence = evidenceOf(held, { nowMs, health: round.health }, verdict);
    round.newHolds.push({ member, reason: hold.reason, evidence });
    held = { ...held, held: hold.reason };
  }
  if (facts.probes && nowMs - held.probedAtMs >= held.ttlMs) held = probed(round, member, held);
  suspicions.set(member, held);
  return undefined;
}
