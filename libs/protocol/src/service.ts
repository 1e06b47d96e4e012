// What can be decided for a whole service?
import { z } from 'zod';
import { activationSchema, onActivateSchema, storedOnActivateSchema } from './activation.ts';
import { durationSchema, parseDurationMs } from './duration.ts';

/** Policies a service may choose today; a name that is not here is refused, never taken for another. */
export const policyNameSchema = z.enum(['round-robin', 'weighted-round-robin', 'least-request', 'random']);
export type PolicyName = z.infer<typeof policyNameSchema>;

const hedgeShape = {
  /** this long without an answer, and an idempotent request is asked elsewhere too */
  after: durationSchema(1, 60_000).optional(),
  /** the same after the time that this share of the instance's recent answers took */
  quantile: z.number().min(0.5).max(0.999).optional(),
};
const attempts = z.int().min(1).max(5).default(3);
const retryShape = {
  /** attempts in all, the first included, each on another instance */
  attempts,
  hedge: z
    .strictObject(hedgeShape)
    .refine(({ after, quantile }) => (after === undefined) !== (quantile === undefined), {
      error: 'give either "after" or "quantile"',
    })
    .optional(),
};

const limitsShape = {
  /** requests under way at one instance, from one dispatcher; above it the instance counts as busy */
  inFlightPerInstance: z.int().min(1).max(1_000_000).optional(),
  /** requests that may wait, in one dispatcher, until an instance has room; 0 for none */
  queue: z.int().min(0).max(10_000).default(256),
  /** how long a request waits for room at most */
  queueTimeout: durationSchema(10, 60_000).default('1s'),
};

/** A dispatcher leaves out, for a moment, an instance that fails in its own sight. */
const outlierShape = {
  enabled: z.boolean().default(true),
  /** failures of any kind in a row that eject: no connection, no answer, a broken answer, 502, 503, 504 */
  consecutiveFailures: z.int().min(1).max(1_000).default(5),
  /** failed connections in a row that eject */
  consecutiveConnectFailures: z.int().min(1).max(1_000).default(1),
  /** the first ejection lasts this long; each further one twice as long as the one before */
  baseEjectionTime: durationSchema(100, 3_600_000).default('1s'),
  maxEjectionTime: durationSchema(100, 3_600_000).default('30s'),
  /** never more than this share of the service at once, and never its last instance */
  maxEjectedPercent: z.number().min(0).max(100).default(50),
};
const ordered = (outlier: { readonly baseEjectionTime: string; readonly maxEjectionTime: string }): boolean =>
  (parseDurationMs(outlier.baseEjectionTime) ?? 0) <= (parseDurationMs(outlier.maxEjectionTime) ?? 0);

/** Body of `PUT /v1/services/{service}`. Every field has a default, so `{}` is a policy. */
export const servicePolicySchema = z
  .strictObject({
    /** smooth weighted round robin is plain round robin while all weights are equal */
    policy: policyNameSchema.default('weighted-round-robin'),
    /** `members`: all of them take traffic. `active-standby`: exactly one does, and another takes over from it */
    mode: z.enum(['members', 'active-standby']).default('members'),
    /** active-standby: told of each take-over, and asked for an instance when none is left */
    onActivate: onActivateSchema.optional(),
    retry: z.strictObject(retryShape).prefault({}),
    limits: z.strictObject(limitsShape).prefault({}),
    /** an instance that has just come gets a growing share of its weight for this long; 0s for the whole at once */
    slowStart: durationSchema(0, 900_000).default('0s'),
    /** the share that it begins with */
    slowStartMinPercent: z.number().min(1).max(100).default(10),
    outlier: z
      .strictObject(outlierShape)
      .refine(ordered, { error: 'must not be shorter than "baseEjectionTime"', path: ['maxEjectionTime'] })
      .prefault({}),
    /** hold evictions that rest on silence alone when more than this share of the service went silent at once */
    maxUnhealthyPercent: z.number().min(0).max(100).default(30),
    /** how long an evicted instance stays in the catalog, for people who ask why */
    reapAfter: durationSchema(1_000, 7 * 86_400_000).default('60s'),
  })
  .meta({ id: 'ServicePolicy' });
export type ServicePolicy = z.infer<typeof servicePolicySchema>;

export const defaultServicePolicy: ServicePolicy = Object.freeze(servicePolicySchema.parse({}));

/** Stored documents may carry fields of a later version, at every depth. */
export const storedServiceSchema = z.looseObject({
  ...servicePolicySchema.shape,
  retry: z.object({ attempts, hedge: z.object(hedgeShape).optional() }).prefault({}),
  limits: z.object(limitsShape).prefault({}),
  outlier: z.object(outlierShape).prefault({}),
  onActivate: storedOnActivateSchema.optional(),
  /** active-standby: who was activated last; no part of the policy, and kept when that is changed */
  activation: activationSchema.optional(),
});

export const serviceViewSchema = z
  .object({
    name: z.string(),
    policy: servicePolicySchema,
    revision: z.int(),
    instances: z.object({ total: z.int(), eligible: z.int(), alive: z.int(), suspect: z.int(), dead: z.int() }),
  })
  .meta({ id: 'Service' });
export type ServiceView = z.infer<typeof serviceViewSchema>;
