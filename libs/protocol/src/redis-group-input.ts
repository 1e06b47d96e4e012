// What does a group of Redis nodes to be watched consist of? The document of PUT /v1/redis/groups/{group}.
import { z } from 'zod';
import { durationSchema, parseDurationMs } from './duration.ts';

/** Below this Sentinel takes a busy moment for a death: measured at 250 ms, three failovers in a row without any failure. */
export const shortestDownAfterMs = 500;
const mostSeeds = 32;

const redisHost = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253}):\d{1,5}$/;
const seed = z
  .string()
  .regex(redisHost, 'must be host:port, such as 10.0.0.5:6379')
  .refine((text) => {
    const port = Number(text.slice(text.lastIndexOf(':') + 1));
    return port > 0 && port < 65_536;
  }, 'the port must be 1 to 65535');
const secret = z.string().min(1).max(512);

/** Name of a group, in paths and in Sentinel's own configuration. */
export const redisGroupNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, underscores, or hyphens');

/** Settings of a group; what is not given has the default in its line. */
export const redisGroupInputSchema = z
  .strictObject({
    kind: z.enum(['sentinel', 'cluster', 'single']).default('sentinel'),
    /** Sentinels or nodes, any of them; the others are found. */
    seeds: z.array(seed).min(1).max(mostSeeds),
    /** Sentinels that are to watch the group; provisioned when they do not know it yet. Only of kind `sentinel`. */
    sentinels: z.array(seed).max(15).optional(),
    manage: z.enum(['observe', 'manage']).default('observe'),
    policy: z.enum(['availability', 'consistency']).default('availability'),
    /** What a node that restarts empty or behind may do: see docs/redis.md. */
    bootLock: z.enum(['off', 'advise', 'enforce']).default('advise'),
    /** What Sentinel is told; settings of Sentinels that know the group already stay as they are unless given. */
    downAfter: durationSchema(1, 3_600_000)
      .refine((text) => (parseDurationMs(text) ?? 0) >= shortestDownAfterMs, {
        error: 'must be 500ms or more: below that a busy moment counts as a death, and failovers follow each other',
      })
      .optional(),
    /** Sentinel waits twice as long after a failed attempt; its own default of 3 minutes would block for six. */
    failoverTimeout: durationSchema(3_000, 180_000).optional(),
    quorum: z.int().min(1).max(15).optional(),
    username: z.string().min(1).max(128).optional(),
    password: secret.optional(),
    sentinelPassword: secret.optional(),
    tls: z.boolean().default(false),
    /** Sentinels that others reach under another address than their own (Docker, NAT): `{ "10.0.0.5:26379": "203.0.113.5:26379" }`. */
    announce: z.record(seed, seed).optional(),
    /** Names for people: `{ "r1": "10.0.0.5:6379" }`. */
    names: z.record(z.string().regex(/^[A-Za-z0-9._-]{1,64}$/), seed).optional(),
  })
  .meta({ id: 'RedisGroupInput' });
export type RedisGroupInput = z.infer<typeof redisGroupInputSchema>;

/** The same as it is shown: no secret leaves the manager. */
export const redisGroupSettingsSchema = redisGroupInputSchema
  .omit({ password: true, sentinelPassword: true })
  .meta({ id: 'RedisGroupSettings' });
export type RedisGroupSettingsView = z.infer<typeof redisGroupSettingsSchema>;
