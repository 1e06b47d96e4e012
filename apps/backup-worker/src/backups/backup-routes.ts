// Which endpoints do backups have?
import { route, type Route } from '@switchyard/http';
import {
  backupLabelSchema,
  backupRequestSchema,
  backupViewSchema,
  operationSchema,
  plainNameSchema,
  refuse,
} from '@switchyard/protocol';
import { viewBackup, viewOperation, type OperationRecord } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';
import type { BackupQueue } from './backup-queue.ts';
import type { BackupRepository } from '../repository/backup-repository.ts';

const inGroup = z.object({ group: plainNameSchema.optional() });
const place = z.object({ label: backupLabelSchema });

const listSchema = z.object({
  backups: z.array(backupViewSchema),
  problems: z.array(z.object({ path: z.string(), detail: z.string() })),
});
/** Routes for `/v1/backups`. `group` is the one that this worker backs up. */
export function backupRoutes(options: {
  readonly repository: BackupRepository;
  readonly queue: BackupQueue;
  readonly group: string;
  /** Why no backup of the group can be taken at all; null when one can. */
  readonly cannot: string | null;
  readonly clock: Clock;
}): Route[] {
  const { repository, queue, group, cannot, clock } = options;
  const accepted = (record: OperationRecord): { status: number; body: unknown; headers: Record<string, string> } => ({
    status: 202,
    body: viewOperation(record, clock.unixMs()),
    headers: { location: `/v1/operations/${record.id}` },
  });

  return [
    route({
      method: 'get',
      path: '/v1/backups',
      summary: 'All backups, newest first, and what in the repository cannot be used',
      tags: ['backups'],
      query: inGroup,
      responses: { 200: { description: 'The backups', schema: listSchema } },
      handle: async ({ query }) => {
        const { backups, problems } = await repository.list(query.group);
        return { status: 200, body: { backups: backups.map(viewBackup), problems } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/backups',
      summary: 'Takes a backup now',
      tags: ['backups'],
      body: backupRequestSchema.prefault({}),
      responses: {
        202: { description: 'It is queued; Location names the operation to follow', schema: operationSchema },
      },
      handle: async ({ body }) => {
        if (body.group !== group)
          return refuse('not_found', `There is no group ${body.group} here.`, {
            next: `This worker backs up ${group}.`,
          }).error;
        if (cannot !== null) {
          return refuse('not_implemented', `There can be no backup of ${group}: ${cannot}.`).error;
        }
        const submitted = await queue.submit({ task: 'backup', group });
        return submitted.ok ? accepted(submitted.value) : submitted.error;
      },
    }),
    route({
      method: 'get',
      path: '/v1/backups/:label',
      summary: 'One backup with its manifest and its latest verification',
      tags: ['backups'],
      params: place,
      query: inGroup,
      responses: { 200: { description: 'The backup', schema: backupViewSchema } },
      handle: async ({ params, query }) => {
        const found = await repository.find(params.label, query.group);
        return found.ok ? { status: 200, body: viewBackup(found.value) } : found.error;
      },
    }),
    route({
      method: 'post',
      path: '/v1/backups/:label/verify',
      summary: 'Proves a backup again: hashes, then loading, counting and digesting',
      tags: ['backups'],
      params: place,
      query: inGroup,
      responses: {
        202: { description: 'It is queued; Location names the operation to follow', schema: operationSchema },
      },
      handle: async ({ params, query }) => {
        const found = await repository.find(params.label, query.group);
        if (!found.ok && found.error.code === 'not_found') return found.error;
        const within = query.group === undefined ? {} : { group: query.group };
        const submitted = await queue.submit({ task: 'verify', label: params.label, ...within });
        return submitted.ok ? accepted(submitted.value) : submitted.error;
      },
    }),
  ];
}
