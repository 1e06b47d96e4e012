// How are groups of Redis nodes added, changed, shown and removed while the manager runs?
import { route, type Reply, type Route } from '@switchyard/http';
import {
  ok,
  redisGroupInputSchema,
  redisGroupNameSchema,
  redisGroupSettingsSchema,
  refuse,
  type RedisGroupInput,
  type Result,
} from '@switchyard/protocol';
import { z } from 'zod';
import { putGroup, removeGroup, type ChangeSurroundings, type GroupChange } from './groups-change.ts';
import type { Group } from '../group.ts';
import { publicSettings } from './groups-definition.ts';
import { unknownGroup } from '../routes.ts';

const tags = ['redis'];
const path = '/v1/redis/groups/:group';
const params = z.object({ group: redisGroupNameSchema });
/** Everybody is asked with deadlines of seconds, then Sentinels need a moment to find each other. */
const putTimeoutMs = 45_000;

const settingsSchema = z
  .object({
    group: z.string(),
    revision: z.int(),
    /** `settings`: the group that the control plane itself lives on */
    source: z.enum(['settings', 'api']),
    settings: redisGroupSettingsSchema,
    /** which secrets are set; they are never shown */
    secrets: z.array(z.enum(['password', 'sentinelPassword'])),
  })
  .meta({ id: 'RedisGroupSettingsOf' });

const changeSchema = settingsSchema
  .extend({
    change: z.enum(['created', 'changed', 'unchanged', 'none']),
    admission: z
      .object({
        admitted: z.boolean(),
        problems: z.array(z.object({ code: z.string(), weight: z.string(), detail: z.string(), next: z.string() })),
        primary: z.string().nullable(),
        nodes: z.array(z.string()),
        sentinels: z.array(z.string()),
        provision: z.array(z.object({ sentinel: z.string(), commands: z.array(z.string()) })),
      })
      .nullable(),
    provisioning: z
      .object({
        ok: z.boolean(),
        tookMs: z.number(),
        sentinels: z.array(z.object({ sentinel: z.string(), told: z.array(z.string()), error: z.string().nullable() })),
        checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
      })
      .nullable(),
  })
  .meta({ id: 'RedisGroupChange' });

/** Routes that change which groups there are. */
export const groupRoutes = (surroundings: ChangeSurroundings): Route[] => {
  const { groups } = surroundings;
  return [
    route({
      method: 'put',
      path,
      summary:
        'Adds or changes a group; everybody that it names is asked first, and with dryRun=true nothing else happens',
      tags,
      params,
      query: z.strictObject({ dryRun: z.enum(['true', 'false']).default('false') }),
      body: redisGroupInputSchema,
      timeoutMs: putTimeoutMs,
      responses: {
        200: { description: 'It is as it was, or was changed, or would be', schema: changeSchema },
        201: { description: 'It is looked after from now on', schema: changeSchema },
        409: { description: 'It is not taken on; why names each reason with its fix' },
      },
      handle: async ({ params: { group: name }, query, body: input, headers }) => {
        const ifMatch = ifMatchOf(headers['if-match']);
        if (!ifMatch.ok) return ifMatch.error;
        const dryRun = query.dryRun === 'true';
        const outcome = await putGroup(surroundings, { name, input, dryRun, ifMatch: ifMatch.value });
        if (!outcome.ok) {
          const { refusal, admission } = outcome.error;
          return { refusal, ...(admission === null ? {} : { extensions: { admission } }) };
        }
        const { change } = outcome.value;
        return shown(surroundings, name, { input, change: outcome.value, status: change === 'created' ? 201 : 200 });
      },
    }),
    route({
      method: 'delete',
      path,
      summary: 'Stops looking after a group; its nodes and Sentinels stay as they are',
      tags,
      params,
      query: z.strictObject({}),
      responses: {
        204: { description: 'It is not looked after any more' },
        409: { description: 'It cannot be removed' },
      },
      handle: async ({ params: { group: name }, headers }) => {
        const ifMatch = ifMatchOf(headers['if-match']);
        if (!ifMatch.ok) return ifMatch.error;
        if (groups.get(name) === undefined) return unknownGroup(name, groups);
        const removed = await removeGroup(surroundings, { name, ifMatch: ifMatch.value });
        return removed.ok ? { status: 204 } : removed.error;
      },
    }),
    route({
      method: 'get',
      path: `${path}/settings`,
      summary: 'What is wanted of a group, without secrets; PUT takes it back when the secrets are added',
      tags,
      params: z.object({ group: z.string().min(1).max(64) }),
      query: z.strictObject({}),
      responses: { 200: { description: 'The settings', schema: settingsSchema } },
      handle: ({ params: { group: name } }) => {
        const group = groups.get(name);
        if (group === undefined) return unknownGroup(name, groups);
        return { status: 200, body: settingsOf(surroundings, group), headers: etagOf(surroundings, name) };
      },
    }),
  ];
};

const etagOf = ({ groups }: ChangeSurroundings, name: string): Record<string, string> => ({
  etag: `"${String(groups.kept(name)?.revision ?? 0)}"`,
});

const settingsOf = ({ groups }: ChangeSurroundings, { definition }: Group): z.infer<typeof settingsSchema> => ({
  group: definition.name,
  revision: groups.kept(definition.name)?.revision ?? 0,
  source: definition.name === groups.ownName ? 'settings' : 'api',
  ...publicOf(definition.input, definition.settings),
});

type Secrets = Partial<Pick<RedisGroupInput, 'password' | 'sentinelPassword'>>;

const publicOf = (
  input: RedisGroupInput,
  secrets: Secrets,
): Pick<z.infer<typeof settingsSchema>, 'settings' | 'secrets'> => ({
  settings: publicSettings(input),
  secrets: (['password', 'sentinelPassword'] as const).filter((name) => secrets[name] !== undefined),
});

const shown = (
  surroundings: ChangeSurroundings,
  name: string,
  done: { readonly input: RedisGroupInput; readonly change: GroupChange; readonly status: number },
): Reply => {
  const group = surroundings.groups.get(name);
  const { change, revision, admission, provisioning } = done.change;
  const isKept = group !== undefined && change !== 'none';
  const settings = isKept
    ? settingsOf(surroundings, group)
    : { group: name, revision, source: 'api' as const, ...publicOf(done.input, done.input) };
  const headers = change === 'none' ? {} : etagOf(surroundings, name);
  return { status: done.status, body: { ...settings, change, admission, provisioning }, headers };
};

/** `If-Match: "<revision>"` (RFC 9110 13.1.1). */
const ifMatchOf = (given: string | undefined): Result<number | 'existing' | undefined> => {
  const text = given?.trim();
  if (text === undefined) return ok(undefined);
  if (text === '*') return ok('existing');
  const revision = /^"?(\d{1,15})"?$/.exec(text)?.[1];
  return revision === undefined
    ? refuse('invalid_input', `If-Match is not one ETag: ${text.slice(0, 80)}`, {
        why: ['If-Match: must be the ETag of the group, such as "4"'],
      })
    : ok(Number(revision));
};
