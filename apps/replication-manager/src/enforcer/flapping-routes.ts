// Which endpoints are there for a group that fails over again and again?
import { route, type Reply, type Route } from '@switchyard/http';
import { z } from 'zod';
import { acknowledgementSchema } from './flapping-part.ts';
import type { Group } from '../group.ts';
import type { Groups } from '../groups/groups.ts';
import { unknownGroup } from '../routes.ts';

const tags = ['redis'];
const path = '/v1/redis/groups/:group/acknowledge';
const params = z.object({ group: z.string().min(1).max(64) });
const body = z.strictObject({
  /** who has looked */
  by: z.string().min(1).max(128).default('somebody'),
  /** what was found */
  reason: z.string().min(1).max(1_000),
});

/** Routes for `/v1/redis/groups/{group}/acknowledge`. */
export const flappingRoutes = (groups: Pick<Groups, 'list' | 'get'>): Route[] => {
  const inGroup = (name: string, answer: (group: Group) => Reply): Reply => {
    const group = groups.get(name);
    return group === undefined ? unknownGroup(name, groups) : answer(group);
  };
  return [
    route({
      method: 'post',
      path,
      summary: 'Somebody has looked why the group fails over again and again: automatic work may begin again',
      tags,
      params,
      query: z.strictObject({}),
      body,
      responses: { 200: { description: 'The acknowledgement', schema: acknowledgementSchema } },
      handle: ({ params: { group }, body: { by, reason } }) =>
        inGroup(group, ({ enforcement }) => {
          const given = enforcement.flapping.acknowledge(by, reason);
          return given.ok ? { status: 200, body: given.value } : given.error;
        }),
    }),
    route({
      method: 'get',
      path,
      summary: 'Who has acknowledged what, newest first',
      tags,
      params,
      query: z.strictObject({}),
      responses: {
        200: {
          description: 'The acknowledgements',
          schema: z.object({ acknowledgements: z.array(acknowledgementSchema) }),
        },
      },
      handle: ({ params: { group } }) =>
        inGroup(group, ({ enforcement }) => ({
          status: 200,
          body: { acknowledgements: [...enforcement.flapping.acknowledgements()] },
        })),
    }),
  ];
};
