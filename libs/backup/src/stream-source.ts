// Which node's stream is archived? The replica that is healthiest and can go on where the archive ends; for a while none, rather than
// one that would begin the history anew; the primary only where nothing else is there, or where it alone can go on.
import { unfitness, type SourceCandidate } from './source-choice.ts';

/** A place that is held: the history's name and the number of its bytes. */
export interface HeldPlace {
  readonly replicationId: string;
  readonly offset: number;
}

/** What a node says of its own history; positions count bytes. */
export interface NodeHistory {
  readonly replicationId: string;
  readonly offset: number;
  /** The history that it continued when it or its primary was promoted, and how much of that it shares. */
  readonly previous: { readonly replicationId: string; readonly sharedUntil: number } | null;
  /** The oldest place after which it can still continue; null while it keeps no backlog. */
  readonly continuesFrom: number | null;
}

/** A node whose stream might be archived. */
export interface StreamCandidate extends SourceCandidate {
  /** Null when it did not answer. */
  readonly history: NodeHistory | null;
  /** It rewrites its AOF or saves its data at this moment. */
  readonly isBusy: boolean;
}

/** What is acceptable, and how long nothing better was found. */
export interface StreamRules {
  readonly maxLagBytes: number;
  /** A Sentinel watches the group: it would take a connection to the primary for a replica. */
  readonly hasSentinels: boolean;
  /** The end of the archive, when it is to go on. */
  readonly place: HeldPlace | null;
  /** Since when there is no source, in ms. */
  readonly waitedMs: number;
  /** So long a node is waited for that can go on at `place`, before the history is begun anew. */
  readonly continueWithinMs: number;
  /** So long a replica is waited for before the primary is taken; null = the primary of a group with Sentinels is never taken. */
  readonly primaryAfterMs: number | null;
}

/** Whom to follow, or why nobody. */
export type StreamChoice<C extends StreamCandidate = StreamCandidate> =
  | {
      readonly kind: 'follow';
      readonly source: C;
      /** It has said that it can go on at `place`. */
      readonly continues: boolean;
      /** The address to give as ours: that of a replica which the Sentinels know already, so that they learn of none that is not there. */
      readonly announce: { readonly host: string; readonly port: number } | null;
      readonly refused: readonly string[];
    }
  | { readonly kind: 'wait'; readonly why: readonly string[] };

/** Chooses the source. `why` and `refused` name each other node with its reason. */
export function chooseStreamSource<C extends StreamCandidate>(
  candidates: readonly C[],
  rules: StreamRules,
): StreamChoice<C> {
  const { place, waitedMs } = rules;
  const strict = { maxLagBytes: rules.maxLagBytes, primaryAllowed: !rules.hasSentinels };
  const judged = candidates.map((candidate) => ({ candidate, reason: unfitness(candidate, strict) }));
  const fit = judged
    .filter(({ reason }) => reason === undefined)
    .map(({ candidate }) => ({ candidate, continues: place !== null && canContinue(candidate.history, place) }))
    .toSorted(byFitness);
  const reasons = judged.flatMap(({ candidate, reason }) =>
    reason === undefined ? [] : `${candidate.name}: ${reason}`,
  );
  const best = fit[0];
  if (best !== undefined) {
    const isLate =
      waitedMs >= rules.continueWithinMs || (place !== null && branchedBefore(candidates, place) !== undefined);
    if (place !== null && !best.continues && isLate) {
      const primary = continuingPrimary(candidates, place, rules);
      if (primary !== undefined) return { kind: 'follow', ...primary, continues: true, refused: reasons };
    }
    if (place === null || best.continues || isLate) {
      const { candidate: source, continues } = best;
      const others = fit.slice(1).map(({ candidate }) => `${candidate.name}: ${source.name} is at least as fit`);
      return { kind: 'follow', source, continues, announce: null, refused: [...reasons, ...others] };
    }
    const behind = fit.map(({ candidate }) => `${candidate.name}: it cannot go on at ${place.offset}`);
    return { kind: 'wait', why: [...reasons, ...behind] };
  }
  const primary = lonelyPrimary(candidates, rules);
  if (primary === undefined) {
    return { kind: 'wait', why: reasons.length === 0 ? ['the group has no known node'] : reasons };
  }
  const { source, announce } = primary;
  const continues = place !== null && canContinue(source.history, place);
  return { kind: 'follow', source, continues, announce, refused: reasons };
}

