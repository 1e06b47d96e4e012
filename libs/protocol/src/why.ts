// Why is an instance what it is? The answer of `GET /v1/services/{service}/instances/{id}/why`: facts and their sources, and the same in
// sentences that paste into a ticket.
import { z } from 'zod';
import { eventSchema } from './event.ts';
import { instanceViewSchema } from './instance.ts';

export const instanceWhySchema = z
  .object({
    service: z.string(),
    id: z.string(),
    summary: z.array(z.string()).meta({ description: 'the answer in sentences, the most important first' }),
    instance: instanceViewSchema.nullable().meta({ description: 'null when it is not in the catalog any more' }),
    heartbeat: z
      .object({
        lastAgoMs: z.number().meta({ description: "since its last heartbeat, on Redis's clock" }),
        ttlMs: z.number(),
        dueInMs: z.number().meta({ description: 'until its deadline; negative when that has passed' }),
      })
      .nullable()
      .meta({ description: 'null when nobody waits for its heartbeats: it is dead or gone, or Redis is away' }),
    history: z
      .array(eventSchema)
      .meta({ description: 'what happened to it, newest first, with the evidence of each verdict' }),
    monitors: z.array(
      z.object({
        id: z.string(),
        leader: z.boolean().nullable(),
        lastSweepAgoMs: z.number().nullable(),
        suspected: z.boolean(),
        held: z.string().nullable().meta({ description: 'why a silent one is not evicted' }),
        problem: z.string().nullable().meta({ description: 'why it could not be asked' }),
      }),
    ),
    dispatchers: z.array(
      z.object({
        id: z.string(),
        ageMs: z.number(),
        picked: z.boolean(),
        why: z.string().nullable(),
        requests: z.int(),
        errors: z.int(),
        ejections: z.int(),
        lastError: z.object({ reason: z.string(), at: z.string() }).nullable(),
      }),
    ),
    problems: z.array(z.string()).meta({ description: 'what could not be found out, and why' }),
  })
  .meta({ id: 'InstanceWhy' });
export type InstanceWhy = z.infer<typeof instanceWhySchema>;
