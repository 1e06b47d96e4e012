// What can be asked for of a Redis Cluster? Switchover and failover of a shard, a replica more, a node less. Only the failover has a
// route of its own; the others share theirs with the groups of Sentinels, which hand the cluster's part over.
import { route, type Reply, type Route } from '@switchyard/http';
import { refuse } from '@switchyard/protocol';
import type { Address, ShardPlan, ShardWish } from '@switchyard/replication';
import { z } from 'zod';
import type { ClusterWork } from './cluster-work.ts';
import type { Groups } from '../groups/groups.ts';
import { answerFailover } from '../switchover/failover-request.ts';
import { answerOperation, operationResponses, waitQuery } from '../redis-operation-routes.ts';
import type { RedisOperations } from '../redis-operations.ts';
import { unknownGroup } from '../routes.ts';

const tags = ['redis'];
const path = '/v1/redis/groups/:group';
const params = z.object({ group: z.string().min(1).max(64) });
const name = z.string().min(1).max(280);

const failoverBody = z.strictObject({
  to: name.optional(),
  shard: z.string().min(1).max(64).optional(),
  /** `<group>/<node>`, without a cluster also `<group>`: that what the old primary alone had may be lost */
  confirm: z.string().max(400).optional(),
  /** without a vote of the other primaries: only when they are gone for good */
  takeover: z.boolean().default(false),
  /** without a cluster: also while the primary answers */
  force: z.boolean().default(false),
  /** without a cluster: who would be promoted, and what may be lost */
  dryRun: z.boolean().default(false),
});
/** Dry run, or the operation, of a switchover in a Redis Cluster. */
export const clusterSwitchover = async (
  cluster: ClusterWork,
  asked: ShardWish & { readonly dryRun: boolean; readonly group: string; readonly later: boolean },
  { operations, waitMs }: { readonly operations: RedisOperations; readonly waitMs: number },
): Promise<Reply> => {
  const wish: ShardWish = { to: asked.to, shard: asked.shard };
  if (asked.dryRun) {
    const plan = cluster.survey(wish);
    return plan.ok ? { status: 200, body: planOf(asked.group, plan.value) } : plan.error;
  }
  if (asked.later) {
    return refuse('not_implemented', 'a switchover in a Redis Cluster cannot be put off yet', {
      next: 'leave "at" out',
    }).error;
  }
  return answerOperation(operations, await cluster.switchover(wish), waitMs);
};

const endpoint = (one: ShardPlan['from']): { name: string; host: string; port: number } | null =>
  one === null ? null : { name: one.name, host: one.host, port: one.port };

const planOf = (group: string, { shard, from, to, because, checks, blockers }: ShardPlan): Record<string, unknown> => ({
  group,
  dryRun: true,
  possible: blockers.length === 0,
  shard: shard?.name ?? null,
  from: endpoint(from),
  to: endpoint(to),
  because,
  way: 'cluster',
  blockers: blockers.map(({ code }) => code),
  checks,
});

/** How a route that serves all kinds of groups hands a new replica, or the removal of a node, to a cluster. */
interface Handed {
  readonly operations: RedisOperations;
  readonly waitMs: number;
}

/** Adds an empty node as a replica; of which primary has to be said. */
export const clusterAddNode = async (
  cluster: ClusterWork,
  asked: { readonly address: Address; readonly replicaOf: string | undefined },
  { operations, waitMs }: Handed,
): Promise<Reply> => {
  const { address, replicaOf } = asked;
  if (!/^[0-9.]+$|:/.test(address.host)) {
    return refuse('invalid_input', 'the nodes of a Redis Cluster meet by IP address', {
      next: `the IP address of ${address.host}`,
    }).error;
  }
  if (replicaOf === undefined) {
    const primaries = cluster.facts().shards.map(({ primary }) => primary.name);
    return refuse('invalid_input', 'a Redis Cluster has several primaries: say "replicaOf"', {
      next: `one of ${primaries.join(', ')}`,
    }).error;
  }
  return answerOperation(operations, await cluster.addNode({ address, replicaOf }), waitMs);
};

/** Removes a node that owns no slots. */
export const clusterRemoveNode = async (
  cluster: ClusterWork,
  asked: { readonly node: string; readonly confirm: string | undefined },
  { operations, waitMs }: Handed,
): Promise<Reply> => answerOperation(operations, await cluster.removeNode(asked), waitMs);

/** Routes below `/v1/redis/groups/{group}` for a Redis Cluster. */
export const clusterRoutes = (options: {
  readonly groups: Pick<Groups, 'list' | 'get'>;
  readonly operations: RedisOperations;
}): Route[] => {
  const { groups, operations } = options;
  const query = z.strictObject({ wait: waitQuery });
  return [
    route({
      method: 'post',
      path: `${path}/failover`,
      summary:
        'Makes a replica primary whose primary is gone (of a Redis Cluster: of one shard), or although it answers; what that one alone had may be lost',
      tags,
      params,
      query,
      body: failoverBody,
      responses: { ...operationResponses, 409: { description: 'Refused: why names each failed check' } },
      timeoutMs: 60_000,
      handle: async ({ params: { group }, query: { wait }, body }) => {
        const found = groups.get(group);
        if (found === undefined) return unknownGroup(group, groups);
        const waitMs = wait ?? 0;
        if (found.cluster === null) return answerFailover(found, body, { operations, waitMs });
        if (body.force || body.dryRun) return notForClusters;
        return answerOperation(operations, await found.cluster.failover(body), waitMs);
      },
    }),
  ];
};

const notForClusters = refuse('invalid_input', 'the failover of a shard knows neither force nor dryRun', {
  next: 'a primary that answers hands over by POST .../switchover',
}).error;
