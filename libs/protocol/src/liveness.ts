// What is said on a liveness connection? One JSON document a line, both ways. It is opened by HTTP/1.1 Upgrade on
// `GET /v1/liveness` of a registry, and its end without a goodbye is the fastest sign that an instance has died.
import { z } from 'zod';
import { instanceIdSchema, serviceNameSchema } from './names.ts';
import { loadReportSchema, roleSchema } from './instance.ts';

/** Path and protocol of the upgrade. */
export const livenessPath = '/v1/liveness';
export const livenessProtocol = 'switchyard-liveness';
/** A longer line ends the connection. */
export const longestLivenessLine = 4096;

/** From an agent. `hello` comes first and once; `bye` means that the end of the connection is no sign of death. */
export const livenessRequestSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('hello'), service: serviceNameSchema, id: instanceIdSchema }),
  z.strictObject({ type: z.literal('beat'), load: loadReportSchema.optional() }),
  z.strictObject({ type: z.literal('bye') }),
]);
export type LivenessRequest = z.infer<typeof livenessRequestSchema>;

/**
 * From a registry. `heard` and `unknown` answer the beats, in order (`unknown`: register again); `failed`: Redis could not be asked,
 * beat elsewhere or again. `suspected`: beat at once to refute it. `role`: what the instance is now in an active/standby service,
 * with its fencing token; sent after the hello and at each change.
 */
export const livenessReplySchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('heard') }),
  z.object({ type: z.literal('unknown') }),
  z.object({ type: z.literal('failed'), detail: z.string() }),
  z.object({ type: z.literal('suspected'), reason: z.string() }),
  z.object({ type: z.literal('role'), role: roleSchema, fencingToken: z.int().optional() }),
]);
export type LivenessReply = z.infer<typeof livenessReplySchema>;
