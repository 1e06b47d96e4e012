// Which lines make the nodes of a group start locked? Printed, never written: the nodes' files are not ours.
import { route, type Route } from '@switchyard/http';
import { defaultLockUsers, lockConfig } from '@switchyard/replication';
import { z } from 'zod';
import type { Groups } from '../groups/groups.ts';
import { unknownGroup } from '../routes.ts';

const params = z.object({ group: z.string().min(1).max(64) });
const configSchema = z.object({
  group: z.string(),
  /** what the group has now */
  bootLock: z.enum(['off', 'advise', 'enforce']),
  /** `users.acl` of each node */
  aclFile: z.string(),
  /** lines of redis.conf of each node */
  redisConf: z.string(),
  /** lines of sentinel.conf */
  sentinelConf: z.string(),
  /** what applications and Switchyard are given */
  clients: z.string(),
});

/** The route for `/v1/redis/groups/{group}/boot-lock`. */
export const bootLockRoutes = (groups: Pick<Groups, 'list' | 'get'>): Route[] => [
  route({
    method: 'get',
    path: '/v1/redis/groups/:group/boot-lock',
    summary: 'The configuration with which nodes let nobody in before they were compared; put passwords in',
    tags: ['redis'],
    params,
    query: z.strictObject({}),
    responses: { 200: { description: 'Files and lines', schema: configSchema } },
    handle: ({ params: { group: name } }) => {
      const group = groups.get(name);
      if (group === undefined) return unknownGroup(name, groups);
      const { bootLock } = group.definition.input;
      return { status: 200, body: { group: name, bootLock, ...lockConfig(name, defaultLockUsers) } };
    },
  }),
];
