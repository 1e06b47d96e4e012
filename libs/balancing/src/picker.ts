// Which instance next? The words every policy shares. A picker is the momentary view of one service's candidates;
// a changed table brings a new picker that goes on where the old one stood.
import type { PolicyName } from '@switchyard/protocol';

/** What a policy needs to know of an instance. Users hand in richer objects and get the same objects back. */
export interface Candidate {
  /** Unique among the candidates. */
  readonly id: string;
  /** Share of the traffic, from 0 (none) to 65535; fractions are taken to three places. */
  readonly weight: number;
}

/** Why a candidate could not be picked. */
export interface Skipped {
  readonly id: string;
  readonly because: 'its weight is 0' | 'this request was already tried there';
}

/** One object per candidate for the whole life of its picker: a pick allocates nothing. */
export interface Picked<C extends Candidate> {
  readonly picked: true;
  readonly candidate: C;
}

/** Nobody is left; `skipped` names every candidate and the reason. Empty when there are no candidates at all. */
export interface NonePicked {
  readonly picked: false;
  readonly skipped: readonly Skipped[];
}

export type PickResult<C extends Candidate> = Picked<C> | NonePicked;

/** The momentary view of one service: who may be picked, and in which order. */
export interface Picker<C extends Candidate> {
  readonly policy: PolicyName;
  readonly candidates: readonly C[];
  /**
   * The next candidate that is not in `exclude` (ids this request was already tried on; a handful at most) and
   * whose weight is not 0. Advances the picker. Allocates only when nobody is left.
   */
  pick(exclude: readonly string[]): PickResult<C>;
  /**
   * The picker for a changed list of candidates. Whoever stays keeps its place in the order, so that a change
   * causes no burst to the first of the list; with the same ids and weights the order goes on as if nothing happened.
   */
  follow(candidates: readonly C[]): Picker<C>;
}

/** What some policies need from outside. */
export interface PolicyContext<C extends Candidate> {
  /** A number in [0, 1), such as Math.random. */
  readonly random: () => number;
  /** Requests under way at the candidate now, from here. */
  readonly inFlight: (candidate: C) => number;
}

/** Makes the picker of one policy. */
export type Policy = <C extends Candidate>(candidates: readonly C[], context: PolicyContext<C>) => Picker<C>;

/** The prepared results of a list of candidates, in its order. */
export function preparedResults<C extends Candidate>(candidates: readonly C[]): readonly Picked<C>[] {
  return candidates.map((candidate) => Object.freeze({ picked: true as const, candidate }));
}

/** True when this request may go there. */
export function isUsable(candidate: Candidate, exclude: readonly string[]): boolean {
  return candidate.weight > 0 && !exclude.includes(candidate.id);
}

/** The result when nobody is usable. */
export function noneOf(candidates: readonly Candidate[], exclude: readonly string[]): NonePicked {
  const skipped: Skipped[] = [];
  for (const { id, weight } of candidates) {
    if (exclude.includes(id)) skipped.push({ id, because: 'this request was already tried there' });
    else if (!(weight > 0)) skipped.push({ id, because: 'its weight is 0' });
  }
  return { picked: false, skipped };
}
