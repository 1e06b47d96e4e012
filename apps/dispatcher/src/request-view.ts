// How does a request that went wrong look to people and programs outside?
import type { RequestOutcome } from '@switchyard/proxy';
import { z } from 'zod';

/** A request as the API shows it. */
export const outcomeSchema = z
  .object({
    requestId: z.string(),
    dispatcher: z.string().meta({ description: 'which one it came to' }),
    method: z.string(),
    target: z.string(),
    host: z.string(),
    route: z.string().nullable(),
    service: z.string().nullable(),
    end: z.enum(['answered', 'refused', 'cut', 'left']),
    status: z.int(),
    code: z.string().nullable(),
    why: z.array(z.string()),
    attempts: z.array(z.object({ instance: z.string(), outcome: z.string(), tookMs: z.number() })),
    started: z.iso.datetime(),
    tookMs: z.number(),
  })
  .meta({ id: 'RequestOutcome' });
export type OutcomeView = z.infer<typeof outcomeSchema>;

/** No key ever vanishes. */
export function outcomeView(outcome: RequestOutcome, dispatcher: string): OutcomeView {
  const { startedUnixMs, ...rest } = outcome;
  return {
    ...rest,
    dispatcher,
    route: rest.route ?? null,
    service: rest.service ?? null,
    code: rest.code ?? null,
    why: [...rest.why],
    attempts: rest.attempts.map(({ instance, outcome: what, tookMs }) => ({
      instance,
      outcome: what,
      tookMs: Math.round(tookMs),
    })),
    started: new Date(startedUnixMs).toISOString(),
    tookMs: Math.round(rest.tookMs),
  };
}
