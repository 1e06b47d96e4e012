// Which endpoints change who belongs to a group? Rebuild, add and remove replicas; each with a dry run that shows what was looked at.
import { route, type Reply, type Route } from '@switchyard/http';
import {
  redisGroupNameSchema,
  refuse,
  restoreTargetSchema,
  type RedisNodeView,
  type Refusal,
  type RestoreTarget,
  type Result,
} from '@switchyard/protocol';
import {
  addressKey,
  planRefusal,
  rebuildPlan,
  removePlan,
  type Address,
  type Endpoint,
  type PlanCheck,
} from '@switchyard/replication';
import { z } from 'zod';
import { clusterAddNode, clusterRemoveNode } from '../cluster/cluster-routes.ts';
import type { Group } from '../group.ts';
import type { Groups } from '../groups/groups.ts';
import { onlyObserved } from '../health-policy/health-policy-routes.ts';
import { beginAdd, planAdd, type AddRequest } from './rebuild-add.ts';
import { beginRemove } from './rebuild-remove.ts';
import { workerCheck } from './rebuild-seed.ts';
import { beginRebuild } from './rebuild-work.ts';
import { answerOperation, operationResponses, waitQuery } from '../redis-operation-routes.ts';
import type { RedisOperations } from '../redis-operations.ts';
import { unknownGroup } from '../routes.ts';

const groupParams = z.object({ group: z.string().min(1).max(64) });
const nodeParams = groupParams.extend({ node: z.string().min(1).max(280) });
const query = z.strictObject({ wait: waitQuery });
const tags = ['redis'];
const path = '/v1/redis/groups/:group/nodes';
const timeoutMs = 60_000;

const addressSchema = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253}):\d{1,5}$/, 'must be host:port, such as 10.0.0.5:6379')
  .transform((text) => {
    const at = text.lastIndexOf(':');
    return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
  })
  .refine(({ port }) => port > 0 && port < 65_536, 'the port must be 1 to 65535');
const confirm = z.string().min(1).max(280).optional();
const dryRun = z.boolean().default(false);

const rebuildBody = z
  .strictObject({
    from: z.enum(['primary', 'backup']).default('primary'),
    /** An address: a fresh, empty server takes the place of the node. From a backup also a moment, as restores take it; now unless given. */
    to: z.union([addressSchema, restoreTargetSchema]).optional(),
    /** With `to`: the Sentinels forget the node that was replaced. */
    forget: z.boolean().default(false),
    /** Afterwards: a sample when there are many keys, or every key, which takes longer. */
    compare: z.enum(['sample', 'all']).default('sample'),
    confirm,
    dryRun,
  })
  .prefault({});
const addBody = z.strictObject({
  address: addressSchema,
  name: redisGroupNameSchema.optional(),
  /** The replica that it follows; the primary unless given. */
  of: z.string().min(1).max(280).optional(),
  /** Of a Redis Cluster: the primary, or a shard by its name. */
  replicaOf: z.string().min(1).max(280).optional(),
  priority: z.int().min(0).max(1_000).optional(),
  confirm,
  dryRun,
});
const removeBody = z.strictObject({ confirm, dryRun }).prefault({});

/** Routes below `/v1/redis/groups/{group}/nodes`. */
export const replicaRoutes = (groups: Pick<Groups, 'list' | 'get'>, operations: RedisOperations): Route[] => {
  const withNode = (
    named: { readonly group: string; readonly node: string },
    answer: (group: Group, node: RedisNodeView) => Reply | Promise<Reply>,
  ): Reply | Promise<Reply> => {
    const group = groups.get(named.group);
    if (group === undefined) return unknownGroup(named.group, groups);
    if (group.definition.input.kind === 'cluster') return clusterRefusal(named.group);
    const node = nodeOf(group, named.node);
    return node.ok ? answer(group, node.value) : node.error;
  };
  return [
    route({
      method: 'post',
      path: `${path}/:node/rebuild`,
      summary: 'Lets a replica copy everything anew, or a fresh server take its place',
      tags,
      params: nodeParams,
      query,
      body: rebuildBody,
      responses: operationResponses,
      timeoutMs,
      handle: ({ params, query: { wait = 0 }, body }) =>
        withNode(params, (group, node) => rebuild({ group, operations, node, body, waitMs: wait })),
    }),
    route({
      method: 'post',
      path,
      summary: 'Adds a server as a replica, of the primary or of another replica',
      tags,
      params: groupParams,
      query,
      body: addBody,
      responses: operationResponses,
      timeoutMs,
      handle: ({ params, query: { wait = 0 }, body }) => {
        const group = groups.get(params.group);
        if (group === undefined) return unknownGroup(params.group, groups);
        if (group.cluster !== null) {
          const asked = { address: body.address, replicaOf: body.replicaOf ?? body.of };
          return clusterAddNode(group.cluster, asked, { operations, waitMs: wait });
        }
        return add({ group, operations, body, waitMs: wait });
      },
    }),
    route({
      method: 'delete',
      path: `${path}/:node`,
      summary: 'Takes a replica out of the group; the Sentinels forget it one after the other',
      tags,
      params: nodeParams,
      query,
      body: removeBody,
      responses: operationResponses,
      timeoutMs,
      handle: ({ params, query: { wait = 0 }, body }) => {
        const cluster = groups.get(params.group)?.cluster ?? null;
        if (cluster !== null) {
          const asked = { node: params.node, confirm: body.confirm };
          return clusterRemoveNode(cluster, asked, { operations, waitMs: wait });
        }
        return withNode(params, async (group, node) => {
          const plan = removePlan(node, group.rebuilds.group());
          const confirmed = body.confirm === node.name;
          if (body.dryRun) return dryReply(group, { node: plan.node, checks: plan.checks, confirmed });
          if (!group.tools.manages) return onlyObserved(group.definition.name);
          return answerOperation(operations, await beginRemove(group.rebuilds, node, confirmed), wait);
        });
      },
    }),
  ];
};

