// Work on request on a Redis Cluster: which is there, and what do all of them have in common? The gate, the checks, the operation.
import { refuse, type Operation, type Result } from '@switchyard/protocol';
import {
  parseClusterNodes,
  parseInfo,
  planShardSwitchover,
  type Address,
  type ClusterFacts,
  type NewcomerFacts,
  type ShardPlan,
  type ShardWish,
} from '@switchyard/replication';
import { mostLagBytes, type BeginWork, type ClusterWorkContext } from './cluster-context.ts';
import { addReplica, removeNode } from './cluster-members.ts';
import type { ClusterObserver } from './cluster-observer.ts';
import { shardSwitchover, shardTakeover } from './cluster-switchover.ts';
import type { ClusterWatch } from './cluster-watch.ts';
import type { GroupTools } from '../group-part.ts';

/** A cluster under management: what is seen of it, and what can be asked for. */
export interface ClusterWork {
  facts(): ClusterFacts;
  /** What a planned failover would do now, and every check. */
  survey(wish: ShardWish): Result<ShardPlan>;
  /** Planned: no acknowledged write is lost. */
  switchover(wish: ShardWish): Promise<Result<Operation>>;
  /** Assisted: for a shard that the cluster does not mend by itself; `confirm` is `<group>/<node>`. */
  failover(
    asked: ShardWish & { readonly confirm?: string | undefined; readonly takeover?: boolean },
  ): Promise<Result<Operation>>;
  addNode(asked: { readonly address: Address; readonly replicaOf: string }): Promise<Result<Operation>>;
  removeNode(asked: { readonly node: string; readonly confirm?: string | undefined }): Promise<Result<Operation>>;
}

/** The work of one cluster. */
export const createClusterWork = (options: {
  readonly tools: GroupTools;
  readonly observer: ClusterObserver;
  readonly watch: Pick<ClusterWatch, 'facts'>;
}): ClusterWork => {
  const { tools, observer, watch } = options;
  const group = tools.definition.name;
  const context: ClusterWorkContext = { tools, observer, facts: () => watch.facts() };

  const begin: BeginWork = async (plan, work) => {
    const { kind, subject, steps, nodes } = plan;
    const held = await tools.gate.begin(`${kind} of ${subject}`);
    if (!held.ok) return held;
    held.value.holds(nodes);
    const begun = tools.operations.begin({
      kind,
      subject,
      steps,
      work: async (run) => {
        try {
          return await work(run);
        } finally {
          held.value.release();
          tools.wake();
        }
      },
    });
    if (!begun.ok) held.value.release();
    return begun;
  };

  /** Before anything else is looked at: of a group that is only observed nothing is changed. */
  const ifManaged = async (work: () => Promise<Result<Operation>>): Promise<Result<Operation>> =>
    tools.manages
      ? work()
      : refuse('refused_for_safety', `the group ${group} is only observed: nothing of it is changed`, {
          next: `PUT /v1/redis/groups/${group} with "manage": "manage"`,
        });

  const look = async (address: Address): Promise<Result<NewcomerFacts>> => {
    const node = tools.connect({ name: 'newcomer', ...address }, { deadlineMs: 1_500 });
    try {
      const info = parseInfo(await node.info());
      const lines = await node.call('CLUSTER', 'NODES').then(String, () => '');
      const keys = Number(await node.call('DBSIZE'));
      return { ok: true, value: { at: address, info, lines: parseClusterNodes(lines, address), keys } };
    } catch (error) {
      return refuse(
        'conflict',
        `${address.host}:${String(address.port)} does not answer: ${(error as Error).message}`,
        {
          next: 'start it, and check its address and password',
        },
      );
    } finally {
      node.close();
    }
  };

  return {
    facts: () => watch.facts(),
    survey: (wish) => planShardSwitchover(watch.facts(), wish, mostLagBytes),
    switchover: async (wish) => ifManaged(async () => shardSwitchover(context, wish, begin)),
    failover: async (asked) => ifManaged(async () => shardTakeover(context, asked, begin)),
    addNode: async ({ address, replicaOf }) =>
      ifManaged(async () => {
        const newcomer = await look(address);
        return newcomer.ok ? addReplica(context, { newcomer: newcomer.value, replicaOf }, begin) : newcomer;
      }),
    removeNode: async (asked) => ifManaged(async () => removeNode(context, asked, begin)),
  };
};
