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
): { readonly stalls: Stalls; readonly late: boolean; readonly steppedBack: boolean } {
  const { lastSweepMs } = stalls;
  const gapMs = lastSweepMs === undefined ? Infinity : nowMs - lastSweepMs;
  const steppedBack = gapMs < 0;
  const stalled = steppedBack || gapMs > settings.maxGapMs;
  const late = stalled || gapMs > settings.lateSweepMs;
  const after = {
    graceFromMs: stalled ? nowMs : stalls.graceFromMs,
    lateFromMs: late ? nowMs : stalls.lateFromMs,
    lastSweepMs: nowMs,
  };
  return { stalls: after, late: late && lastSweepMs !== undefined, steppedBack };
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
export const recentDepartures = (departures: Departures, nowMs: number): Departures =>
  departures.size === 0
    ? departures
    : new Map([...departures].filter(([, atMs]) => nowMs >= atMs && nowMs - atMs < CROWD_MEMORY_MS));

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

interface Counts {
  readonly total: number;
  readonly byService: ReadonlyMap<string, number>;
}

function countByService(members: Iterable<string>): Counts {
  const byService = new Map<string, number>();
  let total = 0;
  for (const member of members) {
    const service = serviceOf(member);
    byService.set(service, (byService.get(service) ?? 0) + 1);
    total += 1;
  }
  return { total, byService };
}

/** Counts the silent when it is first asked, once for the fleet and once for each service: O(suspicions) a sweep. */
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
  const isGone = (member: string): boolean =>
    !suspicions.has(member) && (catalog.find(member)?.liveness ?? 'dead') === 'dead';
  const silentNow = function* (): Generator<string> {
    for (const [member, suspicion] of suspicions) if (isSilent(suspicion) || isProven(suspicion)) yield member;
  };
  const count = (): { silent: Counts; left: Counts; fleet: string | undefined } => {
    const silent = countByService(silentNow());
    const left = countByService([...departures.keys()].filter(isGone));
    const gone = Math.max(silent.total, sweep.late) + left.total;
    const known = sweep.known + left.total;
    const fleet = isCrowd(gone, known, settings.crowdPercent)
      ? `${gone} of ${known} instances went silent together: more likely the way to us than all of them`
      : undefined;
    return { silent, left, fleet };
  };
  let counted: ReturnType<typeof count> | undefined;
  const reasons = new Map<string, HoldReason | undefined>();
  const isCrowd = (gone: number, of: number, percent: number): boolean =>
    gone >= settings.crowdMinimum && gone * 100 > of * percent;

  const reasonFor = (service: string): HoldReason | undefined => {
    counted ??= count();
    const { silent, left, fleet } = counted;
    const silentHere = silent.byService.get(service) ?? 0;
    const leftHere = left.byService.get(service) ?? 0;
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
