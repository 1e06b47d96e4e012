// Who is dead? A pure step from what one sweep of the deadlines showed to what should be done about it.
//
//   heard --deadline passes--> suspect --probe fails--------------------------> evict
//     ^                           |
//     |                           +--probe answers, silent for another TTL-----> evict, unless a guard holds it
//     '--------- heard again -----'
//
// Guards before verdicts (the failure stories: Moleculer declares all peers dead after its own pause; Eureka keeps the dead
// of a crowd for ever; Sentinel's TILT): after a gap in our own sweeps, whoever stalled, missing heartbeats prove nothing
// for two TTLs, and only a refused connection or a taken address counts; a crowd that goes silent at once is probed, the dead leave and the silent stay; a service of two or more is
// never emptied by silence alone.
import { splitMember } from '@switchyard/protocol';
import type { Doubt, Evidence, Liveness } from '@switchyard/protocol';

export interface DetectorSettings {
  /** a longer time between two sweeps counts as a stall of ours */
  readonly maxGapMs: number;
  /** how many TTLs missing heartbeats prove nothing after a stall */
  readonly graceTtls: number;
  /** fewer silent instances than this are no crowd */
  readonly crowdMinimum: number;
  /** more than this share of all known instances silent at once is a crowd */
  readonly crowdPercent: number;
}

export const defaultDetectorSettings: DetectorSettings = Object.freeze({
  maxGapMs: 500,
  graceTtls: 2,
  crowdMinimum: 3,
  crowdPercent: 30,
});

/** How a probe ended. `answered`: the instance itself; `other`: its address answers as somebody else. */
export type ProbeOutcome = 'answered' | 'refused' | 'timeout' | 'failed' | 'other';

export interface ProbeResult {
  readonly kind: 'http' | 'tcp' | 'grpc';
  readonly outcome: ProbeOutcome;
  readonly tookMs: number;
  readonly detail: string;
}

/** What one sweep saw. Times are Redis's clock in ms. */
export interface SweepFacts {
  readonly leader: boolean;
  readonly nowMs: number;
  readonly known: number;
  readonly passed: readonly { readonly member: string; readonly deadlineMs: number; readonly ttlMs: number }[];
  readonly back: readonly { readonly member: string }[];
  /** what others saw fail since the last sweep; a reason to ask, no proof */
  readonly doubts: readonly Doubt[];
}

/** What the catalog says about an instance and its service. */
export interface CatalogFacts {
  liveness(member: string): Liveness | undefined;
  /** false when its owner asked for no probes */
  probes(member: string): boolean;
  /** instances of the service that are not dead */
  living(service: string): number;
  maxUnhealthyPercent(service: string): number;
}

interface Suspicion {
  readonly deadlineMs: number;
  readonly ttlMs: number;
  /** begun in a grace: nobody is told, and only evidence that is there, not evidence that is missing, counts */
  readonly quiet: boolean;
  readonly probing: boolean;
  readonly probedAtMs?: number;
  readonly probes: readonly ProbeResult[];
  readonly held?: string;
}

export interface DetectorState {
  /** start of the present grace; -Infinity when there is none */
  readonly graceFromMs: number;
  readonly lastSweepMs: number | undefined;
  readonly suspicions: ReadonlyMap<string, Suspicion>;
}

export const initialDetectorState: DetectorState = Object.freeze({
  graceFromMs: -Infinity,
  lastSweepMs: undefined,
  suspicions: new Map(),
});

export type DetectorAction =
  | { readonly type: 'suspect'; readonly member: string; readonly evidence: Evidence }
  | { readonly type: 'probe'; readonly member: string }
  | { readonly type: 'revive'; readonly member: string; readonly evidence: Evidence }
  | { readonly type: 'evict'; readonly member: string; readonly evidence: Evidence };

/** Why missing heartbeats are not acted upon, said once when it begins. */
export interface Hold {
  readonly member: string;
  readonly reason: string;
}

