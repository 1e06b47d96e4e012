// How much did the old primary take that the new one never got? From the names and lengths of their replication streams.
import type { NodeInfo } from './info-parser.ts';

/** What is known about it. `bytes` is null when the two cannot be compared. */
export interface Divergence {
  readonly bytes: number | null;
  readonly detail: string;
}

type StreamFacts = Pick<NodeInfo, 'lineage' | 'previousLineage' | 'sharedOffset' | 'offset'>;

/**
 * Compares the old primary, while it takes no writes, with the new one. The new one remembers up to which byte it shared the stream
 * it was promoted from (`second_repl_offset`): what the old one has beyond it exists nowhere else.
 */
export const divergenceOf = (old: StreamFacts, now: StreamFacts): Divergence => {
  if (old.offset === null || old.lineage === null)
    return unknown('the old primary does not say how long its stream is');
  if (old.lineage === now.lineage) {
    return now.offset !== null && now.offset >= old.offset
      ? { bytes: 0, detail: 'both are of the same stream, and the new primary has all of it' }
      : unknown('both are of the same stream, but the new primary is behind: what it lacks may be on its way');
  }
  if (old.lineage !== now.previousLineage || now.sharedOffset === null) {
    return unknown(
      'the new primary does not continue the stream of the old one: it restarted, or more happened in between',
    );
  }
  const bytes = Math.max(0, old.offset - now.sharedOffset);
  return {
    bytes,
    detail:
      bytes === 0
        ? 'the new primary had everything when it was promoted'
        : `the old primary has ${String(bytes)} bytes of its stream that nobody else has`,
  };
};

const unknown = (detail: string): Divergence => ({ bytes: null, detail });