/**
 * Up to where the group's history is ours when it branched off before `place`: the failover lost what is archived behind it, and no node
 * will ever go on there. Undefined when nobody says so.
 */
export function branchedBefore(candidates: readonly StreamCandidate[], place: HeldPlace): number | undefined {
  for (const { history, role, state } of candidates) {
    if (role !== 'primary' || state !== 'ok' || history === null) continue;
    const { previous } = history;
    if (previous?.replicationId === place.replicationId && previous.sharedUntil < place.offset)
      return previous.sharedUntil;
  }
  return undefined;
}

/** Whether a node can go on after `place`: it keeps the bytes that follow, of the same history. */
export function canContinue(history: NodeHistory | null, place: HeldPlace): boolean {
  if (history === null || history.continuesFrom === null) return false;
  const { previous } = history;
  const isSame = history.replicationId === place.replicationId;
  const isShared = previous?.replicationId === place.replicationId && place.offset <= previous.sharedUntil;
  return (isSame || isShared) && place.offset >= history.continuesFrom && place.offset <= history.offset;
}

// After a failover in which every other replica lost its backlog the new primary alone still has what comes next. A gap would be worse.
function continuingPrimary<C extends StreamCandidate>(
  candidates: readonly C[],
  place: HeldPlace,
  rules: StreamRules,
): { readonly source: C; readonly announce: { readonly host: string; readonly port: number } } | undefined {
  if (rules.primaryAfterMs === null) return undefined;
  const source = candidates.find(
    (one) => one.role === 'primary' && one.state === 'ok' && canContinue(one.history, place),
  );
  const known = candidates.find((one) => one !== source);
  if (source === undefined || known === undefined) return undefined;
  return { source, announce: { host: known.host, port: known.port } };
}

// No replica answers at all: one that only has trouble (a failover, a copy under way) is worth waiting for.
function lonelyPrimary<C extends StreamCandidate>(
  candidates: readonly C[],
  rules: StreamRules,
): { readonly source: C; readonly announce: { readonly host: string; readonly port: number } } | undefined {
  const { primaryAfterMs, waitedMs } = rules;
  if (primaryAfterMs === null || waitedMs < primaryAfterMs) return undefined;
  const isThere = ({ role, state }: C): boolean => role === 'replica' && state !== 'unreachable';
  if (candidates.some(isThere)) return undefined;
  const source = candidates.find((one) => unfitness(one, { ...rules, primaryAllowed: true }) === undefined);
  const known = candidates.find((one) => one !== source);
  if (source === undefined || known === undefined) return undefined;
  return { source, announce: { host: known.host, port: known.port } };
}

function byFitness<C extends StreamCandidate>(
  a: { readonly candidate: C; readonly continues: boolean },
  b: { readonly candidate: C; readonly continues: boolean },
): number {
  const byRole = Number(a.candidate.role === 'primary') - Number(b.candidate.role === 'primary');
  if (byRole !== 0) return byRole;
  if (a.continues !== b.continues) return a.continues ? -1 : 1;
  if (a.candidate.isBusy !== b.candidate.isBusy) return a.candidate.isBusy ? 1 : -1;
  const byLag = (a.candidate.lagBytes ?? 0) - (b.candidate.lagBytes ?? 0);
  if (byLag !== 0) return byLag;
  return a.candidate.name < b.candidate.name ? -1 : 1;
}
