// What does an error look like over HTTP? RFC 9457 problem details, with the reason and the next step as data.
import { z } from 'zod';
import { errorTable } from './errors.ts';
import type { Refusal } from './result.ts';

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().optional(),
    code: z.string(),
    why: z.array(z.string()),
    next: z.string(),
    requestId: z.string().optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problemSchema>;

export const problemMediaType = 'application/problem+json';

/** The problem document of a refusal. `instance` is the request target it belongs to. */
export function problemOf(refusal: Refusal, where: { instance?: string; requestId?: string } = {}): Problem {
  const { status, title, next } = errorTable[refusal.code];
  return {
    type: `urn:switchyard:error:${refusal.code}`,
    title,
    status,
    detail: refusal.detail,
    ...(where.instance === undefined ? {} : { instance: where.instance }),
    code: refusal.code,
    why: [...(refusal.why ?? [])],
    next: refusal.next ?? next,
    ...(where.requestId === undefined ? {} : { requestId: where.requestId }),
  };
}
