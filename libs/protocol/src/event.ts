// What happened? Every change is one event with one revision: in the stream (the truth), on the channel
// `switchyard:events` (the wake-up), on `/v1/stream`. Its shape is CloudEvents 1.0 in JSON.
import { z } from 'zod';
import { serviceNameSchema, instanceIdSchema } from './names.ts';
import { activationHookSchema } from './activation.ts';
import { doubtCauseSchema } from './doubt.ts';
import { storedInstanceSchema } from './instance.ts';
import { storedServiceSchema } from './service.ts';
import { storedRouteSchema } from './route.ts';
import { redisFailoverSchema } from './redis-group.ts';

/** Evidence of a decision about liveness, as data. Times are milliseconds on Redis's clock. */
export const evidenceSchema = z.object({
  because: z.enum([
    'silence',
    'probe-failed',
    'address-taken',
    'check-failed',
    'check-answered',
    'heartbeat',
    'registered',
    'requested',
    'flapping',
    'settled',
  ]),
  detail: z.string(),
  deadlineMs: z.number().optional(),
  silentForMs: z.number().optional(),
  /** heartbeats that were due in that silence */
  missedBeats: z.number().optional(),
  /** who saw it fail before or beside the monitor */
  witnesses: z.array(z.object({ because: doubtCauseSchema, by: z.string(), detail: z.string() })).optional(),
  /** how much the monitor doubted itself: 0 (healthy) to 8; waits and timeouts were that much longer */
  localHealth: z.number().optional(),
  probes: z.array(z.object({ kind: z.string(), outcome: z.string(), tookMs: z.number() })).optional(),
  fencingToken: z.number().optional(),
  monitor: z.string().optional(),
});
export type Evidence = z.infer<typeof evidenceSchema>;

const instanceData = z.object({ instance: storedInstanceSchema, evidence: evidenceSchema.optional() });
const instanceRef = z.object({ service: serviceNameSchema, id: instanceIdSchema, reason: z.string().optional() });

/** Payload of each event type; `subject` names what it is about. */
export const eventDataSchemas = {
  'instance.registered': instanceData,
  'instance.updated': instanceData,
  'instance.suspected': instanceData,
  'instance.revived': instanceData,
  'instance.evicted': instanceData,
  /** missing heartbeats are not acted upon, and why; nothing changes by it */
  'instance.held': z.object({
    service: serviceNameSchema,
    id: instanceIdSchema,
    reason: z.string(),
    evidence: evidenceSchema,
  }),
  'instance.deregistered': instanceRef,
  'instance.reaped': instanceRef,
  'service.updated': z.object({ name: serviceNameSchema, policy: storedServiceSchema }),
  /** another instance is active: `instances` are all whose role changed by it */
  'service.activated': z.object({
    service: serviceNameSchema,
    id: instanceIdSchema,
    fencingToken: z.number(),
    previous: z.object({ id: instanceIdSchema, fencingToken: z.number().nullable() }).nullable(),
    reason: z.string(),
    sinceMs: z.number(),
    instances: z.array(storedInstanceSchema),
    evidence: evidenceSchema.optional(),
    onActivate: activationHookSchema.optional(),
  }),
  /** the active instance is lost, and nobody can take over */
  'service.vacated': z.object({
    service: serviceNameSchema,
    previous: z.object({ id: instanceIdSchema, fencingToken: z.number().nullable() }),
    reason: z.string(),
    sinceMs: z.number(),
    evidence: evidenceSchema.optional(),
    onActivate: activationHookSchema.optional(),
  }),
  'route.updated': z.object({ name: z.string(), route: storedRouteSchema }),
  'route.deleted': z.object({ name: z.string() }),
  'catalog.reset': z.object({
    reason: z.string(),
    previousEpoch: z.number(),
    previousRevision: z.number(),
    /** documents that Redis had lost and a reader still knew */
    writtenBack: z.number().optional(),
  }),
  'redis.failover': redisFailoverSchema,
  /** the data of a group are those of an earlier moment again; `to: { label: safetyPoint }` undoes it */
  'redis.rolled-back': z.object({
    group: z.string(),
    operation: z.string(),
    at: z.string(),
    offset: z.number(),
    timeline: z.string().nullable(),
    safetyPoint: z.string().nullable(),
  }),
  'backup.finished': z.object({ label: z.string(), group: z.string(), ok: z.boolean(), detail: z.string() }),
} as const;

export type EventType = keyof typeof eventDataSchemas;
export type EventData = { readonly [T in EventType]: z.infer<(typeof eventDataSchemas)[T]> };
export const eventTypes = Object.keys(eventDataSchemas) as readonly EventType[];

/** An event before its commit gave it a revision. */
export type NewEvent = {
  [T in EventType]: { readonly type: T; readonly subject: string; readonly data: EventData[T] };
}[EventType];

const envelope = {
  id: z.string(),
  epoch: z.int(),
  revision: z.int(),
  specversion: z.literal('1.0'),
  source: z.string(),
  time: z.string(),
  subject: z.string(),
};

/** A committed event. `id` is `<epoch>.<revision>`; the time is Redis's clock, for people. */
export type SwitchyardEvent = {
  [T in EventType]: {
    readonly type: T;
    readonly data: EventData[T];
    readonly id: string;
    readonly epoch: number;
    readonly revision: number;
    readonly specversion: '1.0';
    readonly source: string;
    readonly time: string;
    readonly subject: string;
  };
}[EventType];

const eventSchemas = Object.entries(eventDataSchemas).map(([type, data]) =>
  z.object({ ...envelope, type: z.literal(type), data }),
);
export const eventSchema = z
  .discriminatedUnion('type', eventSchemas as never)
  .meta({ id: 'Event' }) as unknown as z.ZodType<SwitchyardEvent>;
