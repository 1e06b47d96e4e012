// How does what a part of the manager found out get into the view of the group? Problems and node states of all parts, merged.
import type { RedisGroupView, RedisNodeView } from '@switchyard/protocol';
import { sameAddress, type Address } from './address.ts';
import type { GroupProblem } from './group-problems.ts';

/** What a part knows about one node, instead of what was seen. */
export interface NodeFinding extends Address {
  readonly state?: RedisNodeView['state'];
  readonly eligible?: boolean;
  readonly reason?: string;
}

/** What a part adds to the view. */
export interface Findings {
  readonly problems: readonly GroupProblem[];
  readonly nodes: readonly NodeFinding[];
  /** Who takes writes already, though the Sentinels have yet to name it; told only while nobody else is known as primary. */
  readonly promoted?: (Address & { readonly epoch: number | null }) | null;
}

/** Nothing to add. */
export const noFindings: Findings = Object.freeze({ problems: [], nodes: [] });

/** More lines than this help nobody. */
const mostProblems = 64;

/** The view with the findings in it. A node keeps `unreachable`: what was known before it vanished says nothing about now. */
export const withFindings = <T extends Pick<RedisGroupView, 'nodes' | 'problems' | 'state' | 'primary' | 'epoch'>>(
  seen: T,
  findings: readonly Findings[],
): T => {
  const view = withPromoted(
    seen,
    findings.find(({ promoted }) => promoted !== undefined && promoted !== null)?.promoted,
  );
  const problems = findings.flatMap((one) => one.problems);
  const nodes = findings.flatMap((one) => one.nodes);
  if (problems.length === 0 && nodes.length === 0) return view;
  const grave = problems.some(({ advice }) => !advice);
  const told = new Map(
    [...view.problems, ...problems.map(({ code, detail, next }) => ({ code, detail, next }))].map(
      (problem) => [`${problem.code} ${problem.detail}`, problem] as const,
    ),
  );
  return {
    ...view,
    state: view.state === 'ok' && grave ? 'degraded' : view.state,
    nodes: view.nodes.map((node) =>
      merged(
        node,
        nodes.findLast((one) => sameAddress(one, node)),
      ),
    ),
    problems: [...told.values()].slice(0, mostProblems),
  };
};

const merged = (node: RedisNodeView, found: NodeFinding | undefined): RedisNodeView =>
  found === undefined || node.state === 'unreachable'
    ? node
    : {
        ...node,
        state: found.state ?? node.state,
        eligible: found.eligible ?? node.eligible,
        reason: found.reason ?? node.reason,
      };

const withPromoted = <T extends Pick<RedisGroupView, 'nodes' | 'problems' | 'state' | 'primary' | 'epoch'>>(
  view: T,
  promoted: Findings['promoted'],
): T => {
  const node = view.nodes.find((one) => sameAddress(one, promoted ?? null));
  if (node === undefined || promoted === undefined || promoted === null || view.primary !== null) return view;
  const { name, host, port } = node;
  return {
    ...view,
    state: 'degraded',
    primary: { name, host, port },
    epoch: promoted.epoch ?? view.epoch,
    // It is there after all: the rest of what is wrong stays.
    problems: view.problems.filter(({ code }) => code !== 'no_primary'),
  };
};
