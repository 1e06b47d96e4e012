// What is an instance: as its owner describes it, as the catalog keeps it, as people read it?
import { z } from 'zod';
import { checkSchema, storedCheckSchema } from './check.ts';
import { durationSchema } from './duration.ts';
import { hostSchema, instanceIdSchema, portSchema, serviceNameSchema } from './names.ts';

/** What the owner wants: take traffic, take no new traffic, or be left alone. */
export const intentSchema = z.enum(['in-service', 'draining', 'maintenance']);
export type Intent = z.infer<typeof intentSchema>;

/**
 * The reason an agent gives when it drains its own instance. A process that registers again after it is a new one, so unlike
 * an operator's drain it does not outlive the registration.
 */
export const OWN_DRAIN_REASON = 'the instance stops';

/** What the monitor believes. `dead` means evicted; the record is reaped later. */
export const livenessSchema = z.enum(['alive', 'suspect', 'dead']);
export type Liveness = z.infer<typeof livenessSchema>;

export const roleSchema = z.enum(['member', 'active', 'standby']);
export type Role = z.infer<typeof roleSchema>;

const weightSchema = z
  .number()
  .min(0, 'must be from 0 (no traffic) to 65535')
  .max(65_535, 'must be from 0 (no traffic) to 65535');

const metaSchema = z
  .record(z.string().min(1).max(64), z.string().max(512))
  .refine((meta) => Object.keys(meta).length <= 32, 'must have at most 32 entries');

const ttlSchema = durationSchema(500, 3_600_000);

/** Base address of an instance: http or https, host, port, nothing more. */
export const instanceUrlSchema = z
  .string()
  .max(300)
  .refine(
    (text) => {
      const url = URL.parse(text);
      return (
        url !== null &&
        (url.protocol === 'http:' || url.protocol === 'https:') &&
        url.hostname !== '' &&
        url.port !== '0' &&
        url.username === '' &&
        url.password === '' &&
        (url.pathname === '/' || url.pathname === '') &&
        url.search === '' &&
        url.hash === ''
      );
    },
    { error: 'must be http://host:port or https://host:port, without path, user or query' },
  );

const address = { url: instanceUrlSchema.optional(), host: hostSchema.optional(), port: portSchema.optional() };
const description = {
  weight: weightSchema.default(1),
  zone: z.string().max(64).optional(),
  version: z.string().max(64).optional(),
  meta: metaSchema.default({}),
  ttl: ttlSchema.default('3s'),
  check: checkSchema.optional(),
  role: roleSchema.default('member'),
};
const oneAddress = (input: { url?: unknown; host?: unknown; port?: unknown }): boolean =>
  input.url === undefined
    ? input.host !== undefined && input.port !== undefined
    : input.host === undefined && input.port === undefined;
const oneAddressFault = { error: 'give either "url" or both "host" and "port"', path: ['url'] };

/** Body of `PUT /v1/services/{service}/instances/{id}`. */
export const instanceInputSchema = z
  .strictObject({ ...address, ...description })
  .refine(oneAddress, oneAddressFault)
  .meta({ id: 'InstanceInput' });
export type InstanceInput = z.infer<typeof instanceInputSchema>;

/** Message on the channel `switchyard:register`: the same, with its names. */
export const registerMessageSchema = z
  .strictObject({ service: serviceNameSchema, id: instanceIdSchema, ...address, ...description })
  .refine(oneAddress, oneAddressFault)
  .meta({ id: 'RegisterMessage' });
export type RegisterMessage = z.infer<typeof registerMessageSchema>;

/** Body of `PATCH /v1/services/{service}/instances/{id}`. */
export const instancePatchSchema = z
  .strictObject({
    weight: weightSchema.optional(),
    intent: intentSchema.optional(),
    reason: z
      .string()
      .max(256)
      .optional()
      .meta({ description: 'why; kept with what it changes and told in the event' }),
  })
  .refine((patch) => patch.weight !== undefined || patch.intent !== undefined, {
    error: 'give "weight", "intent", or both',
    path: ['weight'],
  })
  .meta({ id: 'InstancePatch' });
