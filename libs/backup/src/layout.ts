// What are the objects of a repository called? The same names in a directory and in an S3-compatible store.
//
//   <group>/<label>/manifest.json, verification.json, data.rdb.zst     a backup (base); manifest.ts
//   <group>/stream/<timeline>/timeline.json                            how a timeline began
//   <group>/stream/<timeline>/<from>-<to>.segment                      a piece of its stream; positions of 16 digits
//   <group>/points/<label>.json                                        a safety point
//   <group>/pins/<label>.json                                          a backup that retention leaves alone
//   <group>/rollbacks/<operation>.json                                 journal of a rollback
//   <group>/rehearsals/<operation>.json                                outcome of a rehearsal
//   <group>/owner.json                                                 which worker writes the archive
//
// There is no index: everything that a listing and the heads of the objects do not say does not count.

const digits = 16;

/** Names within a group. */
export const layout = Object.freeze({
  backup: (group: string, label: string, file: string): string => `${group}/${label}/${file}`,
  stream: (group: string): string => `${group}/stream/`,
  timeline: (group: string, timeline: string): string => `${group}/stream/${timeline}/timeline.json`,
  segments: (group: string, timeline: string): string => `${group}/stream/${timeline}/`,
  segment: (group: string, timeline: string, { from, to }: { readonly from: number; readonly to: number }): string =>
    `${group}/stream/${timeline}/${padded(from)}-${padded(to)}.segment`,
  point: (group: string, label: string): string => `${group}/points/${label}.json`,
  points: (group: string): string => `${group}/points/`,
  pin: (group: string, label: string): string => `${group}/pins/${label}.json`,
  pins: (group: string): string => `${group}/pins/`,
  rollback: (group: string, operation: string): string => `${group}/rollbacks/${operation}.json`,
  rollbacks: (group: string): string => `${group}/rollbacks/`,
  rehearsal: (group: string, operation: string): string => `${group}/rehearsals/${operation}.json`,
  rehearsals: (group: string): string => `${group}/rehearsals/`,
  owner: (group: string): string => `${group}/owner.json`,
});

/** The range that the name of a segment says; undefined for any other name. */
export function segmentRange(name: string): { readonly from: number; readonly to: number } | undefined {
  const match = /(?:^|\/)(\d{16})-(\d{16})\.segment$/.exec(name);
  if (match === null) return undefined;
  const [from, to] = [Number(match[1]), Number(match[2])];
  return Number.isSafeInteger(from) && Number.isSafeInteger(to) && to > from ? { from, to } : undefined;
}

/**
 * Of ranges that may lie inside each other, those that are to be read, in order: the longest that begins where the last one ends,
 * so that of a piece and the merged one that holds it the merged one is taken.
 */
export function coveringRanges<T extends { readonly from: number; readonly to: number }>(ranges: readonly T[]): T[] {
  const covering: T[] = [];
  let end = -1;
  for (const range of ranges.toSorted((a, b) => a.from - b.from || b.to - a.to)) {
    if (range.from < end) continue;
    covering.push(range);
    end = range.to;
  }
  return covering;
}

function padded(position: number): string {
  return String(position).padStart(digits, '0');
}
