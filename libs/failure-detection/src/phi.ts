// How surprising is the present silence? The accrual detector's phi (Hayashibara 2004) in the exponential form of Cassandra. It is a
// number for people and dashboards: batched heartbeats arrive too evenly for it, so it evicts nobody.

/** phi 1 after this many mean intervals times ln 10: a silence of 18.4 means, phi 8, comes once in 10^8 by chance. */
export const phiAfter = (silentMs: number, meanIntervalMs: number): number =>
  meanIntervalMs <= 0 || silentMs <= 0 ? 0 : silentMs / meanIntervalMs / Math.LN10;

/** Share of the newest sample in the mean. */
const NEWEST = 0.1;
/** Heartbeats in a TTL before anything is known. */
const BEATS_IN_TTL = 3;

/** What is known about the rhythm of many instances, from samples of their deadlines. */
export interface PhiWatch {
  /**
   * Takes in one sample: phi of the most surprising silence of each service. Those beyond `maxMembers` or `maxServices` are left
   * out, and members that are not in the sample are forgotten.
   */
  sample(
    nowMs: number,
    beats: Iterable<{
      readonly member: string;
      readonly service: string;
      readonly heardAtMs: number;
      readonly ttlMs: number;
    }>,
  ): ReadonlyMap<string, number>;
}

/** Nothing is known yet. An age sampled at any moment is half an interval on average, so intervals need not be seen. */
export function createPhiWatch(limits: { readonly maxMembers: number; readonly maxServices: number }): PhiWatch {
  let means = new Map<string, number>();
  return {
    sample(nowMs, beats) {
      const worst = new Map<string, number>();
      const next = new Map<string, number>();
      for (const { member, service, heardAtMs, ttlMs } of beats) {
        if (next.size >= limits.maxMembers) break;
        const ageMs = Math.max(0, nowMs - heardAtMs);
        const mean = means.get(member) ?? ttlMs / BEATS_IN_TTL;
        // a silence is no rhythm: it must not teach that silence is usual
        const seen = Math.min(2 * ageMs, 2 * mean);
        next.set(member, Math.max(1, mean + NEWEST * (seen - mean)));
        if (!worst.has(service) && worst.size >= limits.maxServices) continue;
        worst.set(service, Math.max(worst.get(service) ?? 0, phiAfter(ageMs, mean)));
      }
      means = next;
      return worst;
    },
  };
}
