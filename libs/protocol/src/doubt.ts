// What gives reason to ask an instance before its deadline passes? Somebody saw it fail, and says so on a channel.
import { z } from 'zod';
import { instanceIdSchema, serviceNameSchema } from './names.ts';

/** `connection-closed`: its liveness connection ended without a goodbye; the others: a dispatcher could not use it. */
export const doubtCauseSchema = z.enum(['connection-closed', 'connect-failed', 'request-timeout']);
export type DoubtCause = z.infer<typeof doubtCauseSchema>;

/**
 * Message on the channel `switchyard:doubt`. It evicts nobody: a monitor asks the instance itself. One that is lost changes only
 * how soon a death is seen.
 */
export const doubtSchema = z.strictObject({
  service: serviceNameSchema,
  id: instanceIdSchema,
  because: doubtCauseSchema,
  /** for people, about the instance: "it refuses connections" */
  detail: z.string().max(256),
  /** the process that saw it: two of them are two witnesses */
  witness: z.string().min(1).max(128),
});
export type Doubt = z.infer<typeof doubtSchema>;
