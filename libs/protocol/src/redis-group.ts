// What does replication-manager tell about a group of Redis nodes?
import { z } from 'zod';
import { redisGroupSettingsSchema } from './redis-group-input.ts';
import { redisCheckSummarySchema } from './redis-check.ts';

/** String that expires: the time of the last probe write to the primary. In the one slot of all our keys (see keys.ts). */
export const redisProbeKey = '{switchyard}:probe';

export const redisNodeViewSchema = z
  .object({
    name: z.string(),
    host: z.string(),
    port: z.int(),
    role: z.enum(['primary', 'replica', 'unknown']),
    /**
     * `stray-primary`: calls itself primary while another one is; `wait-primary`: serves, but no replica could take over;
     * `locked`: restarted and not yet let in; `diverged`: has writes that the group has not; `fenced`: takes no writes by our doing
     */
    state: z.enum([
      'ok',
      'loading',
      'syncing',
      'link-down',
      'unreachable',
      'stray-primary',
      'wait-primary',
      'locked',
      'diverged',
      'fenced',
      'maintenance',
      'rebuilding',
    ]),
    offset: z.number().nullable(),
    lagBytes: z.number().nullable(),
    link: z.enum(['up', 'down']).nullable(),
    /** `rdb` is null when the node does not let us read its save points; `lastSaveOk` covers RDB and AOF */
    persistence: z.object({ aof: z.boolean(), rdb: z.boolean().nullable(), lastSaveOk: z.boolean() }).nullable(),
    version: z.string().nullable(),
    /** fit to become primary */
    eligible: z.boolean(),
    reason: z.string().nullable(),
    seenAgoMs: z.number().nullable(),
    /** what keeps data or costs it, as CONFIG GET says it; null when the node does not let us read it */
    settings: z.record(z.string(), z.string()).nullable().optional(),
  })
  .meta({ id: 'RedisNode' });
export type RedisNodeView = z.infer<typeof redisNodeViewSchema>;

const slotRangeSchema = z.object({ from: z.int(), to: z.int() });
const shardNodeSchema = z.object({ name: z.string(), host: z.string(), port: z.int() });

/** One shard of a Redis Cluster: the slots of one primary, and its replicas. */
export const redisShardViewSchema = z
  .object({
    /** first and last slot, such as `0-5460`; stays the same over failovers */
    name: z.string(),
    slots: z.array(slotRangeSchema),
    slotCount: z.int(),
    /** `degraded`: takes writes, but no replica could take over */
    state: z.enum(['ok', 'degraded', 'down']),
    primary: shardNodeSchema,
    /** config epoch of the primary */
    epoch: z.int(),
    offset: z.number().nullable(),
    replicas: z.array(
      shardNodeSchema.extend({
        offset: z.number().nullable(),
        lagBytes: z.number().nullable(),
        eligible: z.boolean(),
        /** on another host than the primary */
        elsewhere: z.boolean(),
      }),
    ),
  })
  .meta({ id: 'RedisShard' });
export type RedisShardView = z.infer<typeof redisShardViewSchema>;

export const redisGroupViewSchema = z
  .object({
    name: z.string(),
    kind: z.enum(['sentinel', 'cluster', 'single']),
    /** `ok`: a primary with every replica in step; `degraded`: serving, something is wrong; `down`: no primary */
    state: z.enum(['ok', 'degraded', 'down']),
    primary: z.object({ name: z.string(), host: z.string(), port: z.int() }).nullable(),
    epoch: z.int().nullable(),
    quorum: z.object({
      needed: z.int(),
      sentinels: z.int(),
      reachable: z.int(),
      /** reachable, not tilted, and naming the same primary */
      agreeing: z.int(),
      ok: z.boolean(),
    }),
    nodes: z.array(redisNodeViewSchema),
    /** of a Redis Cluster, in the order of their slots; `quorum` then counts primaries that own slots */
    shards: z.array(redisShardViewSchema).optional(),
    problems: z.array(z.object({ code: z.string(), detail: z.string(), next: z.string() })),
    /** `observe`: nothing is ever changed; `manage`: the verdict of the Sentinels is enforced, and work on request is done */
    manage: z.enum(['observe', 'manage']).optional(),
    /** what counts more when the last replica is lost: to go on taking writes, or that each write has a second copy */
    policy: z.enum(['availability', 'consistency']).optional(),
    /** whether the data is the same on all nodes, when it was compared last; null: not yet */
    lastCheck: redisCheckSummarySchema.nullable().optional(),
    /** what is wanted of it, without secrets */
    settings: redisGroupSettingsSchema.optional(),
    observedAt: z.iso.datetime(),
  })
  .meta({ id: 'RedisGroup' });
