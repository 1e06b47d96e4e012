// When are missing heartbeats no proof? After a stall of ours, in a crowd that goes silent at once, and for the last one of a service.
// (The failure stories: Moleculer declares all peers dead after its own pause; Eureka keeps the dead of a crowd for ever; Sentinel
// has its TILT.) Evidence that is there, a refused connection or a taken address, counts in spite of every guard.
import { splitMember } from '@switchyard/protocol';
import type { CatalogFacts, DetectorSettings, SweepFacts } from './detector-facts.ts';
import { isProven, isSilent } from './suspicion.ts';
import type { Suspicion } from './suspicion.ts';

/** Those of a crowd that are proven dead leave first; the rest is no smaller a part of it for that. */
const CROWD_MEMORY_MS = 30_000;

/** When this monitor, or Redis, or the way between them, was last not to be trusted. Redis's clock; -Infinity for never. */
export interface Stalls {
  /** start of the present grace */
  readonly graceFromMs: number;
  /** the latest sweep that came late */
  readonly lateFromMs: number;
  readonly lastSweepMs: number | undefined;
}

/** What the time since the sweep before says. The first sweep, and a clock that steps, begin a grace. */
export function stallsAfter(
  stalls: Stalls,
  nowMs: number,
  settings: DetectorSettings,
): Stalls & { readonly late: boolean; readonly steppedBack: boolean } {
  const { lastSweepMs } = stalls;
  const gapMs = lastSweepMs === undefined ? Infinity : nowMs - lastSweepMs;
  const steppedBack = gapMs < 0;
  const stalled = steppedBack || gapMs > settings.maxGapMs;
  const late = stalled || gapMs > settings.lateSweepMs;
  // a moment of a clock that has stepped back since would last for as long as the step
  const before = steppedBack ? -Infinity : undefined;
  return {
    graceFromMs: stalled ? nowMs : stalls.graceFromMs,
    lateFromMs: late ? nowMs : (before ?? stalls.lateFromMs),
    lastSweepMs: nowMs,
    late: late && lastSweepMs !== undefined,
    steppedBack,
  };
}

/** True while missing heartbeats of an instance with this TTL say nothing: nobody is even suspected for them. */
export const inGrace = (stalls: Stalls, ttlMs: number, nowMs: number, settings: DetectorSettings): boolean =>
  nowMs < stalls.graceFromMs + settings.graceTtls * ttlMs;

/** True while they may raise a suspicion, but evict nobody. */
export const isShaken = (stalls: Stalls, ttlMs: number, nowMs: number, settings: DetectorSettings): boolean =>
  nowMs < Math.max(stalls.graceFromMs, stalls.lateFromMs) + settings.graceTtls * ttlMs;

/** Who left lately as one of a crowd, and when. */
export type Departures = ReadonlyMap<string, number>;

/** The departures that still count. */
export const recentDepartures = (departures: Departures, nowMs: number): Map<string, number> =>
  new Map([...departures].filter(([, atMs]) => nowMs >= atMs && nowMs - atMs < CROWD_MEMORY_MS));

export interface HoldReason {
  readonly reason: string;
  /** it is one of a crowd, which time and probes resolve */
  readonly crowd: boolean;
  /** its service would be empty without it: nothing but evidence that is there resolves that */
  readonly last: boolean;
}

/** The whole picture in which one silence is judged. */
export interface Crowd {
  /** Why missing evidence alone may not evict an instance of this service now; undefined when it may. */
  heldBy(service: string): HoldReason | undefined;
}

export const serviceOf = (member: string): string => splitMember(member)?.service ?? '';

/** Counts the silent once for the fleet and once for each service: O(suspicions) a sweep. */
export function countCrowd(
  seen: {
    readonly sweep: SweepFacts;
    readonly suspicions: ReadonlyMap<string, Suspicion>;
    readonly departures: Departures;
  },
  catalog: CatalogFacts,
  settings: DetectorSettings,
): Crowd {
  const { sweep, suspicions, departures } = seen;
  const silentIn = new Map<string, number>();
  const leftFrom = new Map<string, number>();
  const reasons = new Map<string, HoldReason | undefined>();
  const count = (where: Map<string, number>, member: string): void => {
    const service = serviceOf(member);
    where.set(service, (where.get(service) ?? 0) + 1);
  };
  let silent = 0;
  for (const [member, suspicion] of suspicions) {
    if (!isSilent(suspicion) && !isProven(suspicion)) continue;
    silent += 1;
    count(silentIn, member);
  }
  let left = 0;
  for (const member of departures.keys()) {
    const back = catalog.find(member);
    if (suspicions.has(member) || (back && back.liveness !== 'dead')) continue;
    left += 1;
    count(leftFrom, member);
  }
  const isCrowd = (gone: number, of: number, percent: number): boolean =>
    gone >= settings.crowdMinimum && gone * 100 > of * percent;

  const inFleet = Math.max(silent, sweep.late) + left;
  const fleet = isCrowd(inFleet, sweep.known + left, settings.crowdPercent)
    ? `${inFleet} of ${sweep.known + left} instances went silent together: more likely the way to us than all of them`
    : undefined;

  const reasonFor = (service: string): HoldReason | undefined => {
    const silentHere = silentIn.get(service) ?? 0;
    const leftHere = leftFrom.get(service) ?? 0;
    const { living, recorded } = catalog.count(service);
    const gone = silentHere + leftHere;
    const here = isCrowd(gone, living + leftHere, catalog.maxUnhealthyPercent(service))
      ? `${gone} of ${living + leftHere} instances of ${service} went silent together`
      : undefined;
    const crowd = fleet ?? here;
    const last = recorded >= 2 && silentHere >= living;
    const lastReason =
      living >= 2
        ? `silence alone never empties a service of ${living}`
        : 'silence alone never takes the last instance of a service';
    const reason = crowd ?? (last ? lastReason : undefined);
    return reason === undefined ? undefined : { reason, crowd: crowd !== undefined, last };
  };
  return {
    heldBy(service) {
      if (!reasons.has(service)) reasons.set(service, reasonFor(service));
      return reasons.get(service);
    },
  };
}