export type InstancePatch = z.infer<typeof instancePatchSchema>;

/** How busy an instance says it is. */
export const loadReportSchema = z.strictObject({
  inflight: z.number().min(0).max(1e9).optional(),
  utilization: z.number().min(0).max(1).optional(),
  /** ms by which its event loop is late; beats come from another thread, so this is a warning and not a death */
  lagMs: z.number().min(0).max(3_600_000).optional(),
});
export type LoadReport = z.infer<typeof loadReportSchema>;

/** Body of `POST .../heartbeat`; an empty body is a heartbeat too. */
export const heartbeatBodySchema = z.strictObject({ load: loadReportSchema.optional() }).meta({ id: 'Heartbeat' });

/** Message on the channel `switchyard:heartbeat`. */
export const heartbeatMessageSchema = z.strictObject({
  service: serviceNameSchema,
  id: instanceIdSchema,
  load: loadReportSchema.optional(),
});
export type HeartbeatMessage = z.infer<typeof heartbeatMessageSchema>;

/**
 * An instance as the catalog keeps it. Its revision is not part of the stored document: the commit gives it out.
 * Tolerant of fields from later versions, at every depth, because stored documents outlive the process that wrote them.
 */
export const storedInstanceSchema = z.object({
  service: serviceNameSchema,
  id: instanceIdSchema,
  url: z.string(),
  /** in force; PATCH changes it */
  weight: z.number(),
  /** why PATCH changed it */
  weightReason: z.string().optional(),
  /** what the owner registered with; while the owner repeats it, a changed `weight` stands */
  declaredWeight: z.number(),
  zone: z.string().optional(),
  version: z.string().optional(),
  meta: z.record(z.string(), z.string()),
  ttlMs: z.number(),
  check: storedCheckSchema.optional(),
  role: roleSchema,
  /** active/standby: what the owner registered with, while `role` is given by activation */
  declaredRole: roleSchema.optional(),
  intent: intentSchema,
  intentReason: z.string().optional(),
  liveness: livenessSchema,
  /** why the liveness is what it is; empty while alive */
  livenessReason: z.string().optional(),
  /** a heartbeat ends the suspicion of silence, answers end that of a check */
  suspectedBy: z.enum(['silence', 'check', 'doubt']).optional(),
  /** how often it died and came back lately: grows by one each time, halves with its half-life; at `atMs` it was `penalty` */
  flaps: z.object({ penalty: z.number(), atMs: z.number() }).optional(),
  /** gets no new traffic until then, Redis's clock, because it died and came back too often */
  dampedUntilMs: z.number().optional(),
  /** active/standby: what it was activated with; the highest of a service is the active one's */
  fencingToken: z.number().optional(),
  /** when the liveness last changed, Unix ms, for people */
  sinceMs: z.number(),
  /** grows each time the instance registers anew after having been dead or gone */
  incarnation: z.number(),
});
export type StoredInstance = z.infer<typeof storedInstanceSchema>;

/** An instance with the revision of its last change. */
export type Instance = StoredInstance & { readonly revision: number };

/** An instance as the API shows it. */
export const instanceViewSchema = z
  .object({
    service: z.string(),
    id: z.string(),
    url: z.string(),
    weight: z.number(),
    zone: z.string().nullable(),
    version: z.string().nullable(),
    meta: z.record(z.string(), z.string()),
    ttl: z.string(),
    check: checkSchema.nullable(),
    intent: intentSchema,
    liveness: livenessSchema,
    role: roleSchema,
    fencingToken: z
      .int()
      .nullable()
      .default(null)
      .meta({ description: 'what the active instance of an active-standby service was activated with; else null' }),
    since: z.iso.datetime(),
    revision: z.int(),
    eligible: z.boolean(),
    reason: z.string().nullable().meta({ description: 'why it is not eligible; null when it is' }),
  })
  .meta({ id: 'Instance' });
export type InstanceView = z.infer<typeof instanceViewSchema>;
