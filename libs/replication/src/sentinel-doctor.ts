// What is wrong with the Sentinels, and since when? Suspicions that last become problems; failed attempts block the next one for a time.
import { sameAddress } from './address.ts';
import type { GroupProblem } from './group-problems.ts';
import { defaultLimits, type GroupObservation, type TopologyLimits } from './observation.ts';
import type { PrimaryVerdict } from './primary-verdict.ts';
import {
  blindSpots,
  disagreements,
  leftovers,
  suspicion,
  type AilmentInput,
  type Suspicion,
} from './sentinel-ailments.ts';
import { layoutSuspicions } from './sentinel-layout.ts';
import type { SentinelEvent } from './sentinel-parser.ts';

/** What the doctor remembers; bounded by the size of the group. */
export interface DoctorState {
  /** Suspicion -> since when it holds. */
  readonly since: Readonly<Record<string, number>>;
  /** Sentinel -> the last attempt that it began, and how it ended. */
  readonly attempts: Readonly<Record<string, { readonly atMs: number; readonly failed: string | null }>>;
}

/** What was asked besides what every look shows; by the name of the Sentinel. Null: not asked, or no answer. */
export interface SentinelAnswers {
  /** Why SENTINEL FLUSHCONFIG failed; null also when it did not. */
  readonly flush: Readonly<Record<string, string | null>>;
  readonly resolvesNames: Readonly<Record<string, boolean | null>>;
  /** What CKQUORUM says in its own words. */
  readonly ckquorum: Readonly<Record<string, string | null>>;
}

/** One look. */
export interface DoctorInput {
  readonly group: GroupObservation;
  readonly verdict: PrimaryVerdict;
  readonly answers: SentinelAnswers;
  readonly limits?: TopologyLimits;
}

export const noAnswers: SentinelAnswers = Object.freeze({ flush: {}, resolvesNames: {}, ckquorum: {} });
export const doctorState: DoctorState = Object.freeze({ since: {}, attempts: {} });

const mostAttempts = 16;
const usualFailoverTimeoutMs = 180_000;

/** A message of a Sentinel; only attempts and how they end count. */
export const hearSentinel = (
  state: DoctorState,
  heard: { readonly sentinel: string; readonly event: SentinelEvent },
  nowMs: number,
): DoctorState => {
  const { type } = heard.event;
  if (type === '+switch-master') return { ...state, attempts: {} };
  const before = state.attempts[heard.sentinel];
  const failed = type.startsWith('-failover-abort') ? type.slice(1) : null;
  if (type !== '+try-failover' && failed === null) return state;
  const attempt = failed === null ? { atMs: nowMs, failed: null } : { atMs: before?.atMs ?? nowMs, failed };
  const attempts = Object.entries({ ...state.attempts, [heard.sentinel]: attempt }).slice(-mostAttempts);
  return { ...state, attempts: Object.fromEntries(attempts) };
};

/** The problems that hold long enough by now. Pure; call it with each look. */
export const examineSentinels = (
  state: DoctorState,
  input: DoctorInput,
  nowMs: number,
): { readonly state: DoctorState; readonly problems: readonly GroupProblem[] } => {
  if (input.group.kind !== 'sentinel') return { state, problems: [] };
  const context: AilmentInput = {
    group: input.group,
    verdict: input.verdict,
    limits: input.limits ?? defaultLimits,
    nowMs,
  };
  const suspicions = [
    ...disagreements(context),
    ...leftovers(context),
    ...blindSpots(context),
    ...layoutSuspicions(context),
    ...answerSuspicions(input),
    ...blockedSuspicions(state, input, nowMs),
  ];
  const since = Object.fromEntries(suspicions.map(({ key }) => [key, state.since[key] ?? nowMs]));
  const problems = suspicions
    .filter(({ key, patienceMs }) => nowMs - (since[key] ?? nowMs) >= patienceMs)
    .map(({ problem }) => problem);
  return { state: { ...state, since }, problems };
};

const answerSuspicions = ({ group, verdict, answers }: DoctorInput): readonly Suspicion[] => {
  const found: Suspicion[] = [];
  for (const { name, view } of group.sentinels) {
    const flush = answers.flush[name] ?? null;
    if (flush !== null) {
      const detail = `Sentinel ${name} cannot write its configuration: ${flush.slice(0, 120)}; after a restart it would not know what it promised`;
      const next = 'give its process a directory that it may write and that has room';
      found.push(suspicion({ code: 'sentinel_config_unwritable', detail, next }, { about: name }));
    }
    if (answers.resolvesNames[name] === false && view !== null && !/^[\d.]+$|:/.test(view.primary.host)) {
      const detail = `Sentinel ${name} has resolve-hostnames off, and the primary is announced as ${view.primary.host}`;
      const next = 'SENTINEL CONFIG SET resolve-hostnames yes on each, or announce fixed addresses (better)';
      found.push(suspicion({ code: 'names_not_resolved', detail, next }, { about: name }));
    }
    const ckquorum = answers.ckquorum[name] ?? null;
    if (!verdict.quorum.ok && ckquorum?.startsWith('OK') === true) {
      const { agreeing, needed } = verdict.quorum;
      const detail = `SENTINEL CKQUORUM at ${name} says "${ckquorum.slice(0, 80)}": it counts tilted Sentinels; ${String(agreeing)} could act, ${String(needed)} are needed`;
      const next = 'do not trust it; if the primary fails now, POST /v1/redis/groups/{group}/failover';
      found.push(suspicion({ code: 'ckquorum_misleads', detail, next }, { about: name, advice: true }));
    }
  }
  return found.slice(0, 16);
};

/** After a failed attempt a Sentinel waits twice its failover-timeout (sentinel.c, sentinelStartFailoverIfNeeded). */
const blockedSuspicions = (
  state: DoctorState,
  { group, verdict }: DoctorInput,
  nowMs: number,
): readonly Suspicion[] => {
  const primary = group.nodes.find((node) => sameAddress(node, verdict.named));
  const serves = primary?.failure === null && primary.info?.role === 'primary';
  return group.sentinels.flatMap(({ name, view }) => {
    const attempt = state.attempts[name];
    if (attempt?.failed === undefined || attempt.failed === null) return [];
    const timeoutMs = view?.failoverTimeoutMs ?? usualFailoverTimeoutMs;
    const leftMs = attempt.atMs + 2 * timeoutMs - nowMs;
    if (leftMs <= 0 || (view !== null && !sameAddress(view.primary, verdict.named) && verdict.by === 'sentinels'))
      return [];
    const detail = `the last failover by ${name} failed (${attempt.failed}): it tries again no sooner than in ${String(Math.ceil(leftMs / 1_000))} s`;
    const next =
      'mend what stopped it (see its log and the fitness of each replica), then POST /v1/redis/groups/{group}/failover';
    // While the primary serves, it is what would hurt if it failed now.
    return [suspicion({ code: 'failover_blocked', detail, next }, { about: name, advice: serves })];
  });
};
