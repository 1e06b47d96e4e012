// Which endpoints are there for what former primaries had alone?
import { route, type Reply, type Route } from '@switchyard/http';
import { refuse } from '@switchyard/protocol';
import { z } from 'zod';
import type { Groups } from '../groups/groups.ts';
import { unknownGroup } from '../routes.ts';
import { storedSalvageSchema } from './salvage-store.ts';
import { mergedSchema, type Salvages } from './salvages.ts';

const tags = ['redis'];
const path = '/v1/redis/groups/:group/salvages';
const params = z.object({ group: z.string().min(1).max(64) });
const named = params.extend({ id: z.string().min(1).max(128) });
const mergeInput = z
  .strictObject({
    keys: z.array(z.string().min(1)).min(1).max(1_000).optional(),
    overwrite: z.boolean().default(false),
    dryRun: z.boolean().default(false),
  })
  .optional();
/** A copy has to be loaded and compared. */
const timeoutMs = 180_000;

/** Routes below `/v1/redis/groups/{group}/salvages`. */
export const salvageRoutes = (groups: Pick<Groups, 'list' | 'get'>): Route[] => {
  const inGroup = async (name: string, answer: (salvages: Salvages) => Promise<Reply>): Promise<Reply> => {
    const group = groups.get(name);
    return group === undefined ? unknownGroup(name, groups) : answer(group.enforcement.salvages);
  };
  const unknown = (id: string, group: string): Reply =>
    refuse('not_found', `there is no salvage ${id}`, { next: `GET /v1/redis/groups/${group}/salvages lists them` })
      .error;
  return [
    route({
      method: 'get',
      path,
      summary: 'Copies of what former primaries had alone, newest first',
      tags,
      params,
      query: z.strictObject({}),
      responses: { 200: { description: 'The copies', schema: z.object({ salvages: z.array(storedSalvageSchema) }) } },
      handle: ({ params: { group } }) =>
        inGroup(group, async (salvages) => ({ status: 200, body: { salvages: [...(await salvages.list())] } })),
    }),
    route({
      method: 'get',
      path: `${path}/:id`,
      summary: 'One copy; with compare=true it is compared with the present primary first',
      tags,
      params: named,
      query: z.strictObject({ compare: z.enum(['true', 'false']).default('false') }),
      responses: { 200: { description: 'The copy', schema: storedSalvageSchema } },
      timeoutMs,
      handle: ({ params: { group, id }, query }) =>
        inGroup(group, async (salvages) => {
          const compared = query.compare === 'true' ? await salvages.compare(id) : null;
          if (compared?.ok === false) return compared.error;
          const salvage = await salvages.get(id);
          return salvage === undefined ? unknown(id, group) : { status: 200, body: salvage };
        }),
    }),
    route({
      method: 'post',
      path: `${path}/:id/merge`,
      summary:
        'Writes keys of the copy to the present primary, with their time to live; what is there stays unless overwrite',
      tags,
      params: named,
      query: z.strictObject({}),
      body: mergeInput,
      responses: { 200: { description: 'What was done, or with dryRun would be', schema: mergedSchema } },
      timeoutMs,
      handle: ({ params: { group, id }, body }) =>
        inGroup(group, async (salvages) => {
          const merged = await salvages.merge(id, body ?? { overwrite: false, dryRun: false });
          return merged.ok ? { status: 200, body: merged.value } : merged.error;
        }),
    }),
    route({
      method: 'delete',
      path: `${path}/:id`,
      summary: 'Removes a copy for good',
      tags,
      params: named,
      query: z.strictObject({}),
      responses: { 204: { description: 'It is gone' } },
      handle: ({ params: { group, id } }) =>
        inGroup(group, async (salvages) => ((await salvages.remove(id)) ? { status: 204 } : unknown(id, group))),
    }),
  ];
};
