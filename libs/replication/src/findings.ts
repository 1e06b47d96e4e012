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
}

/** Nothing to add. */
export const noFindings: Findings = Object.freeze({ problems: [], nodes: [] });

/** More lines than this help nobody. */
const mostProblems = 64;

/** The view with the findings in it. A node keeps `unreachable`: what was known before it vanished says nothing about now. */
export const withFindings = <T extends Pick<RedisGroupView, 'nodes' | 'problems' | 'state'>>(
  view: T,
  findings: readonly Findings[],
): T => {
  const problems = findings.flatMap((one) => one.problems);
  const nodes = findings.flatMap((one) => one.nodes);
  if (problems.length === 0 && nodes.length === 0) return view;
  const grave = problems.some(({ advice }) => !advice);
  const known = new Set(view.problems.map(({ code, detail }) => `${code} ${detail}`));
  const added = problems.filter(({ code, detail }) => !known.has(`${code} ${detail}`));
  return {
    ...view,
    state: view.state === 'ok' && grave ? 'degraded' : view.state,
    nodes: view.nodes.map((node) =>
      merged(
        node,
        nodes.findLast((one) => sameAddress(one, node)),
      ),
    ),
    problems: [...view.problems, ...added.map(({ code, detail, next }) => ({ code, detail, next }))].slice(
      0,
      mostProblems,
    ),
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
