// May this node copy everything anew? Looks at everything that could cost data or writes, before anything is begun.
import type { RedisNodeView } from '@switchyard/protocol';
import { addressKey, sameAddress, type Address, type Endpoint } from './address.ts';
import { endpointOf } from './observation.ts';
import { calmChecks, check, minReplicasCheck, type PlanCheck, type PlanGroup } from './rebuild-checks.ts';
import { olderRelease } from './replica-plan-version.ts';

/** What would be done, and whether it may. */
export interface RebuildPlan {
  readonly node: Endpoint;
  /** From whom it copies: whom it follows now, or the primary. */
  readonly source: Endpoint | null;
  readonly checks: readonly PlanCheck[];
  /** Those that copy from the node; they begin anew after it. */
  readonly children: readonly Endpoint[];
}

/** Plans it for a node of the group. */
export const rebuildPlan = (node: RedisNodeView, group: PlanGroup): RebuildPlan => {
  const { observation, view, pressed } = group;
  const seen = observation.nodes.find((one) => sameAddress(one, node));
  const source = sourceOf(seen?.info?.follows ?? null, group);
  const children = childrenOf(node, group);
  const others = view.nodes.filter((one) => one.role === 'replica' && one.eligible && one.name !== node.name);
  const worthless = node.state !== 'ok';
  const sourceNode = observation.nodes.find((one) => sameAddress(one, source));
  const older = olderRelease(node.version, sourceNode?.info?.version ?? null);
  const answers = node.state !== 'unreachable';
  return {
    node: endpointOf(observation.nodes, node),
    source,
    children,
    checks: [
      check(
        'it is no primary',
        node.role !== 'primary',
        node.role === 'primary' ? `${node.name} is primary` : `${node.name} is a replica`,
        {
          code: 'conflict',
          next: 'make another node primary first: POST /v1/redis/groups/{group}/switchover',
        },
      ),
      check(
        'it answers',
        answers,
        answers ? 'it does' : `${node.name} does not answer: ${node.reason ?? 'nothing is known of it'}`,
        {
          code: 'conflict',
          next: `start redis-server of ${node.name} (${addressKey(node)}): it joins and copies by itself; or name a fresh, empty node in "to"`,
        },
      ),
      ...calmChecks(group, node),
      check(
        'another copy of the data exists',
        others.length > 0 || worthless,
        others.length > 0
          ? `${others.map(({ name }) => name).join(', ')} could take over`
          : worthless
            ? `its own is of no use as it is: ${node.reason ?? node.state}`
            : `${node.name} is the only replica that could take over: meanwhile a death of the primary would cost the data`,
        { confirmable: true, next: 'add a replica first' },
      ),
      minReplicasCheck(group, node),
      check(
        'the source has memory for a snapshot',
        source === null || !pressed.has(`fork_headroom ${source.name}`),
        source === null || !pressed.has(`fork_headroom ${source.name}`)
          ? 'it seems so'
          : `${source.name} may run out of memory: see its problem fork_headroom`,
        { confirmable: true, next: 'give its machine more memory' },
      ),
      check(
        'the node has room on its disk',
        !pressed.has(`disk_headroom ${node.name}`),
        pressed.has(`disk_headroom ${node.name}`)
          ? `the disk of ${node.name} is nearly full: see its problem disk_headroom`
          : 'nothing else is known',
        { confirmable: true, next: 'free disk space' },
      ),
      check(
        'it can read the snapshot',
        !older,
        older ? `${node.name} (${String(node.version)}) is older than its source` : 'it is not older than its source',
        {
          next: `upgrade ${node.name} first`,
        },
      ),
    ],
  };
};

/** Whom it follows, when that is a node of this group that serves; else the primary. */
const sourceOf = (follows: Address | null, { observation, view }: PlanGroup): Endpoint | null => {
  const upstream = view.nodes.find((one) => sameAddress(one, follows) && one.role === 'replica' && one.state === 'ok');
  if (upstream !== undefined) return endpointOf(observation.nodes, upstream);
  return view.primary;
};

/** Nodes that follow this one. */
export const childrenOf = (node: Address, { observation }: PlanGroup): readonly Endpoint[] =>
  observation.nodes
    .filter((one) => one.info?.role === 'replica' && sameAddress(one.info.follows, node))
    .map(({ name, host, port }) => ({ name, host, port }));
