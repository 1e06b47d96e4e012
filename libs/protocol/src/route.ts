// Which requests go to which service, and how? (`/v1/routes/{name}`)
import { z } from 'zod';
import { durationSchema } from './duration.ts';
import { serviceNameSchema } from './names.ts';

const methodSchema = z.string().regex(/^[A-Z]{1,20}$/, 'must be a method in capitals, such as "GET"');

/** A host name, or `*.` and a suffix. Compared without its port, without regard to case. */
const hostPatternSchema = z
  .string()
  .max(255)
  .regex(/^(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/, 'must be a host name, or "*." and one');

const splitShape = { service: serviceNameSchema, weight: z.number().min(0).max(65_535) };
const timeoutsShape = {
  /** until the first byte of the answer */
  response: durationSchema(10, 3_600_000).optional(),
  /** longest silence within a body */
  idle: durationSchema(10, 3_600_000).optional(),
};

export const trafficRouteSchema = z
  .strictObject({
    host: hostPatternSchema.optional(),
    pathPrefix: z.string().max(1024).startsWith('/', 'must begin with "/"').optional(),
    methods: z.array(methodSchema).min(1).max(20).optional(),
    headers: z
      .record(z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'must be a header name'), z.string().max(512))
      .refine((headers) => Object.keys(headers).length <= 16, 'must have at most 16 entries')
      .optional(),
    service: serviceNameSchema.optional(),
    split: z.array(z.strictObject(splitShape)).min(1).max(16).optional(),
    action: z.enum(['proxy', 'redirect']).default('proxy'),
    redirectStatus: z.union([z.literal(302), z.literal(307), z.literal(308)]).default(307),
    stripPrefix: z.boolean().default(false),
    timeouts: z.strictObject(timeoutsShape).optional(),
  })
  .refine((route) => (route.service === undefined) !== (route.split === undefined), {
    error: 'give either "service" or "split"',
    path: ['service'],
  })
  .refine((route) => !route.stripPrefix || route.pathPrefix !== undefined, {
    error: 'needs "pathPrefix"',
    path: ['stripPrefix'],
  })
  .meta({ id: 'Route' });
export type TrafficRoute = z.infer<typeof trafficRouteSchema>;

/** The one route of a fresh yard. */
export const defaultRoute = Object.freeze({ name: 'default', service: 'demo-backend' });

/** Stored documents may carry fields of a later version, at every depth. */
export const storedRouteSchema = z.looseObject({
  ...trafficRouteSchema.shape,
  split: z.array(z.object(splitShape)).min(1).max(16).optional(),
  timeouts: z.object(timeoutsShape).optional(),
});

export const routeViewSchema = z
  .object({ name: z.string(), revision: z.int(), ...trafficRouteSchema.shape })
  .meta({ id: 'NamedRoute' });
export type RouteView = z.infer<typeof routeViewSchema>;
