// Which endpoints does retention have? What would go and why, its carrying out, and pins against it.
import { route, type Route } from '@switchyard/http';
import { backupLabelSchema, plainNameSchema, pruneRequestSchema, pruneViewSchema } from '@switchyard/protocol';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';
import type { BackupRepository } from '../repository/backup-repository.ts';
import type { Pins } from '../repository/pins.ts';
import type { Pruner } from './prune.ts';

const inGroup = z.object({ group: plainNameSchema.optional() });
const place = z.object({ label: backupLabelSchema });
const pinBody = z.strictObject({ reason: z.string().max(500).optional() });
const pinSchema = z.object({ group: z.string(), label: z.string(), pinned: z.boolean() });

/** Routes of retention. */
export function pruneRoutes(options: {
  readonly repository: BackupRepository;
  readonly prune: Pruner;
  readonly pins: Pins;
  readonly clock: Clock;
}): Route[] {
  const { repository, prune, pins, clock } = options;

  return [
    route({
      method: 'post',
      path: '/v1/backups/prune',
      summary: 'Removes what the retention rules do not keep; with dryRun only says what that is',
      tags: ['backups'],
      body: pruneRequestSchema.prefault({}),
      responses: { 200: { description: 'What goes, what stays, and why', schema: pruneViewSchema } },
      handle: async ({ body, signal }) => ({
        status: 200,
        body: await prune(body.group, { dryRun: body.dryRun, signal }),
      }),
    }),
    route({
      method: 'put',
      path: '/v1/backups/:label/pin',
      summary: 'Keeps a backup whatever the retention rules say',
      tags: ['backups'],
      params: place,
      query: inGroup,
      body: pinBody.prefault({}),
      responses: { 200: { description: 'It is pinned', schema: pinSchema } },
      handle: async ({ params, query, body, signal }) => {
        const found = await repository.find(params.label, query.group);
        if (!found.ok) return found.error;
        const { group, label } = found.value.manifest;
        const reason = body.reason === undefined ? {} : { reason: body.reason };
        await pins.pin({ group, label }, { atMs: clock.unixMs(), ...reason }, signal);
        return { status: 200, body: { group, label, pinned: true } };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/backups/:label/pin',
      summary: 'Leaves a backup to the retention rules again',
      tags: ['backups'],
      params: place,
      query: inGroup,
      responses: { 200: { description: 'It is not pinned', schema: pinSchema } },
      handle: async ({ params, query, signal }) => {
        const found = await repository.find(params.label, query.group);
        if (!found.ok) return found.error;
        const { group, label } = found.value.manifest;
        await pins.unpin({ group, label }, signal);
        return { status: 200, body: { group, label, pinned: false } };
      },
    }),
  ];
}
