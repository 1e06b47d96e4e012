// Which endpoints compare data, and mend what differs?
import { route, type Reply, type Route } from '@switchyard/http';
import {
  redisCheckInputSchema,
  redisCheckSchema,
  redisResyncInputSchema,
  type Operation,
  type Result,
} from '@switchyard/protocol';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';
import { beginResync } from './consistency-resync.ts';
import type { Group } from '../group.ts';
import type { Groups } from '../groups/groups.ts';
import { answerOperation, operationResponses, waitQuery } from '../redis-operation-routes.ts';
import type { RedisOperations } from '../redis-operations.ts';
import { unknownGroup } from '../routes.ts';

const params = z.object({ group: z.string().min(1).max(64) });
const nodeParams = params.extend({ node: z.string().min(1).max(128) });
const tags = ['redis'];
const path = '/v1/redis/groups/:group';
/** Of a check on request; ten million keys take minutes. */
const longestCheckMs = 3_600_000;
/** The answer may wait for as long as `wait` allows. */
const timeoutMs = 60_000;

/** Routes for checks and resyncs. */
export const consistencyRoutes = (
  groups: Pick<Groups, 'list' | 'get'>,
  { operations, clock }: { readonly operations: RedisOperations; readonly clock: Clock },
): Route[] => {
  const inGroup = (name: string, answer: (group: Group) => Reply | Promise<Reply>): Reply | Promise<Reply> => {
    const group = groups.get(name);
    return group === undefined ? unknownGroup(name, groups) : answer(group);
  };
  const begun = (operation: Result<Operation>, waitMs: number | undefined): Promise<Reply> =>
    answerOperation(operations, operation, waitMs);
  return [
    route({
      method: 'post',
      path: `${path}/check`,
      summary:
        'Compares all nodes: a probe through the primary, lineage, offsets, and a digest of the data; changes nothing',
      tags,
      params,
      query: z.strictObject({ wait: waitQuery }),
      body: redisCheckInputSchema.optional(),
      responses: operationResponses,
      timeoutMs,
      handle: ({ params: { group }, query, body }) =>
        inGroup(group, ({ consistency }) =>
          begun(
            consistency.begin({
              input: body ?? redisCheckInputSchema.parse({}),
              cause: 'request',
              deadlineMs: longestCheckMs,
            }),
            query.wait,
          ),
        ),
    }),
    route({
      method: 'get',
      path: `${path}/checks`,
      summary: 'The latest checks, newest first, with the keys that differ',
      tags,
      params,
      query: z.strictObject({}),
      responses: { 200: { description: 'The checks', schema: z.object({ checks: z.array(redisCheckSchema) }) } },
      handle: ({ params: { group } }) =>
        inGroup(group, ({ consistency }) => ({ status: 200, body: { checks: [...consistency.list()] } })),
    }),
    route({
      method: 'post',
      path: `${path}/nodes/:node/resync`,
      summary: 'Throws away the data of a replica and copies the primary anew; confirm with the name of the node',
      tags,
      params: nodeParams,
      query: z.strictObject({ wait: waitQuery }),
      body: redisResyncInputSchema,
      responses: operationResponses,
      timeoutMs,
      handle: ({ params: { group, node }, query, body }) =>
        inGroup(group, async (one) =>
          begun(await beginResync({ group: one, node, confirm: body.confirm, clock }), query.wait),
        ),
    }),
  ];
};
