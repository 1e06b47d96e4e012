// How is a switchover asked for? POST with a target, a time, or only to see what would happen.
import { route, type Reply, type Route } from '@switchyard/http';
import { refuse } from '@switchyard/protocol';
import { switchoverWaits } from '@switchyard/replication';
import { z } from 'zod';
import { clusterSwitchover } from '../cluster/cluster-routes.ts';
import type { Groups } from '../groups/groups.ts';
import { answerOperation, operationResponses, waitQuery } from '../redis-operation-routes.ts';
import type { RedisOperations } from '../redis-operations.ts';
import { unknownGroup } from '../routes.ts';
import { parseAt } from './switchover-schedule.ts';
import type { SwitchoverSurvey } from './switchover.ts';

const params = z.object({ group: z.string().min(1).max(64) });

const body = z.strictObject({
  /** Name or `host:port`; the best replica unless given. */
  to: z.string().min(1).max(280).optional(),
  /** Of a Redis Cluster: which shard, by its name or a node of it. */
  shard: z.string().min(1).max(64).optional(),
  dryRun: z.boolean().default(false),
  /** `2026-11-21T03:00:00Z` or `in 10m`. */
  at: z.string().min(1).max(64).optional(),
  wait: waitQuery,
});

const checkSchema = z.object({
  code: z.string(),
  ok: z.boolean().nullable(),
  detail: z.string(),
  next: z.string(),
  blocking: z.boolean(),
});
const endpointSchema = z.object({ name: z.string(), host: z.string(), port: z.int() });

const planSchema = z
  .object({
    group: z.string(),
    dryRun: z.literal(true),
    possible: z.boolean(),
    from: endpointSchema.nullable(),
    to: endpointSchema.nullable(),
    because: z.string(),
    way: z.enum(['sentinel', 'coordinated', 'direct']),
    acting: endpointSchema.nullable(),
    predictedGapMs: z.number(),
    steps: z.array(z.string()),
    blockers: z.array(z.string()),
    checks: z.array(checkSchema),
  })
  .meta({ id: 'RedisSwitchoverPlan' });

/** Routes below `/v1/redis/groups/{group}` for planned switchovers. */
export const switchoverRoutes = (options: {
  readonly groups: Pick<Groups, 'list' | 'get'>;
  readonly operations: RedisOperations;
  readonly nowUnixMs: () => number;
}): Route[] => {
  const { groups, operations, nowUnixMs } = options;
  return [
    route({
      method: 'post',
      path: '/v1/redis/groups/:group/switchover',
      summary: 'Makes another node primary without losing a write; dryRun tells what would happen and every check',
      tags: ['redis'],
      // As long as anybody may wish to wait for the end.
      timeoutMs: 60_000,
      params,
      query: z.strictObject({ wait: waitQuery }),
      body,
      responses: {
        ...operationResponses,
        200: { description: 'It has ended within the time that was waited; or, of a dry run, the plan' },
        409: { description: 'Refused: why names each failed check' },
      },
      handle: async ({ params: { group: name }, query, body: asked }): Promise<Reply> => {
        const group = groups.get(name);
        if (group === undefined) return unknownGroup(name, groups);
        if (group.cluster !== null) {
          const wish = {
            group: name,
            to: asked.to,
            shard: asked.shard,
            dryRun: asked.dryRun,
            later: asked.at !== undefined,
          };
          return clusterSwitchover(group.cluster, wish, { operations, waitMs: query.wait ?? asked.wait ?? 0 });
        }
        if (asked.shard !== undefined) {
          return refuse('invalid_input', `group ${name} is no Redis Cluster: it has no shards`).error;
        }
        const at = parseAt(asked.at, nowUnixMs());
        if (!at.ok) return at.error;
        const to = asked.to ?? null;
        if (asked.dryRun) return { status: 200, body: planOf(name, await group.switchover.survey(to)) };
        const begun = await group.switchover.begin({ to, atUnixMs: at.value });
        return answerOperation(operations, begun, query.wait ?? asked.wait ?? 0);
      },
    }),
  ];
};

const planOf = (group: string, { facts, found }: SwitchoverSurvey): z.infer<typeof planSchema> => ({
  group,
  dryRun: true,
  possible: found.blockers.length === 0 && facts.managed,
  from: endpointOr(found.from),
  to: endpointOr(found.target),
  because: found.because,
  way: found.way,
  acting: endpointOr(found.acting),
  predictedGapMs: found.predictedGapMs,
  steps: [...switchoverWaits],
  blockers: found.blockers.map(({ code }) => code),
  checks: [...found.checks],
});

const endpointOr = (one: z.infer<typeof endpointSchema> | null): z.infer<typeof endpointSchema> | null =>
  one === null ? null : { name: one.name, host: one.host, port: one.port };
