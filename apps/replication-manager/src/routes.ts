// Which endpoints does the replication-manager have? Groups, their history, and addresses for load balancers.
import { route, type Reply, type Route } from '@switchyard/http';
import {
  redisAddressSchema,
  redisFailoverSchema,
  redisGroupViewSchema,
  refuse,
  type RedisGroupView,
  type RedisNodeView,
  type RedisShardView,
  type Refusal,
  type Result,
} from '@switchyard/protocol';
import {
  pickPrimary,
  pickReplica,
  pickShard,
  pickShardPrimary,
  pickShardReplica,
  type ShardChoice,
} from '@switchyard/replication';
import { z } from 'zod';
import type { Group } from './group.ts';
import type { Groups } from './groups/groups.ts';
import { publicSettings } from './groups/groups-definition.ts';

const params = z.object({ group: z.string().min(1).max(64) });
const tags = ['redis'];
/** Plain digits: an empty value, a sign or a unit is a mistake and not a number. */
const bytes = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a number of bytes, such as 1048576')
  .transform(Number);
/** Of a Redis Cluster: which shard is meant. */
const shardQuery = {
  shard: z.string().min(1).max(64).optional(),
  slot: z.coerce.number().int().min(0).max(16_383).optional(),
  key: z.string().max(1_024).optional(),
};
const limit = z.coerce.number().int().min(1).max(1_000);
const path = '/v1/redis/groups/:group';

/** Routes below `/v1/redis/groups`. */
export const redisRoutes = (groups: Pick<Groups, 'list' | 'get'>): Route[] => {
  const inGroup = (name: string, answer: (group: Group) => Reply): Reply => {
    const group = groups.get(name);
    return group === undefined ? unknownGroup(name, groups) : answer(group);
  };
  return [
    route({
      method: 'get',
      path: '/v1/redis/groups',
      summary: 'All groups of Redis nodes that are watched',
      tags,
      query: z.strictObject({}),
      responses: {
        200: { description: 'The groups', schema: z.object({ groups: z.array(redisGroupViewSchema) }) },
      },
      handle: () => ({ status: 200, body: { groups: groups.list().map(shownGroup) } }),
    }),
    route({
      method: 'get',
      path,
      summary: 'One group: roles, offsets, lag, fitness of each node, the true quorum, problems with what helps',
      tags,
      params,
      query: z.strictObject({}),
      responses: { 200: { description: 'The group', schema: redisGroupViewSchema } },
      handle: ({ params: { group } }) => inGroup(group, (one) => ({ status: 200, body: shownGroup(one) })),
    }),
    route({
      method: 'get',
      path: `${path}/history`,
      summary: 'Failovers and switchovers, newest first, with phases, evidence, outage and verdict on lost writes',
      tags,
      params,
      query: z.strictObject({ limit: limit.default(100) }),
      responses: {
        200: { description: 'The history', schema: z.object({ history: z.array(redisFailoverSchema) }) },
      },
      handle: ({ params: { group }, query }) =>
        inGroup(group, ({ history }) => ({ status: 200, body: { history: history.list().slice(0, query.limit) } })),
    }),
    route({
      method: 'get',
      path: `${path}/primary`,
      summary:
        'Where writes go now (of a Redis Cluster: to a shard=, slot= or key=); 503 while there is no primary (for health checks of load balancers)',
      tags,
      params,
      query: z.strictObject(shardQuery),
      responses: {
        200: { description: 'The primary', schema: redisAddressSchema },
        503: { description: 'There is none; why names each problem' },
      },
      handle: ({ params: { group }, query }) =>
        inGroup(group, (one) => {
          const view = one.view();
          const shard = shardOf(one, query);
          if (shard === null) return addressOr(group, pickPrimary(view));
          return shard.ok ? addressOr(group, pickShardPrimary(view, shard.value)) : shard.error;
        }),
    }),
    route({
      method: 'get',
      path: `${path}/replica`,
      summary: 'The replica that lags least, within maxLagBytes if given; 503 when none is fit',
      tags,
      params,
      query: z.strictObject({ maxLagBytes: bytes.optional(), ...shardQuery }),
      responses: {
        200: { description: 'The replica', schema: redisAddressSchema },
        503: { description: 'None is fit; why names each node and its reason' },
      },
      handle: ({ params: { group }, query }) =>
        inGroup(group, (one) => {
          const view = one.view();
          const mostBytes = query.maxLagBytes ?? null;
          const shard = shardOf(one, query);
          if (shard === null) return addressOr(group, pickReplica(view, mostBytes));
          return shard.ok ? addressOr(group, pickShardReplica(view, shard.value, mostBytes)) : shard.error;
        }),
    }),
  ];
};

/** The shard that is meant; null in a group that has none. */
const shardOf = (group: Group, { shard, slot, key }: ShardChoice): Result<RedisShardView> | null => {
  if (group.cluster !== null) return pickShard(group.view(), { shard, slot, key }, group.definition.homeSlot ?? null);
  if (shard === undefined && slot === undefined && key === undefined) return null;
  return refuse('invalid_input', `group ${group.definition.name} is no Redis Cluster: it has no shards`);
};

const shownGroup = (group: Group): RedisGroupView => ({
  ...group.view(),
  settings: publicSettings(group.definition.input),
});

/** The refusal for a group that is not there. */
export const unknownGroup = (name: string, groups: Pick<Groups, 'list'>): Refusal =>
  refuse('not_found', `there is no Redis group named ${name}`, {
    next: `known groups: ${groups
      .list()
      .map(({ definition }) => definition.name)
      .join(', ')}`,
  }).error;

const addressOr = (group: string, picked: Result<RedisNodeView>): Reply => {
  if (!picked.ok) return picked.error;
  const { name, host, port, lagBytes } = picked.value;
  return { status: 200, body: { group, name, host, port, lagBytes } };
};
