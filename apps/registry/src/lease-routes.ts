// Which endpoints do leases have? Anything that at most one process may do at a time, in any language.
import { route } from '@switchyard/http';
import type { Route } from '@switchyard/http';
import {
  fenceBodySchema,
  leaseHolderSchema,
  leaseInputSchema,
  leaseNameSchema,
  leaseViewSchema,
} from '@switchyard/protocol';
import type { Leases } from '@switchyard/redis';
import { z } from 'zod';

const params = z.object({ name: leaseNameSchema });
const tags = ['leases'];
const path = '/v1/leases/:name';
const listSchema = z.object({ leases: z.array(leaseViewSchema) }).meta({ id: 'Leases' });
const checkedSchema = z
  .object({
    ok: z.literal(true),
    name: z.string(),
    holder: z.string(),
    fencingToken: z.int(),
    expiresInMs: z.int(),
  })
  .meta({ id: 'LeaseHeld' });

/** Routes below `/v1/leases`. Redis is asked each time: a copy could show a holder that is none any more. */
export const leaseRoutes = (leases: Leases): Route[] => [
  route({
    method: 'get',
    path: '/v1/leases',
    summary: 'All leases that are held',
    tags,
    responses: { 200: { description: 'The leases, by name', schema: listSchema } },
    handle: async () => {
      const found = await leases.list();
      return found.ok ? { status: 200, body: { leases: found.value } } : found.error;
    },
  }),
  route({
    method: 'get',
    path,
    summary: 'One lease: who holds it, for how long, with which fencing token',
    tags,
    params,
    responses: { 200: { description: 'The lease', schema: leaseViewSchema } },
    handle: async ({ params: { name } }) => {
      const found = await leases.read(name);
      return found.ok ? { status: 200, body: found.value } : found.error;
    },
  }),
  route({
    method: 'put',
    path,
    summary: 'Takes a lease, or renews it: its holder keeps the fencing token',
    description:
      'Renew after a third of the ttl. Give the token along with each renewal: 409 stale_token then means that the lease was lost ' +
      'in between, and without it whoever asks gets it anew, with a higher token. The ttl runs on the clock of Redis.',
    tags,
    params,
    body: leaseInputSchema,
    responses: {
      200: { description: 'It is renewed', schema: leaseViewSchema },
      201: { description: 'It is taken', schema: leaseViewSchema },
    },
    handle: async ({ params: { name }, body }) => {
      const outcome = await leases.acquire(name, body);
      if (!outcome.ok) return outcome.error;
      return { status: outcome.value.created ? 201 : 200, body: outcome.value.lease };
    },
  }),
  route({
    method: 'delete',
    path,
    summary: 'Gives a lease back before it runs out',
    tags,
    params,
    query: z.strictObject({ holder: leaseHolderSchema, fencingToken: z.coerce.number().int().min(1).optional() }),
    responses: { 204: { description: 'The caller does not hold it any more' } },
    handle: async ({ params: { name }, query: { holder, fencingToken } }) => {
      const outcome = await leases.release(name, { holder, ...(fencingToken === undefined ? {} : { fencingToken }) });
      return outcome.ok ? { status: 204 } : outcome.error;
    },
  }),
  route({
    method: 'post',
    path: `${path}/check`,
    summary: 'Whether a fencing token still holds the lease; 409 stale_token when it does not',
    tags,
    params,
    body: fenceBodySchema,
    responses: { 200: { description: 'It does', schema: checkedSchema } },
    handle: async ({ params: { name }, body: { fencingToken } }) => {
      const outcome = await leases.check(name, fencingToken);
      return outcome.ok ? { status: 200, body: { ok: true, name, fencingToken, ...outcome.value } } : outcome.error;
    },
  }),
];
