// What does a monitor tell about itself?
import type { Route } from '@switchyard/http';
import { route } from '@switchyard/http';
import { z } from 'zod';
import type { Monitor } from './monitor.ts';

const monitorSchema = z
  .object({
    id: z.string(),
    leader: z.boolean(),
    fencingToken: z.int(),
    lastSweepAgoMs: z.number().nullable(),
    suspects: z.array(z.object({ member: z.string(), held: z.string().nullable() })),
  })
  .meta({ id: 'Monitor' });

/** `GET /v1/monitors`: the monitor that answers; each one answers for itself. */
export const monitorRoutes = (id: string, monitor: Monitor): Route[] => [
  route({
    method: 'get',
    path: '/v1/monitors',
    summary: 'The monitor that answers: does it lead, whom does it suspect, what holds it back?',
    tags: ['monitors'],
    responses: { 200: { description: 'Its state', schema: z.object({ monitors: z.array(monitorSchema) }) } },
    handle: () => ({ status: 200, body: { monitors: [{ id, ...monitor.status() }] } }),
  }),
];
