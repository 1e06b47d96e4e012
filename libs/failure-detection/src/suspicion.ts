// Whom do we doubt, since when, and what speaks for and against them? One record for each, with its evidence.
import type { Doubt, Evidence } from '@switchyard/protocol';
import type { ProbeResult } from './detector-facts.ts';

/** A heartbeat comes three times in a TTL, unless its owner says otherwise. */
const BEATS_IN_TTL = 3;
const MAX_PROBES_KEPT = 5;
const MAX_WITNESSES = 8;
/** What was seen fail so long ago says nothing about now. */
const WITNESS_AGE_MS = 10_000;
/** So many independent ones shorten the wait for silence to its least (Lifeguard's k). */
const WITNESSES_EXPECTED = 3;
/** A probe takes its time-out of 60 s at most, nine times as long from a monitor that doubts itself; this one was lost. */
const PROBE_LOST_MS = 600_000;

export interface Witness {
  readonly because: Doubt['because'];
  readonly by: string;
  readonly detail: string;
  readonly atMs: number;
}

export interface Suspicion {
  /** as it was last read; undefined until then */
  readonly deadlineMs: number | undefined;
  /** when it was last read */
  readonly readAtMs: number;
  readonly ttlMs: number;
  readonly sinceMs: number;
  /** asked for its first probe, or found that it wants none */
  readonly begun: boolean;
  /** begun in a grace: nobody is told, and only evidence that is there, not evidence that is missing, counts */
  readonly quiet: boolean;
  readonly probing: boolean;
  readonly probedAtMs: number;
  /** its deadline when that probe began, if it was known: one that has moved since is a heartbeat */
  readonly probedDeadlineMs: number | undefined;
  readonly probes: readonly ProbeResult[];
  readonly witnesses: readonly Witness[];
  /** the catalog has shown it as a suspect */
  readonly told: boolean;
  /** why missing evidence does not evict it now */
  readonly held: string | undefined;
  /** not before: a hold has just ended, as when a crowd comes back one by one */
  readonly notBeforeMs: number;
}

/** A record of somebody about whom nothing has been asked yet. */
export const freshSuspicion = (
  from: Pick<Suspicion, 'deadlineMs' | 'readAtMs' | 'ttlMs'>,
  witnesses: readonly Witness[] = [],
): Suspicion => ({
  ...from,
  sinceMs: from.readAtMs,
  begun: false,
  quiet: false,
  probing: false,
  probedAtMs: -Infinity,
  probedDeadlineMs: undefined,
  probes: [],
  witnesses,
  told: false,
  held: undefined,
  notBeforeMs: -Infinity,
});

/** Its deadline had passed when it was last read. */
export const isSilent = ({ deadlineMs, readAtMs }: Suspicion): boolean =>
  deadlineMs !== undefined && deadlineMs <= readAtMs;

/** A probe is under way. */
export const isProbing = ({ probing, probedAtMs }: Suspicion, nowMs: number): boolean =>
  probing && nowMs - probedAtMs < PROBE_LOST_MS;

/** Nobody listens at its address, or somebody else does: evidence that is there. */
export function isProven({ probes }: Suspicion): boolean {
  const last = probes.at(-1);
  return last?.outcome === 'refused' || last?.outcome === 'other';
}

/** It did not answer, but nothing says that it is gone: evidence that is missing. */
export function isUnanswered({ probes }: Suspicion): boolean {
  const last = probes.at(-1);
  return last?.outcome === 'timeout' || last?.outcome === 'failed';
}

/** So many in a row without an answer, each waited for twice as long as the one before, speak against an instance that is silent. */
export const UNANSWERED_PROBES = 4;

/** Its latest probes without an answer, at most as many as are kept. */
export function unansweredInARow({ probes }: Suspicion): number {
  const last = probes.findLastIndex(({ outcome }) => outcome !== 'timeout' && outcome !== 'failed');
  return probes.length - 1 - last;
}

/** A probe of it ended. */
export const withProbe = (suspicion: Suspicion, result: ProbeResult): Suspicion => ({
  ...suspicion,
  probing: false,
  probes: [...suspicion.probes, result].slice(-MAX_PROBES_KEPT),
});

/** One more saw it fail; each witness counts once. */
export function withWitness(witnesses: readonly Witness[], doubt: Doubt, nowMs: number): readonly Witness[] {
  const others = witnesses.filter(({ by, atMs }) => by !== doubt.witness && nowMs - atMs < WITNESS_AGE_MS);
  const { because, witness: by, detail } = doubt;
  return [...others, { because, by, detail, atMs: nowMs }].slice(-MAX_WITNESSES);
}

/**
 * Ms after its deadline at which silence alone may evict: another TTL, less with each independent witness, but never less than one
 * heartbeat (Lifeguard's dynamic suspicion, logarithmic), and more for a monitor that doubts itself. `health`: 0 to 8.
 */
export function silenceWaitMs({ ttlMs, witnesses }: Suspicion, nowMs: number, health: number): number {
  const longestMs = ttlMs * (1 + health);
  const shortestMs = ttlMs / BEATS_IN_TTL;
  const seen = witnesses.filter(({ atMs }) => nowMs - atMs < WITNESS_AGE_MS).length;
  const share = Math.min(1, Math.log(seen + 1) / Math.log(WITNESSES_EXPECTED + 1));
  return longestMs - (longestMs - shortestMs) * share;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** For people: how long nothing was heard. */
export const silenceOf = ({ deadlineMs, ttlMs }: Suspicion, nowMs: number): string =>
  `no heartbeat for ${seconds(nowMs - (deadlineMs ?? nowMs) + ttlMs)}`;

/** For people: who saw it fail, and how. */
export function doubtOf({ witnesses }: Suspicion): string {
  const last = witnesses.at(-1);
  return last ? `${last.detail} (seen by ${last.by})` : 'somebody saw it fail';
}

/** All that is known about it, as data. */
export function evidenceOf(
  suspicion: Suspicion,
  at: { readonly nowMs: number; readonly health: number },
  verdict: Pick<Evidence, 'because' | 'detail'>,
): Evidence {
  const { deadlineMs, ttlMs, witnesses, probes } = suspicion;
  const silentForMs = deadlineMs === undefined ? undefined : Math.max(0, at.nowMs - deadlineMs + ttlMs);
  return {
    ...verdict,
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(silentForMs === undefined
      ? {}
      : { silentForMs, missedBeats: Math.floor((silentForMs * BEATS_IN_TTL) / ttlMs) }),
    ...(witnesses.length === 0
      ? {}
      : { witnesses: witnesses.map(({ because, by, detail }) => ({ because, by, detail })) }),
    localHealth: at.health,
    probes: probes.map(({ kind, outcome, tookMs }) => ({ kind, outcome, tookMs })),
  };
}
