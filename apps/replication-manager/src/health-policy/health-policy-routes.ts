// Which endpoints does the health policy have? What could be set better, and: set it.
import { route, type Reply, type Route } from '@switchyard/http';
import { refuse, type Refusal } from '@switchyard/protocol';
import { watchedSettings, type SettingAdvice } from '@switchyard/replication';
import { z } from 'zod';
import type { Group } from '../group.ts';
import type { Groups } from '../groups/groups.ts';
import { applySettings, settable, type Settable } from './health-policy-apply.ts';
import { answerOperation, operationResponses, waitQuery } from '../redis-operation-routes.ts';
import type { RedisOperations } from '../redis-operations.ts';
import { unknownGroup } from '../routes.ts';

const params = z.object({ group: z.string().min(1).max(64) });
const tags = ['redis'];
const path = '/v1/redis/groups/:group';

const adviceSchema = z
  .object({
    node: z.string(),
    setting: z.string(),
    present: z.string(),
    /** null when it cannot be set from here */
    proposed: z.string().nullable(),
    code: z.string(),
    level: z.enum(['advice', 'note']),
    reason: z.string(),
  })
  .meta({ id: 'RedisSettingAdvice' });

const settingsAdviceSchema = z
  .object({
    group: z.string(),
    /** of the stream of the primary; peak = the busiest ten seconds lately */
    writeRate: z.object({ nowBytesPerSecond: z.number().nullable(), peakBytesPerSecond: z.number().nullable() }),
    allowedOutageMs: z.number(),
    advice: z.array(adviceSchema),
    nodes: z.array(
      z.object({
        name: z.string(),
        role: z.enum(['primary', 'replica']).nullable(),
        settings: z.record(z.string(), z.string()).nullable(),
        vitals: z.record(z.string(), z.unknown()).nullable(),
        machine: z.record(z.string(), z.unknown()).nullable(),
      }),
    ),
  })
  .meta({ id: 'RedisSettingsAdvice' });

const setBody = z.strictObject({
  apply: z.union([
    z.literal('all'),
    z
      .array(z.enum(watchedSettings as readonly [string, ...string[]]))
      .min(1)
      .max(32),
  ]),
  dryRun: z.boolean().default(false),
});

/** Routes below `/v1/redis/groups/{group}` for settings. */
export const healthPolicyRoutes = (groups: Pick<Groups, 'list' | 'get'>, operations: RedisOperations): Route[] => [
  route({
    method: 'get',
    path: `${path}/settings-advice`,
    summary: 'Which settings would keep data or time, with present and proposed values and the reason for each',
    tags,
    params,
    query: z.strictObject({}),
    responses: { 200: { description: 'The advice', schema: settingsAdviceSchema } },
    handle: ({ params: { group } }) => {
      const one = groups.get(group);
      return one === undefined ? unknownGroup(group, groups) : { status: 200, body: adviceOf(one) };
    },
  }),
  route({
    method: 'post',
    path: `${path}/settings`,
    summary:
      'Sets what is proposed, on each node that needs it: compares, sets, reads back, writes its configuration file',
    tags,
    params,
    query: z.strictObject({ wait: waitQuery }),
    body: setBody,
    responses: operationResponses,
    handle: ({ params: { group }, query, body }) => {
      const one = groups.get(group);
      if (one === undefined) return unknownGroup(group, groups);
      return set(one, operations, { ...body, waitMs: query.wait ?? 0 });
    },
  }),
];

const adviceOf = ({ definition, health }: Group): z.infer<typeof settingsAdviceSchema> => {
  const input = health.input();
  const rate = health.rate();
  return {
    group: definition.name,
    writeRate: {
      nowBytesPerSecond: rate?.nowBytesPerSecond ?? null,
      peakBytesPerSecond: rate?.peakBytesPerSecond ?? null,
    },
    allowedOutageMs: input.allowedOutageMs,
    advice: health.advice().map(adviceView),
    nodes: input.nodes.map(({ name, role, settings, vitals, machine }) => ({
      name,
      role,
      settings: settings === null ? null : { ...settings },
      vitals: vitals === null ? null : { ...vitals },
      machine: machine === null ? null : { ...machine },
    })),
  };
};

const adviceView = ({ node, setting, present, proposed, code, level, reason }: SettingAdvice) => ({
  node: node.name,
  setting,
  present,
  proposed,
  code,
  level,
  reason,
});

const set = async (
  group: Group,
  operations: RedisOperations,
  asked: { readonly apply: readonly string[] | 'all'; readonly dryRun: boolean; readonly waitMs: number },
): Promise<Reply> => {
  const { tools, health, definition } = group;
  const plan = settable(health.advice(), { apply: asked.apply, primary: group.view().primary?.name ?? null });
  if (asked.dryRun)
    return { status: 200, body: { group: definition.name, dryRun: true, changes: plan.map(adviceView) } };
  if (!tools.manages) return onlyObserved(definition.name);
  if (plan.length === 0) return nothingToDo(asked.apply);
  const held = await tools.gate.begin('settings');
  if (!held.ok) return held.error;
  const begun = operations.begin({
    kind: 'settings',
    subject: definition.name,
    steps: [...new Set(plan.map(({ node }) => node.name))],
    work: (run) =>
      applySettings(tools, plan satisfies readonly Settable[], run)
        .then(asResult)
        .finally(() => held.value.release()),
  });
  if (!begun.ok) held.value.release();
  return answerOperation(operations, begun, asked.waitMs);
};

const asResult = (outcome: Awaited<ReturnType<typeof applySettings>>) =>
  outcome.ok ? { ok: true as const, value: { ...outcome.value } } : outcome;

const nothingToDo = (apply: readonly string[] | 'all'): Refusal =>
  refuse('conflict', apply === 'all' ? 'there is nothing to set' : `nothing is proposed for ${apply.join(', ')}`, {
    next: 'GET .../settings-advice lists what is proposed; other values are set by hand with CONFIG SET',
  }).error;

/** The refusal for work on a group that is only observed. */
export const onlyObserved = (name: string): Refusal =>
  refuse('refused_for_safety', `the group ${name} is only observed: nothing of it is changed`, {
    next: `PUT /v1/redis/groups/${name} with "manage": "manage", or SWITCHYARD_REPLICATION_MANAGE=manage for the group of the settings`,
  }).error;
