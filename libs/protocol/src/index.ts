export { errorTable, isErrorCode } from './errors.ts';
export type { ErrorCode } from './errors.ts';
export { ok, refuse, RefusalError } from './result.ts';
export type { Refusal, Result } from './result.ts';
export { decode, decodeJson, faultsOf } from './decode.ts';
export { durationSchema, formatDurationMs, parseDurationMs } from './duration.ts';
export {
  hostSchema,
  instanceIdSchema,
  memberOf,
  plainNameSchema,
  portSchema,
  serviceNameSchema,
  splitMember,
} from './names.ts';
export { channels, keys, leases, platformService, queues } from './keys.ts';
