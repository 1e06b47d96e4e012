// Is the data the same on all nodes of a Redis group? The documents of POST /v1/redis/groups/{group}/check.
import { z } from 'zod';

const sideSchema = z.object({
  type: z.string(),
  /** bytes of a string, elements of anything else */
  size: z.number().nullable(),
  expiresAtMs: z.number().nullable(),
});

/** A key that is not the same on a replica. Never its value. */
export const redisKeyDifferenceSchema = z.object({
  database: z.int(),
  /** bytes that are no text are written as \xNN */
  key: z.string(),
  /** `missing`: the replica has not what the primary has; `extra`: the other way round */
  kind: z.enum(['missing', 'extra', 'type', 'value', 'ttl']),
  primary: sideSchema.nullable(),
  replica: sideSchema.nullable(),
});
export type RedisKeyDifference = z.infer<typeof redisKeyDifferenceSchema>;

/** `same`, `different`; `unsure`: keys that never stood still could not be compared; `unknown`: it could not be read */
const verdictSchema = z.enum(['same', 'different', 'unsure', 'unknown']);

/** What was found on one node. */
export const redisNodeCheckSchema = z.object({
  node: z.string(),
  role: z.enum(['primary', 'replica', 'unknown']),
  verdict: verdictSchema,
  /** over all keys, types, values and expiries; null when it was not asked for or could not be read */
  digest: z.string().nullable(),
  keys: z.number().nullable(),
  offset: z.number().nullable(),
  /** keys that differ from the primary's; with `more`, at least so many */
  differing: z.number(),
  more: z.boolean(),
  /** keys that were written all the time and could not be compared */
  unsettled: z.number(),
  samples: z.array(redisKeyDifferenceSchema),
  detail: z.string(),
});
export type RedisNodeCheck = z.infer<typeof redisNodeCheckSchema>;

/** What of a check can be said in a line. */
export const redisCheckSummarySchema = z.object({
  at: z.iso.datetime(),
  verdict: verdictSchema,
  nodes: z.array(z.object({ node: z.string(), verdict: verdictSchema })),
});
export type RedisCheckSummary = z.infer<typeof redisCheckSummarySchema>;

/** The result of a check: probe, lineage, offsets, and the digest of all nodes. */
export const redisCheckSchema = redisCheckSummarySchema
  .extend({
    group: z.string(),
    /** who asked: `request`, `background`, or the id of a failover */
    cause: z.string(),
    nodes: z.array(redisNodeCheckSchema),
    checks: z.array(z.object({ name: z.string(), ok: z.boolean().nullable(), detail: z.string() })),
    tookMs: z.number(),
    /** of the calls that read data, on the slowest node: nobody waited for longer because of the check */
    callsP99Ms: z.number().nullable(),
  })
  .meta({ id: 'RedisCheck' });
export type RedisCheck = z.infer<typeof redisCheckSchema>;

/** Body of POST /v1/redis/groups/{group}/check. */
export const redisCheckInputSchema = z.strictObject({
  /** names of replicas; all unless given */
  nodes: z.array(z.string().min(1).max(128)).min(1).max(32).optional(),
  /** false: probe, lineage and offsets only */
  digest: z.boolean().default(true),
  bytesPerSecond: z.int().min(65_536).max(10_000_000_000).optional(),
  /** share of the time in which a node is read from; 75 unless given */
  dutyPercent: z.int().min(1).max(100).optional(),
});
export type RedisCheckInput = z.infer<typeof redisCheckInputSchema>;

/** Body of POST /v1/redis/groups/{group}/nodes/{node}/resync: the name of the node once more. */
export const redisResyncInputSchema = z.strictObject({ confirm: z.string() });