export interface DetectorStep {
  readonly state: DetectorState;
  readonly actions: readonly DetectorAction[];
  readonly newHolds: readonly Hold[];
}

const MAX_PROBES_KEPT = 5;
const serviceOf = (member: string): string => splitMember(member)?.service ?? '';

/** True while missing heartbeats of an instance with this TTL prove nothing. */
export const inGrace = (state: DetectorState, ttlMs: number, nowMs: number, settings: DetectorSettings): boolean =>
  nowMs < state.graceFromMs + settings.graceTtls * ttlMs;

function graceAfter(state: DetectorState, nowMs: number, settings: DetectorSettings): number {
  const { lastSweepMs } = state;
  const steady = lastSweepMs !== undefined && nowMs >= lastSweepMs && nowMs - lastSweepMs <= settings.maxGapMs;
  return steady ? state.graceFromMs : nowMs;
}

function evidenceOf(suspicion: Suspicion, nowMs: number, because: Evidence['because'], detail: string): Evidence {
  return {
    because,
    detail,
    deadlineMs: suspicion.deadlineMs,
    silentForMs: nowMs - suspicion.deadlineMs + suspicion.ttlMs,
    probes: suspicion.probes.map(({ kind, outcome, tookMs }) => ({ kind, outcome, tookMs })),
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** The whole picture in which one silence is judged. */
interface Crowd {
  readonly suspicions: ReadonlyMap<string, Suspicion>;
  readonly known: number;
  readonly catalog: CatalogFacts;
  readonly settings: DetectorSettings;
}

/** Why silence alone may not evict this one now; undefined when it may. */
function heldBy(member: string, { suspicions, known, catalog, settings }: Crowd): string | undefined {
  const service = serviceOf(member);
  const silent = suspicions.size;
  let silentHere = 0;
  for (const other of suspicions.keys()) if (serviceOf(other) === service) silentHere += 1;
  const living = catalog.living(service);
  if (silent >= settings.crowdMinimum && silent * 100 > known * settings.crowdPercent) {
    return `${silent} of ${known} instances went silent together: more likely the way to us than all of them`;
  }
  if (silentHere >= settings.crowdMinimum && silentHere * 100 > living * catalog.maxUnhealthyPercent(service)) {
    return `${silentHere} of ${living} instances of ${service} went silent together`;
  }
  if (living >= 2 && silentHere >= living) return `silence alone never empties a service of ${living}`;
  return undefined;
}

/** A verdict on one suspect: an eviction, another probe, or patience with its reason. */
function judge(
  member: string,
  suspicion: Suspicion,
  context: { nowMs: number; held: () => string | undefined; probes: boolean },
): { readonly action?: DetectorAction; readonly held?: string } {
  const { nowMs } = context;
  const last = suspicion.probes.at(-1);
  const proven = last?.outcome === 'refused' || last?.outcome === 'other';
  if (last && !suspicion.probing && (proven || (!suspicion.quiet && last.outcome !== 'answered'))) {
    const taken = last.outcome === 'other';
    const detail = `no heartbeat for ${seconds(nowMs - suspicion.deadlineMs + suspicion.ttlMs)}, and ${last.detail}`;
    const evidence = evidenceOf(suspicion, nowMs, taken ? 'address-taken' : 'probe-failed', detail);
    return { action: { type: 'evict', member, evidence } };
  }
  if (suspicion.probing || suspicion.quiet) return {};
  if (nowMs < suspicion.deadlineMs + suspicion.ttlMs) return {};
  const held = context.held();
  if (held === undefined) {
    const answered = last ? ', although its address answers' : '';
    const detail = `no heartbeat for ${seconds(nowMs - suspicion.deadlineMs + suspicion.ttlMs)}${answered}`;
    return { action: { type: 'evict', member, evidence: evidenceOf(suspicion, nowMs, 'silence', detail) } };
  }
  const again = context.probes && nowMs - (suspicion.probedAtMs ?? -Infinity) >= suspicion.ttlMs;
  return { held, ...(again ? { action: { type: 'probe', member } } : {}) };
}

function freshSuspicion(
  seen: { member: string; deadlineMs: number; ttlMs: number; quiet: boolean; nowMs: number },
  catalog: CatalogFacts,
): Suspicion {
  const { member, deadlineMs, ttlMs, quiet, nowMs } = seen;
  const probing = catalog.probes(member);
  return { deadlineMs, ttlMs, quiet, probing, ...(probing ? { probedAtMs: nowMs } : {}), probes: [] };
}

/** Takes in one sweep. Only a leader acts; every monitor keeps the time between its own sweeps. */
export function stepDetector(
  state: DetectorState,
  sweep: SweepFacts,
  catalog: CatalogFacts,
  settings: DetectorSettings = defaultDetectorSettings,
): DetectorStep {
  const { nowMs } = sweep;
  const graceFromMs = graceAfter(state, nowMs, settings);
  const watching: DetectorState = { graceFromMs, lastSweepMs: nowMs, suspicions: new Map() };
  if (!sweep.leader) return { state: watching, actions: [], newHolds: [] };

  const actions: DetectorAction[] = [];
  const newHolds: Hold[] = [];
  const suspicions = new Map<string, Suspicion>();

  for (const { member } of sweep.back) {
    if (catalog.liveness(member) !== 'suspect') continue;
    actions.push({ type: 'revive', member, evidence: { because: 'heartbeat', detail: 'it was heard again' } });
  }
  for (const { member, deadlineMs, ttlMs } of sweep.passed) {
    const liveness = catalog.liveness(member);
    if (liveness === undefined || liveness === 'dead') continue;
    const quiet = inGrace(watching, ttlMs, nowMs, settings);
    // heartbeats that waited for the same stall to end come first
    if (quiet && nowMs < graceFromMs + ttlMs / 3) continue;
    const known = state.suspicions.get(member);
    const same = known?.deadlineMs === deadlineMs && known.quiet === quiet;
    const suspicion = same ? known : freshSuspicion({ member, deadlineMs, ttlMs, quiet, nowMs }, catalog);
    suspicions.set(member, suspicion);
    // asked for until the catalog shows it: a write can fail, or lose against another one
    if (liveness === 'alive' && !quiet) {
      const detail = `no heartbeat for ${seconds(nowMs - deadlineMs + ttlMs)}`;
      actions.push({ type: 'suspect', member, evidence: evidenceOf(suspicion, nowMs, 'silence', detail) });
    }
    if (!same && suspicion.probing) actions.push({ type: 'probe', member });
  }

  for (const [member, suspicion] of suspicions) {
    const verdict = judge(member, suspicion, {
      nowMs,
      held: () => heldBy(member, { suspicions, known: sweep.known, catalog, settings }),
      probes: catalog.probes(member),
    });
    if (verdict.action) actions.push(verdict.action);
    const probesAgain = verdict.action?.type === 'probe';
    if (verdict.held !== undefined && suspicion.held === undefined) newHolds.push({ member, reason: verdict.held });
    if (verdict.held !== undefined || probesAgain) {
      suspicions.set(member, {
        ...suspicion,
        ...(verdict.held === undefined ? {} : { held: verdict.held }),
        ...(probesAgain ? { probing: true, probedAtMs: nowMs } : {}),
      });
    }
  }
  return { state: { ...watching, suspicions }, actions, newHolds };
}

/** Takes in how a probe ended. A result for somebody who is no longer suspected is dropped. */
export function recordProbe(state: DetectorState, member: string, result: ProbeResult): DetectorState {
  const suspicion = state.suspicions.get(member);
  if (!suspicion) return state;
  const probes = [...suspicion.probes, result].slice(-MAX_PROBES_KEPT);
  return { ...state, suspicions: new Map(state.suspicions).set(member, { ...suspicion, probes, probing: false }) };
}
