// Does a node contradict the verdict of the Sentinels' majority, and may it be put right at once?
//
// Enforcing is no decision about who is primary: the majority has made it, at a config epoch. It only happens sooner than Sentinel
// does it itself (10 s after the node came back). Any manager may, several at once too: each step leads to the same end.
//
//   says primary, is not named --> was named before, or the named one continues its lineage --> fence
//                              --> nobody knows why --> `strayPatienceMs` without a change --> fence
//   replica of a node that leads nowhere --> `astrayPatienceMs` --> repoint
//
// What must never happen, whatever is seen: the named primary demoted; anything done on the word of a minority, or at an epoch that
// is older than one that was seen; a replica demoted that Sentinel is just promoting; a node told to follow itself.
import { addressKey, sameAddress, type Address, type Endpoint } from './address.ts';
import type { GroupProblem } from './group-problems.ts';
import { isSeen, type GroupObservation, type NodeObservation, type TopologyLimits } from './observation.ts';
import type { PrimaryVerdict } from './primary-verdict.ts';
import { isLeaving } from './rebuild-checks.ts';

/** A named primary as it was seen. */
export interface Named {
  readonly epoch: number;
  readonly runId: string | null;
  readonly lineage: string | null;
}

/** What is remembered between two looks; bounded by the number of nodes. */
export interface EnforcementState {
  /** The latest epoch of a majority so far: whoever is behind it stops. */
  readonly highestEpoch: number | null;
  /** Since when the majority is at an earlier epoch than that. */
  readonly fellAtMs: number | null;
  /** How a node was when the majority named it; forgotten when it is seen as a replica. By `host:port`. */
  readonly namedAt: Readonly<Record<string, Named>>;
  /** Since when a node contradicts the verdict without a break, and in the same way. */
  readonly since: Readonly<Record<string, number>>;
}

/** Everything that counts at one moment. Times are on one monotonic clock. */
export interface EnforcementInput {
  readonly observation: GroupObservation;
  readonly verdict: PrimaryVerdict;
  readonly limits: TopologyLimits;
  /** Sentinel is choosing or promoting, and who it will be the majority does not say yet. */
  readonly isUnderWay: boolean;
  /** The replica that Sentinel said it promotes, while that is under way. */
  readonly selected: Address | null;
  /** Whether an operation works on this node. */
  readonly isHeld: (node: Address) => boolean;
  readonly nowMs: number;
}

/** What is to be done; at the epoch of the majority, which is to be looked at again before each step. */
export interface EnforcementAction {
  readonly type: 'fence' | 'repoint';
  readonly node: Endpoint;
  readonly primary: Endpoint;
  readonly epoch: number;
  /** In words. */
  readonly because: string;
}

/** The outcome of one look. */
export interface EnforcementStep {
  readonly state: EnforcementState;
  readonly actions: readonly EnforcementAction[];
  /** Nodes that may come back as primary any moment: worth a question that waits for them. */
  readonly awaited: readonly Endpoint[];
  readonly problems: readonly GroupProblem[];
}

/** How long a primary that nobody ever named is left alone: it may be the one that is being promoted. */
export const strayPatienceMs = 5_000;
/** How long Sentinel gets to repoint a replica by itself. */
export const astrayPatienceMs = 8_000;
/** How long a replica that must not be promoted (priority 0) may be filled by somebody else: a backup-worker that another manager asked. */
export const fillPatienceMs = 600_000;
/** An earlier epoch for so long means that the Sentinels were set up anew. */
const fallPatienceMs = 30_000;

/** Nothing seen yet. */
export const enforcementState: EnforcementState = Object.freeze({
  highestEpoch: null,
  fellAtMs: null,
  namedAt: {},
  since: {},
});

/** Looks once. Never throws; the same input gives the same step. */
export const stepEnforcement = (before: EnforcementState, input: EnforcementInput): EnforcementStep => {
  const { observation, verdict, limits, nowMs } = input;
  const state = remembered(before, input);
  const authority = authorityOf(state, input);
  const strays = observation.nodes.filter((node) => isStray(node, input));
  const astray = authority === null ? [] : observation.nodes.filter((node) => isAstray(node, input));
  const since: Record<string, number> = {};
  for (const node of [...strays, ...astray]) {
    since[whatOf(node)] = before.since[whatOf(node)] ?? nowMs;
  }
  const next: EnforcementState = { ...state, since };
  const fences = strays.flatMap((node) => fenceOf(next, input, node) ?? []);
  const repoints = astray.flatMap((node) => repointOf(next, input, node) ?? []);
  const awaited =
    verdict.by === 'sentinels'
      ? observation.nodes.filter(
          (node) => !sameAddress(node, verdict.named) && !isSeen(node, nowMs, limits.staleAfterMs),
        )
      : [];
  return {
    state: next,
    actions: [...fences, ...repoints],
    awaited: awaited.map(({ name, host, port }) => ({ name, host, port })),
    problems: state.fellAtMs === null ? [] : [fell(state, verdict)],
  };
};

