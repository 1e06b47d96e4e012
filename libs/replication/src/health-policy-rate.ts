// How fast does the stream of a primary grow? Bytes a second now, and at its busiest lately: what a backlog has to hold.

/** What was seen of a primary's stream. */
export interface WriteRate {
  readonly lineage: string | null;
  /** Where the present span began. */
  readonly sinceMs: number;
  readonly sinceOffset: number;
  /** The span before; null until there was one. */
  readonly nowBytesPerSecond: number | null;
  /** The busiest span; it fades, so that one import does not count for ever. */
  readonly peakBytesPerSecond: number | null;
}

/** A span is long enough to even out single bursts, and short enough to see a busy quarter of a minute. */
const spanMs = 10_000;
/** After so long the peak has faded to a half. */
const halfLifeMs = 30 * 60_000;

/** The rate after one more look at the offset of the primary. A new lineage, or an offset that went back, begins a new span. */
export const stepWriteRate = (
  state: WriteRate | null,
  seen: { readonly lineage: string | null; readonly offset: number | null },
  nowMs: number,
): WriteRate | null => {
  const { lineage, offset } = seen;
  if (offset === null) return state;
  const begin = { lineage, sinceMs: nowMs, sinceOffset: offset };
  if (state === null) return { ...begin, nowBytesPerSecond: null, peakBytesPerSecond: null };
  if (state.lineage !== lineage || offset < state.sinceOffset) return { ...state, ...begin };
  const tookMs = nowMs - state.sinceMs;
  if (tookMs < spanMs) return state;
  const rate = ((offset - state.sinceOffset) * 1_000) / tookMs;
  const faded = (state.peakBytesPerSecond ?? 0) * 0.5 ** (tookMs / halfLifeMs);
  return { ...begin, nowBytesPerSecond: rate, peakBytesPerSecond: Math.max(rate, faded) };
};
