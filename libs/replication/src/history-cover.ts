// Has a node everything up to a place in a stream? It has if it follows the same history at least that far, or one that branched off
// behind that place (the old replication id and how much of it is shared; redis.io/docs, replication, "replication ID explained").
import type { NodeInfo } from './info-parser.ts';

/** A place in the history of a group: replication id and bytes. */
export interface HistoryPlace {
  readonly lineage: string;
  readonly offset: number;
}

/**
 * `covered`: it has everything up to the place. `behind`: not yet, the same history goes on. `foreign`: its history does not contain the
 * place; it was lost in a failover, or this node has yet to learn of one.
 */
export type HistoryCover = 'covered' | 'behind' | 'foreign';

type Facts = Pick<NodeInfo, 'offset' | 'lineage' | 'previousLineage' | 'sharedOffset'>;

/** Compares what a node says of itself with a place. */
export const historyCover = (node: Facts, place: HistoryPlace): HistoryCover => {
  const { offset, lineage, previousLineage, sharedOffset } = node;
  const isShared = previousLineage === place.lineage && sharedOffset !== null && place.offset <= sharedOffset;
  if (lineage !== place.lineage && !isShared) return 'foreign';
  return offset !== null && offset >= place.offset ? 'covered' : 'behind';
};