/**
 * Whether this node, as it is in `input`, may be fenced now, and as what; null when not. For one last look between the pause and the
 * demotion, too: then with the facts that the paused node itself gave.
 */
export const fenceOf = (
  state: EnforcementState,
  input: EnforcementInput,
  node: NodeObservation,
): EnforcementAction | null => {
  const authority = authorityOf(state, input);
  if (authority === null || !isStray(node, input) || input.isHeld(node)) return null;
  const { primary, epoch } = authority;
  // Two addresses of one process: it would be told to follow itself.
  if (node.info?.runId !== null && node.info?.runId === primary.info?.runId) return null;
  if (sameAddress(node, input.selected)) return null;
  if (input.isUnderWay && input.selected === null) return null;
  if (isComing(node, epoch, input)) return null;
  const because = formerly(state, { node, primary, epoch });
  const action = (why: string): EnforcementAction => ({
    type: 'fence',
    node: endpoint(node),
    primary: endpoint(primary),
    epoch,
    because: why,
  });
  if (because !== null) return action(because);
  const sinceMs = state.since[whatOf(node)];
  return !input.isUnderWay && sinceMs !== undefined && input.nowMs - sinceMs >= strayPatienceMs
    ? action(`it has said primary for ${String(strayPatienceMs)} ms, and no majority ever named it`)
    : null;
};

/** In what way a node contradicts the verdict: one that was promoted in between is another case, whoever did not see it. */
const whatOf = (node: NodeObservation): string => {
  const { role, runId, lineage, follows } = node.info ?? {};
  const where = follows === null || follows === undefined ? '' : addressKey(follows);
  return [addressKey(node), role, runId, role === 'primary' ? lineage : where].join(' ');
};

/** A Sentinel names it at a later epoch already: the majority will follow. Nobody is fenced on one word, but one may be spared. */
const isComing = (node: Address, epoch: number, { observation, nowMs, limits }: EnforcementInput): boolean =>
  observation.sentinels.some(
    (one) =>
      isSeen(one, nowMs, limits.staleAfterMs) &&
      sameAddress(one.view?.primary ?? null, node) &&
      (one.view?.epoch ?? -1) > epoch,
  );

/** The named primary, seen as one, and its epoch; null when nobody has the right to change anything. */
const authorityOf = (
  { highestEpoch }: EnforcementState,
  { observation, verdict, limits, nowMs }: EnforcementInput,
): { readonly primary: NodeObservation; readonly epoch: number } | null => {
  const { named, by, epoch } = verdict;
  if (observation.kind !== 'sentinel' || by !== 'sentinels' || named === null || epoch === null) return null;
  if (highestEpoch !== null && epoch < highestEpoch) return null;
  const primary = observation.nodes.find((node) => sameAddress(node, named));
  const serves =
    primary !== undefined &&
    isSeen(primary, nowMs, limits.staleAfterMs) &&
    primary.info?.role === 'primary' &&
    !primary.info.loading;
  return serves ? { primary, epoch } : null;
};

/** Why it is certain that this node was primary before the named one; null when it is not. */
const formerly = (
  state: EnforcementState,
  { node, primary, epoch }: { node: NodeObservation; primary: NodeObservation; epoch: number },
): string | null => {
  const lineage = node.info?.lineage ?? null;
  // It continues the named one's own stream: it was promoted after it, not before.
  if (node.info?.previousLineage !== null && node.info?.previousLineage === primary.info?.lineage) return null;
  const was = state.namedAt[addressKey(node)];
  if (was !== undefined && was.epoch < epoch && isUnpromoted(node, was)) {
    return `the majority named it at epoch ${String(was.epoch)} and ${primary.name} at ${String(epoch)}`;
  }
  return lineage !== null && primary.info?.previousLineage === lineage
    ? `${primary.name} continues its stream at epoch ${String(epoch)}`
    : null;
};

/**
 * Whether it cannot have been promoted since: a promotion begins a new stream that remembers the one before. A process that was
 * restarted has a new stream, too, but remembers none, or its own of before from its file.
 */
