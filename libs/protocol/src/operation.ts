// How is long work followed? 202 with `Location: /v1/operations/{id}`, then this document.
import { z } from 'zod';
import { problemSchema } from './problem.ts';

export const operationSchema = z
  .object({
    id: z.string(),
    kind: z.string(),
    subject: z.string(),
    state: z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']),
    percent: z.number().min(0).max(100),
    etaSeconds: z.number().nullable(),
    createdAt: z.iso.datetime(),
    startedAt: z.iso.datetime().nullable(),
    finishedAt: z.iso.datetime().nullable(),
    steps: z.array(
      z.object({
        name: z.string(),
        state: z.enum(['waiting', 'running', 'done', 'failed']),
        detail: z.string().nullable(),
      }),
    ),
    result: z.record(z.string(), z.unknown()).nullable(),
    problem: problemSchema.nullable(),
  })
  .meta({ id: 'Operation' });
export type Operation = z.infer<typeof operationSchema>;
