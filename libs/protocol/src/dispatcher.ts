// What does a dispatcher tell all others about itself, through Redis? Its state once a second, for people; and at every change
// whom it does not pick any more, for those who wait to leave. Both are bounded where they are written.
import { z } from 'zod';
import { intentSchema } from './instance.ts';

/** A dispatcher that was not heard for so long is not waited for when an instance leaves. */
export const DISPATCHER_LIVE_MS = 3_000;
/** A dispatcher that was not heard for so long is shown as stale; after three times that it disappears. */
export const DISPATCHER_STALE_MS = 5_000;

const latencySchema = z.object({ p50: z.number(), p95: z.number(), p99: z.number(), observations: z.int() });

/** What one instance did for one dispatcher since that one's start. */
export const instanceTrafficSchema = z.object({
  service: z.string(),
  id: z.string(),
  url: z.string().nullable(),
  weight: z.number().nullable(),
  picked: z.boolean().meta({ description: 'whether it is among those that get new requests' }),
  why: z.string().nullable().meta({ description: 'why it gets none; null when it does' }),
  requests: z.int(),
  inFlight: z.int(),
  tunnels: z.int(),
  errors: z.int(),
  serverErrors: z.int(),
  retries: z.int(),
  staleConnections: z.int(),
  latencyMs: latencySchema.meta({ description: 'until the head of the answer, over the last one to two minutes' }),
  ejections: z.int().meta({ description: 'how often this dispatcher left it out for a moment' }),
  lastError: z.object({ reason: z.string(), at: z.iso.datetime() }).nullable(),
});
export type InstanceTraffic = z.infer<typeof instanceTrafficSchema>;

const listenerSchema = z.object({
  name: z.string(),
  connections: z.int(),
  requests: z.int(),
  inFlight: z.int(),
  tunnels: z.int(),
  retries: z.int(),
  redirects: z.int(),
  clientAborts: z.int(),
  truncated: z.int(),
  refusals: z.record(z.string(), z.int()),
});

/** A dispatcher as it tells about itself. */
export const dispatcherStateSchema = z
  .object({
    id: z.string(),
    version: z.string(),
    url: z.string().nullable().meta({ description: 'where its own API is' }),
    table: z.object({
      source: z.enum(['redis', 'disk', 'none']),
      epoch: z.number().nullable(),
      revision: z.number().nullable(),
      ageMs: z.number().nullable(),
      keptInstances: z.int(),
    }),
    panics: z
      .array(z.object({ service: z.string(), cause: z.string() }))
      .default([])
      .meta({
        description: 'services where nobody is left out, or suspects are used, for too few would be left; 32 at most',
      }),
    listeners: z.array(listenerSchema),
    instances: z.array(instanceTrafficSchema),
    omittedInstances: z
      .int()
      .meta({ description: 'instances that were left out of what others are told: those with the fewest requests' }),
  })
  .meta({ id: 'DispatcherState' });
export type DispatcherState = z.infer<typeof dispatcherStateSchema>;

/** Whom a dispatcher does not pick any more, because they drain, are in maintenance, or have gone with requests under way. */
export const dispatcherDrainsSchema = z.object({
  epoch: z.number(),
  revision: z.number().meta({ description: 'of the table that holds there' }),
  drains: z.array(
    z.object({
      service: z.string(),
      id: z.string(),
      /** of the instance's document in that table; 0 when it is not in the table */
      revision: z.number(),
      inFlight: z.int(),
      tunnels: z.int(),
      /** clients may come straight to it, for they were redirected, or told by /pick to go there */
      direct: z.boolean().default(false),
    }),
  ),
  /** entries that were left out; those that were listed longest ago */
  omitted: z.int(),
});
export type DispatcherDrains = z.infer<typeof dispatcherDrainsSchema>;

/** Answer of `GET /v1/services/{service}/instances/{id}/drain`: is it let go, and who still has requests there? */
export const drainViewSchema = z
  .object({
    service: z.string(),
    id: z.string(),
    intent: intentSchema.nullable().meta({ description: 'null when the instance is not in the catalog any more' }),
    revision: z.int().nullable(),
    done: z.boolean().meta({
      description: 'it gets no new requests, and every live dispatcher has confirmed that it has none under way there',
    }),
    inFlight: z.int().meta({ description: 'at all dispatchers that have confirmed; without upgraded connections' }),
    tunnels: z.int().meta({ description: 'upgraded connections; they do not count against done' }),
    direct: z.boolean().meta({
      description:
        'clients may still come straight to it, redirected or told by /pick a moment ago; does not count against done',
    }),
    dispatchers: z.array(
      z.object({
        id: z.string(),
        live: z.boolean().meta({ description: 'false: not heard for 3 s, and not waited for' }),
        ageMs: z.int().meta({ description: 'since it was last heard' }),
        acknowledged: z.boolean().meta({ description: 'it does not pick the instance any more' }),
        revision: z.int().nullable().meta({ description: 'of the catalog, as of which that holds' }),
        inFlight: z.int().nullable(),
        tunnels: z.int().nullable(),
      }),
    ),
    problems: z.array(z.string()),
  })
  .meta({ id: 'Drain' });
export type DrainView = z.infer<typeof drainViewSchema>;
