// What do the latest checks say about the group as it is now? A node whose data differed stays marked until a later check of it
// says otherwise; the marks of who is primary by now are dropped.
import type { RedisCheck, RedisGroupView, RedisNodeCheck } from '@switchyard/protocol';
import { noFindings, type Findings } from '@switchyard/replication';

/** Problems and node states by the checks, newest first. */
export const consistencyFindings = (checks: readonly RedisCheck[], view: RedisGroupView): Findings => {
  const judged = new Map<string, RedisNodeCheck>();
  for (const check of checks) {
    for (const node of check.nodes) {
      // What could not be read says nothing about what was seen before.
      if (node.verdict === 'same' || node.verdict === 'different') {
        if (!judged.has(node.node)) judged.set(node.node, node);
      }
    }
  }
  const marked = [...judged.values()].flatMap((check) => {
    const node = view.nodes.find(({ name }) => name === check.node);
    return check.verdict === 'different' && node !== undefined && node.role === 'replica' ? [{ check, node }] : [];
  });
  if (marked.length === 0) return noFindings;
  return {
    problems: marked.map(({ check }) => ({
      code: 'data_differs',
      detail: `the data of ${check.node} is not the primary's: ${check.detail}${examples(check)}`,
      next: `look at the keys: GET /v1/redis/groups/${view.name}/checks; then copy it anew: POST /v1/redis/groups/${view.name}/nodes/${check.node}/resync {"confirm":"${check.node}"}`,
      advice: false,
    })),
    nodes: marked.map(({ check, node }) => ({
      host: node.host,
      port: node.port,
      state: 'diverged' as const,
      eligible: false,
      reason: `its data is not the primary's: ${check.detail}`,
    })),
  };
};

const shownKeys = 3;

const examples = ({ samples }: RedisNodeCheck): string => {
  if (samples.length === 0) return '';
  const named = samples.slice(0, shownKeys).map(({ key, kind }) => `${key} (${kind})`);
  return `, such as ${named.join(', ')}`;
};
