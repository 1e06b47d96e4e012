// What does replication-manager tell about a group of Redis nodes?
import { z } from 'zod';

/** String that expires: the time of the last probe write to the primary. In the one slot of all our keys (see keys.ts). */
export const redisProbeKey = '{switchyard}:probe';

export const redisNodeViewSchema = z
  .object({
    name: z.string(),
    host: z.string(),
    port: z.int(),
    role: z.enum(['primary', 'replica', 'unknown']),
    state: z.enum(['ok', 'loading', 'syncing', 'link-down', 'unreachable', 'stray-primary']),
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
  })
  .meta({ id: 'RedisNode' });
export type RedisNodeView = z.infer<typeof redisNodeViewSchema>;

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
    problems: z.array(z.object({ code: z.string(), detail: z.string(), next: z.string() })),
    observedAt: z.iso.datetime(),
  })
  .meta({ id: 'RedisGroup' });
export type RedisGroupView = z.infer<typeof redisGroupViewSchema>;

const endpointSchema = z.object({ name: z.string(), host: z.string(), port: z.int() });

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
    phases: z.array(z.object({ name: z.string(), atMs: z.number() })),
    cause: z.string(),
    evidence: z.array(z.string()),
    writesUnavailableMs: z.number().nullable(),
    dataLoss: z.object({ verdict: z.enum(['none-expected', 'possible', 'unknown']), detail: z.string() }),
  })
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