const rebuild = async (asked: {
  readonly group: Group;
  readonly operations: RedisOperations;
  readonly node: RedisNodeView;
  readonly body: z.output<typeof rebuildBody>;
  readonly waitMs: number;
}): Promise<Reply> => {
  const { group, operations, node, body, waitMs } = asked;
  const { address, moment } = placeAndMoment(body.to);
  if (moment !== undefined && body.from !== 'backup') {
    return refuse('invalid_input', 'only a rebuild from a backup has a moment', {
      next: 'add "from": "backup", or give the address of a fresh server in "to"',
    }).error;
  }
  const backup: RestoreTarget | undefined = body.from === 'backup' ? (moment ?? { time: 'now' }) : undefined;
  const confirmed = body.confirm === node.name;
  if (address !== undefined) {
    if (node.role === 'primary') return primaryRefusal(node);
    const at: Endpoint = { ...address, name: addressKey(address) };
    const request: AddRequest = {
      at,
      backup,
      of: null,
      confirmed: body.confirm === addressKey(at),
      ...(body.forget ? { forget: node } : {}),
    };
    return beginOrPlan({ group, operations, request, dryRun: body.dryRun, waitMs });
  }
  if (body.dryRun) {
    const plan = rebuildPlan(node, group.rebuilds.group());
    const checks = [...plan.checks, ...(backup === undefined ? [] : [await workerCheck(group.rebuilds)])];
    return dryReply(group, { ...plan, checks, confirmed });
  }
  if (!group.tools.manages) return onlyObserved(group.definition.name);
  return answerOperation(
    operations,
    await beginRebuild(group.rebuilds, node, { confirmed, compareAll: body.compare === 'all', backup }),
    waitMs,
  );
};

type RebuildTo = z.output<typeof rebuildBody>['to'];

/** `to` names one or the other. */
const placeAndMoment = (to: RebuildTo): { readonly address?: Address; readonly moment?: RestoreTarget } => {
  if (to === undefined) return {};
  return 'host' in to ? { address: to } : { moment: to };
};

const add = async (asked: {
  readonly group: Group;
  readonly operations: RedisOperations;
  readonly body: z.output<typeof addBody>;
  readonly waitMs: number;
}): Promise<Reply> => {
  const { group, operations, body, waitMs } = asked;
  const of = body.of === undefined ? null : nodeOf(group, body.of);
  if (of !== null && !of.ok) return of.error;
  const at: Endpoint = { ...body.address, name: body.name ?? addressKey(body.address) };
  const request: AddRequest = {
    at,
    of: of === null ? null : of.value,
    confirmed: body.confirm === addressKey(at),
    ...(body.priority === undefined ? {} : { priority: body.priority }),
  };
  return beginOrPlan({ group, operations, request, dryRun: body.dryRun, waitMs });
};

const beginOrPlan = async (asked: {
  readonly group: Group;
  readonly operations: RedisOperations;
  readonly request: AddRequest;
  readonly dryRun: boolean;
  readonly waitMs: number;
}): Promise<Reply> => {
  const { group, operations, request, dryRun: dry, waitMs } = asked;
  if (dry) {
    const plan = await planAdd(group.rebuilds, request);
    const checks = [...plan.checks, ...(request.backup === undefined ? [] : [await workerCheck(group.rebuilds)])];
    return dryReply(group, { ...plan, checks, confirmed: request.confirmed });
  }
  if (!group.tools.manages) return onlyObserved(group.definition.name);
  return answerOperation(operations, await beginAdd(group.rebuilds, request), waitMs);
};

/** What was looked at, and what would be answered without the dry run. */
const dryReply = (
  group: Group,
  plan: { readonly node: Endpoint; readonly checks: readonly PlanCheck[]; readonly confirmed: boolean },
): Reply => {
  const { checks, confirmed, ...facts } = plan;
  const refusal = planRefusal(checks, confirmed) ?? (group.tools.manages ? null : onlyObserved(group.definition.name));
  return {
    status: 200,
    body: { group: group.definition.name, dryRun: true, ...facts, checks, ok: refusal === null, refusal },
  };
};

const nodeOf = (group: Group, name: string): Result<RedisNodeView> => {
  const { nodes } = group.view();
  const node = nodes.find((one) => one.name === name || addressKey(one) === name);
  return node === undefined
    ? refuse('not_found', `there is no node ${name} in the group ${group.definition.name}`, {
        next: `known nodes: ${nodes.map((one) => one.name).join(', ')}`,
      })
    : { ok: true, value: node };
};

const primaryRefusal = ({ name }: RedisNodeView): Refusal =>
  refuse('conflict', `${name} is primary`, {
    next: 'make another node primary first: POST /v1/redis/groups/{group}/switchover',
  }).error;

const clusterRefusal = (group: string): Refusal =>
  refuse('not_implemented', `${group} is a Redis Cluster: its nodes join and leave by its own commands`, {
    next: 'see the endpoints for shards, or redis-cli --cluster add-node and del-node',
  }).error;
