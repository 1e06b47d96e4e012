// What can be decided for a whole service?
import { z } from 'zod';
import { durationSchema } from './duration.ts';

/** Policies a service may choose today; a name that is not here is refused, never taken for another. */
export const policyNameSchema = z.enum(['round-robin', 'weighted-round-robin', 'least-request', 'random']);
export type PolicyName = z.infer<typeof policyNameSchema>;

const retryShape = {
  /** attempts in all, the first included, each on another instance */
  attempts: z.int().min(1).max(5).default(3),
};

/** Body of `PUT /v1/services/{service}`. Every field has a default, so `{}` is a policy. */
export const servicePolicySchema = z
  .strictObject({
    /** smooth weighted round robin is plain round robin while all weights are equal */
    policy: policyNameSchema.default('weighted-round-robin'),
    mode: z.enum(['members']).default('members'),
    retry: z.strictObject(retryShape).prefault({}),
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
  retry: z.object(retryShape).prefault({}),
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