const isUnpromoted = ({ info }: NodeObservation, was: Named): boolean => {
  if (info === null || was.runId === null) return false;
  if (info.runId === was.runId) return info.lineage === was.lineage;
  return info.previousLineage === null || info.previousLineage === was.lineage;
};

const isStray = (node: NodeObservation, { verdict, limits, nowMs }: EnforcementInput): boolean =>
  verdict.named !== null &&
  !sameAddress(node, verdict.named) &&
  isSeen(node, nowMs, limits.staleAfterMs) &&
  node.info?.role === 'primary';

/** A replica whose chain of primaries does not end at the named one. Replicas of replicas are fine. */
const isAstray = (node: NodeObservation, { observation, verdict, limits, nowMs }: EnforcementInput): boolean => {
  if (!isSeen(node, nowMs, limits.staleAfterMs) || node.info?.role !== 'replica') return false;
  // Somebody removes it from the group just now.
  if (sameAddress(node, verdict.named) || isLeaving(node)) return false;
  let at: Address | null = node.info.follows;
  for (let steps = 0; steps <= observation.nodes.length; steps += 1) {
    if (sameAddress(at, verdict.named)) return false;
    const next = observation.nodes.find((one) => sameAddress(one, at));
    if (next === undefined || !isSeen(next, nowMs, limits.staleAfterMs) || next.info?.role !== 'replica') return true;
    at = next.info.follows;
  }
  return true;
};

const repointOf = (
  state: EnforcementState,
  input: EnforcementInput,
  node: NodeObservation,
): EnforcementAction | null => {
  const authority = authorityOf(state, input);
  const sinceMs = state.since[whatOf(node)];
  if (authority === null || sinceMs === undefined || input.isHeld(node) || input.isUnderWay) return null;
  const isFilled = node.info?.priority === 0 && (node.info.syncing || node.info.loading);
  const patienceMs = isFilled ? fillPatienceMs : astrayPatienceMs;
  if (input.nowMs - sinceMs < patienceMs || sameAddress(node, input.selected)) return null;
  // Its leader repoints as many at a time as parallel-syncs allows; a large data set takes it longer than our patience.
  if (input.observation.sentinels.some(({ view }) => view?.flags.includes('failover_in_progress') === true))
    return null;
  const { primary, epoch } = authority;
  if (node.info?.runId !== null && node.info?.runId === primary.info?.runId) return null;
  const follows = node.info?.follows ?? null;
  return {
    type: 'repoint',
    node: endpoint(node),
    primary: endpoint(primary),
    epoch,
    because: `it follows ${follows === null ? 'nobody' : addressKey(follows)}, which leads nowhere`,
  };
};

const remembered = (before: EnforcementState, input: EnforcementInput): EnforcementState => {
  const { observation, verdict, limits, nowMs } = input;
  const { named, by, epoch } = verdict;
  const certain = by === 'sentinels' && named !== null && epoch !== null;
  const fellAtMs =
    certain && before.highestEpoch !== null && epoch < before.highestEpoch ? (before.fellAtMs ?? nowMs) : null;
  const anew = fellAtMs !== null && nowMs - fellAtMs >= fallPatienceMs;
  const namedAt: Record<string, Named> = {};
  for (const node of observation.nodes) {
    const key = addressKey(node);
    const at = before.namedAt[key];
    const isReplica = isSeen(node, nowMs, limits.staleAfterMs) && node.info?.role === 'replica';
    if (at !== undefined && !isReplica && !anew) namedAt[key] = at;
  }
  if (certain && fellAtMs === null) {
    const key = addressKey(named);
    const info = observation.nodes.find((node) => sameAddress(node, named))?.info ?? null;
    const facts = info?.role === 'primary' ? info : before.namedAt[key];
    namedAt[key] = { epoch, runId: facts?.runId ?? null, lineage: facts?.lineage ?? null };
  }
  const highest = certain && (anew || fellAtMs === null) ? epoch : before.highestEpoch;
  return { ...before, namedAt, highestEpoch: highest, fellAtMs: anew ? null : fellAtMs };
};

const fell = ({ highestEpoch }: EnforcementState, { epoch }: PrimaryVerdict): GroupProblem => ({
  code: 'epoch_fell',
  detail: `the majority is at epoch ${String(epoch)}, but one at ${String(highestEpoch)} was seen: nothing is enforced`,
  next: 'wait: Sentinels that were set up anew are believed after 30 s; if they were not, one of them restarted from an old file',
  advice: false,
});

const endpoint = ({ name, host, port }: Endpoint): Endpoint => ({ name, host, port });
