// How is maintenance announced? With an end, always: what is forgotten ends by itself.
import { route, type Reply, type Route } from '@switchyard/http';
import { durationSchema, parseDurationMs } from '@switchyard/protocol';
import { z } from 'zod';
import type { Group } from '../group.ts';
import type { Groups } from '../groups/groups.ts';
import type { MaintenanceWindow } from './maintenance.ts';
import { unknownGroup } from '../routes.ts';

const params = z.object({ group: z.string().min(1).max(64) });
const path = '/v1/redis/groups/:group/maintenance';
const nodeName = z.string().min(1).max(280);

const windowSchema = z
  .object({
    group: z.string(),
    node: z.string().nullable(),
    reason: z.string(),
    since: z.iso.datetime(),
    until: z.iso.datetime(),
  })
  .meta({ id: 'RedisMaintenance' });

/** Routes for the maintenance of a group or of one of its nodes. */
export const maintenanceRoutes = (groups: Pick<Groups, 'list' | 'get'>): Route[] => {
  const inGroup = async (name: string, answer: (group: Group) => Promise<Reply>): Promise<Reply> => {
    const group = groups.get(name);
    return group === undefined ? unknownGroup(name, groups) : answer(group);
  };
  const tags = ['redis'];
  return [
    route({
      method: 'get',
      path,
      summary: 'Which maintenance is announced, and until when',
      tags,
      params,
      query: z.strictObject({}),
      responses: { 200: { description: 'All', schema: z.object({ maintenance: z.array(windowSchema) }) } },
      handle: async ({ params: { group } }) =>
        inGroup(group, async (one) =>
          Promise.resolve({
            status: 200,
            body: { maintenance: one.maintenance.list().map((window) => shown(group, window)) },
          }),
        ),
    }),
    route({
      method: 'put',
      path,
      summary:
        'Announces work by hand on the group or a node: nothing is enforced, scheduled or rebuilt there until it ends',
      tags,
      params,
      query: z.strictObject({}),
      body: z.strictObject({
        for: durationSchema(1_000, 86_400_000),
        reason: z.string().min(1).max(280),
        /** A name; the whole group unless given. */
        node: nodeName.optional(),
      }),
      responses: { 200: { description: 'It has begun, or was prolonged', schema: windowSchema } },
      handle: async ({ params: { group }, body }) =>
        inGroup(group, async (one) => {
          const forMs = parseDurationMs(body.for) ?? 0;
          const put = await one.maintenance.put({ node: body.node ?? null, reason: body.reason, forMs });
          return put.ok ? { status: 200, body: shown(group, put.value) } : put.error;
        }),
    }),
    route({
      method: 'delete',
      path,
      summary: 'Ends it now',
      tags,
      params,
      query: z.strictObject({ node: nodeName.optional() }),
      responses: { 200: { description: 'It has ended', schema: windowSchema } },
      handle: async ({ params: { group }, query }) =>
        inGroup(group, async (one) => {
          const ended = await one.maintenance.end(query.node ?? null);
          return ended.ok ? { status: 200, body: shown(group, ended.value) } : ended.error;
        }),
    }),
  ];
};

const shown = (
  group: string,
  { node, reason, sinceUnixMs, untilUnixMs }: MaintenanceWindow,
): z.infer<typeof windowSchema> => ({
  group,
  node,
  reason,
  since: new Date(sinceUnixMs).toISOString(),
  until: new Date(untilUnixMs).toISOString(),
});
