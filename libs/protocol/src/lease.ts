// What is a lease of somebody outside? One holder at a time by Redis's clock, and a fencing token that grows with each new one.
import { z } from 'zod';
import { durationSchema } from './duration.ts';

/** More are refused; those whose time is over do not count. */
export const mostLeases = 10_000;

const isText = (text: string): boolean => {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 32 || code === 127) return false;
  }
  return text.isWellFormed();
};

export const leaseNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,126}[A-Za-z0-9])?$/,
    'must be 1 to 128 of A-Z, a-z, 0-9, ".", "_", ":" and "-", beginning and ending with a letter or digit',
  );

/** Who holds it: a name that no other process uses. */
export const leaseHolderSchema = z.string().min(1).max(256).refine(isText, 'must be text without control characters');

const tokenSchema = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

/** Body of `PUT /v1/leases/{name}`. */
export const leaseInputSchema = z
  .strictObject({
    holder: leaseHolderSchema,
    ttl: durationSchema(500, 3_600_000),
    meta: z
      .record(z.string().min(1).max(64), z.string().max(512))
      .refine((meta) => Object.keys(meta).length <= 16, 'must have at most 16 entries')
      .optional(),
    /** only renews: refused when the lease was lost in between */
    fencingToken: tokenSchema.optional(),
  })
  .meta({ id: 'LeaseInput' });
export type LeaseInput = z.infer<typeof leaseInputSchema>;

export const leaseViewSchema = z
  .object({
    name: z.string(),
    holder: z.string(),
    fencingToken: z.int(),
    ttlMs: z.int(),
    expiresInMs: z.int(),
    since: z.iso.datetime(),
    meta: z.record(z.string(), z.string()),
    valid: z.boolean().meta({
      description:
        'false: Redis is another one than when the token was given out, and may have forgotten a newer one. Its holder gets a new ' +
        'token with the next PUT, and nobody else gets the lease before it runs out',
    }),
  })
  .meta({ id: 'Lease' });
export type LeaseView = z.infer<typeof leaseViewSchema>;

/** A lease as it is stored, behind its epoch, token and time. Tolerant of fields of a later version. */
export const storedLeaseSchema = z.object({
  holder: z.string(),
  ttlMs: z.number(),
  meta: z.record(z.string(), z.string()).default({}),
});
