// Who is the active instance of a service that has exactly one, what is done when another takes over, and how is it asked about?
import { z } from 'zod';
import { durationSchema } from './duration.ts';
import { instanceViewSchema } from './instance.ts';
import { instanceIdSchema } from './names.ts';

const printable = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;
/** They belong to the connection, or are given by the monitor. */
const ownHeaders = new Set([
  'connection',
  'content-length',
  'content-type',
  'host',
  'idempotency-key',
  'transfer-encoding',
  'upgrade',
]);
const headerName = z
  .string()
  .max(64)
  .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'must be a header name (RFC 9110 5.6.2)')
  .refine((name) => !ownHeaders.has(name.toLowerCase()), 'is set by the monitor and cannot be given');
const headersSchema = z
  .record(headerName, z.string().max(1024).regex(printable, 'must not have control characters'))
  .refine((headers) => Object.keys(headers).length <= 16, 'must have at most 16 entries');

const isHttpUrl = (text: string): boolean => {
  const url = URL.parse(text);
  return (url?.protocol === 'http:' || url?.protocol === 'https:') && url.username === '' && url.password === '';
};
const argument = z
  .string()
  .max(1024)
  .refine((text) => !text.includes('\0'), 'must not have a NUL character');
const execShape = {
  /** the program by its absolute path, then its arguments; no shell reads them */
  command: z
    .array(argument)
    .min(1)
    .max(32)
    .refine(([program]) => program?.startsWith('/'), { error: 'must begin with an absolute path', path: [0] }),
  timeout: durationSchema(100, 600_000).default('30s'),
};
const webhookShape = {
  url: z.string().max(2048).refine(isHttpUrl, 'must be a URL with http: or https:, without user and password'),
  /** of one attempt */
  timeout: durationSchema(100, 60_000).default('5s'),
  headers: headersSchema.optional(),
};

/** What the monitor does after it activated an instance, or when nobody is there to be activated. */
export const onActivateSchema = z
  .union(
    [z.strictObject({ exec: z.strictObject(execShape) }), z.strictObject({ webhook: z.strictObject(webhookShape) })],
    { error: 'must have either "exec" with a "command", or "webhook" with a "url"' },
  )
  .meta({ id: 'OnActivate' });
export type OnActivate = z.infer<typeof onActivateSchema>;

/** The same, with fields of a later version. */
export const storedOnActivateSchema = z.union([
  z.object({ exec: z.object(execShape) }),
  z.object({ webhook: z.object(webhookShape) }),
]);

/** The latest activation in a service. It is kept when its instance is gone, so that no token of the service is forgotten. */
export const activationSchema = z.object({
  id: instanceIdSchema,
  fencingToken: z.number(),
  /** Unix ms, for people */
  sinceMs: z.number(),
  reason: z.string(),
  /** nobody was there to take over from it */
  vacant: z.object({ sinceMs: z.number(), reason: z.string() }).optional(),
});
export type Activation = z.infer<typeof activationSchema>;

/** What came of `onActivate`: `refused` says why in `detail`. */
export const activationHookSchema = z.object({
  kind: z.enum(['exec', 'webhook']),
  state: z.enum(['started', 'refused']),
  detail: z.string(),
});
export type ActivationHook = z.infer<typeof activationHookSchema>;

const tokenSchema = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

/** Body of `POST /v1/services/{service}/handover`; an empty one picks the best standby. */
export const handoverBodySchema = z
  .strictObject({
    to: instanceIdSchema.optional(),
    reason: z.string().max(256).optional(),
    dryRun: z.boolean().default(false),
  })
  .meta({ id: 'Handover' });
export type HandoverBody = z.infer<typeof handoverBodySchema>;

/** Answer to it. `fencingToken` is null in a dry run. */
export const handoverViewSchema = z
  .object({
    service: z.string(),
    changed: z.boolean(),
    dryRun: z.boolean(),
    active: instanceViewSchema,
    fencingToken: z.int().nullable(),
    previous: z.object({ id: z.string(), fencingToken: z.int().nullable() }).nullable(),
    reason: z.string(),
  })
  .meta({ id: 'HandoverDone' });

/** `GET /v1/services/{service}/active`: the highest token given out in the service, also while nobody is active. */
export const activeViewSchema = z
  .object({
    service: z.string(),
    active: instanceViewSchema.nullable(),
    fencingToken: z.int().nullable(),
    since: z.iso.datetime().nullable(),
    reason: z.string(),
  })
  .meta({ id: 'ActiveInstance' });
export type ActiveView = z.infer<typeof activeViewSchema>;

/** Body of `POST /v1/services/{service}/fence` and `POST /v1/leases/{name}/check`. */
export const fenceBodySchema = z.strictObject({ fencingToken: tokenSchema }).meta({ id: 'FenceCheck' });

/** Answer to it when the token is the newest, and its holder is not taken for dead. */
export const fenceViewSchema = z
  .object({ ok: z.literal(true), service: z.string(), id: z.string(), fencingToken: z.int() })
  .meta({ id: 'FenceHeld' });
