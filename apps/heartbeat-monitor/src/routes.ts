// What does a monitor tell about itself?
import type { Route } from '@switchyard/http';
import { route } from '@switchyard/http';
import { z } from 'zod';
import type { Checks } from './checks.ts';
import type { DoubtIntake } from './doubts.ts';
import type { Monitor } from './monitor.ts';

const monitorSchema = z
  .object({
    id: z.string(),
    leader: z.boolean(),
    fencingToken: z.int(),
    lastSweepAgoMs: z.number().nullable(),
    localHealth: z.int().min(0).max(8).meta({
      description: 'how much it doubts itself, 0 when it is well: it waits so many times longer before it acts',
    }),
    suspects: z.array(z.object({ member: z.string(), held: z.string().nullable() })),
    checks: z
      .object({ instances: z.int(), failing: z.array(z.string()) })
      .meta({ description: 'the checks that are made all the time, while it leads' }),
    doubts: z
      .object({ heard: z.int(), dropped: z.int(), refused: z.int() })
      .meta({ description: 'what others saw fail, since its start' }),
  })
  .meta({ id: 'Monitor' });

/** `GET /v1/monitors`: the monitor that answers; each one answers for itself. */
export const monitorRoutes = (
  id: string,
  { monitor, checks, doubts }: { readonly monitor: Monitor; readonly checks: Checks; readonly doubts: DoubtIntake },
): Route[] => [
  route({
    method: 'get',
    path: '/v1/monitors',
    summary: 'The monitor that answers: does it lead, whom does it suspect, what holds it back, who fails its check?',
    tags: ['monitors'],
    responses: { 200: { description: 'Its state', schema: z.object({ monitors: z.array(monitorSchema) }) } },
    handle: () => {
      const parts = { ...monitor.status(), checks: checks.status(), doubts: doubts.status() };
      return { status: 200, body: { monitors: [{ id, ...parts }] } };
    },
  }),
];