export type RedisGroupView = z.infer<typeof redisGroupViewSchema>;

const endpointSchema = z.object({ name: z.string(), host: z.string(), port: z.int() });

/** What the old primary had that the new one has not: bytes of its stream, and the keys that differ, if they were compared. */
export const redisDivergenceSchema = z.object({
  node: z.string(),
  bytes: z.number().nullable(),
  keys: z.array(z.string()),
  /** more keys differ than are listed */
  truncated: z.boolean(),
  detail: z.string(),
});
export type RedisDivergence = z.infer<typeof redisDivergenceSchema>;

/** A copy of the old primary's data, taken before it was made a replica; `file` is on the manager's disk. */
export const redisSalvageSchema = z.object({
  id: z.string(),
  node: z.string(),
  file: z.string(),
  sizeBytes: z.number(),
  sha256: z.string(),
  takenAtMs: z.number(),
});
export type RedisSalvage = z.infer<typeof redisSalvageSchema>;

/** What was looked at afterwards. */
export const redisVerificationSchema = z.object({
  ok: z.boolean().nullable(),
  checks: z.array(z.object({ name: z.string(), ok: z.boolean().nullable(), detail: z.string() })),
  atMs: z.number(),
});
export type RedisVerification = z.infer<typeof redisVerificationSchema>;

/** Lines of the logs of a node or a Sentinel around the failover. */
export const redisLogLinesSchema = z.object({ source: z.string(), from: z.string(), lines: z.array(z.string()) });
export type RedisLogLines = z.infer<typeof redisLogLinesSchema>;

/** What is learnt about a failover after it was recorded. */
export const redisFailoverAmendmentSchema = z.object({
  divergence: redisDivergenceSchema.optional(),
  salvage: redisSalvageSchema.optional(),
  verification: redisVerificationSchema.optional(),
  logs: z.array(redisLogLinesSchema).optional(),
  /** the operation that asked for it */
  operation: z.string().optional(),
  /** anything else that people should read, in the order of time */
  notes: z.array(z.string()).optional(),
});
export type RedisFailoverAmendment = z.infer<typeof redisFailoverAmendmentSchema>;

/** One failover or switchover as it was seen. Phases are milliseconds since the first sign (`startedAtMs`). */
export const redisFailoverSchema = z
  .object({
    id: z.string(),
    group: z.string(),
    kind: z.enum(['failover', 'switchover']),
    startedAtMs: z.number(),
    from: endpointSchema.nullable(),
    to: endpointSchema,
    epoch: z.int(),
    /** of a Redis Cluster: first and last slot of the shard */
    shard: z.string().optional(),
    phases: z.array(z.object({ name: z.string(), atMs: z.number() })),
    cause: z.string(),
    evidence: z.array(z.string()),
    writesUnavailableMs: z.number().nullable(),
    dataLoss: z.object({ verdict: z.enum(['none-expected', 'possible', 'unknown']), detail: z.string() }),
  })
  .extend(redisFailoverAmendmentSchema.shape)
  .meta({ id: 'RedisFailover' });
export type RedisFailover = z.infer<typeof redisFailoverSchema>;

/** Answer of `/v1/redis/groups/{group}/primary` and `/replica`. */
export const redisAddressSchema = z.object({
  group: z.string(),
  name: z.string(),
  host: z.string(),
  port: z.int(),
  lagBytes: z.number().nullable(),
});
