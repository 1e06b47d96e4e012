// Which instance belongs to a key? Rendezvous hashing ("Using Name-Based Mappings to Increase Hit Rates", Thaler and
// Ravishankar 1998), weighted as in "Weighted Distributed Hash Tables" (Schindelhauer and Schomaker 2005): when an
// instance leaves, only its own keys move.
import { isUsable, type Candidate } from './picker.ts';

/** The candidate for `key`; undefined when none is usable. The same key gets the same one while that one is usable. */
export function pickByKey<C extends Candidate>(
  candidates: readonly C[],
  key: string,
  exclude: readonly string[] = [],
): C | undefined {
  let best: C | undefined;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const candidate of candidates) {
    if (!isUsable(candidate, exclude)) continue;
    const score = candidate.weight / -Math.log(unitHash(`${key}\n${candidate.id}`));
    if (score > bestScore) [best, bestScore] = [candidate, score];
  }
  return best;
}

/** FNV-1a (Fowler, Noll, Vo), then the finalizer of MurmurHash3 (Appleby), into (0, 1). */
function unitHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ (text.codePointAt(at) as number), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}
