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
export { checkSchema } from './check.ts';
export type { Check } from './check.ts';
export {
  heartbeatBodySchema,
  heartbeatMessageSchema,
  instanceInputSchema,
  instancePatchSchema,
  instanceUrlSchema,
  instanceViewSchema,
  intentSchema,
  livenessSchema,
  loadReportSchema,
  OWN_DRAIN_REASON,
  registerMessageSchema,
  roleSchema,
  storedInstanceSchema,
} from './instance.ts';
export type {
  HeartbeatMessage,
  Instance,
  InstanceInput,
  InstancePatch,
  InstanceView,
  Intent,
  Liveness,
  LoadReport,
  RegisterMessage,
  Role,
  StoredInstance,
} from './instance.ts';
export {
  heartbeatBatchAnswerSchema,
  heartbeatBatchSchema,
  largestHeartbeatBatch,
  observedInstanceSchema,
  storedLoadSchema,
} from './load.ts';
export type { HeartbeatBatch, ObservedInstance, StoredLoad } from './load.ts';
export { instanceWhySchema } from './why.ts';
export type { InstanceWhy } from './why.ts';
export { doubtCauseSchema, doubtSchema } from './doubt.ts';
export type { Doubt, DoubtCause } from './doubt.ts';
export { createLineReader } from './line-reader.ts';
export type { LineReader } from './line-reader.ts';
export {
  livenessPath,
  livenessProtocol,
  livenessReplySchema,
  livenessRequestSchema,
  longestLivenessLine,
} from './liveness.ts';
export type { LivenessReply, LivenessRequest } from './liveness.ts';
export {
  activationHookSchema,
  activationSchema,
  activeViewSchema,
  fenceBodySchema,
  fenceViewSchema,
  handoverBodySchema,
  handoverViewSchema,
  onActivateSchema,
} from './activation.ts';
export type { Activation, ActivationHook, ActiveView, HandoverBody, OnActivate } from './activation.ts';
export {
  defaultServicePolicy,
  policyNameSchema,
  servicePolicySchema,
  serviceViewSchema,
  storedServiceSchema,
} from './service.ts';
export type { PolicyName, ServicePolicy, ServiceView } from './service.ts';
export {
  DISPATCHER_LIVE_MS,
  DISPATCHER_STALE_MS,
  dispatcherDrainsSchema,
  dispatcherStateSchema,
  drainViewSchema,
  instanceTrafficSchema,
} from './dispatcher.ts';
export type { DispatcherDrains, DispatcherState, DrainView, InstanceTraffic } from './dispatcher.ts';
export { defaultRoute, routeViewSchema, storedRouteSchema, trafficRouteSchema } from './route.ts';
export type { RouteView, TrafficRoute } from './route.ts';
export { eventDataSchemas, eventSchema, eventTypes, evidenceSchema } from './event.ts';
export type { EventData, EventType, Evidence, NewEvent, SwitchyardEvent } from './event.ts';
export {
  redisCheckInputSchema,
  redisCheckSchema,
  redisCheckSummarySchema,
  redisKeyDifferenceSchema,
  redisNodeCheckSchema,
  redisResyncInputSchema,
} from './redis-check.ts';
export type {
  RedisCheck,
  RedisCheckInput,
  RedisCheckSummary,
  RedisKeyDifference,
  RedisNodeCheck,
} from './redis-check.ts';
export {
  redisAddressSchema,
  redisDivergenceSchema,
  redisFailoverAmendmentSchema,
  redisFailoverSchema,
  redisGroupViewSchema,
  redisLogLinesSchema,
  redisNodeViewSchema,
  redisShardViewSchema,
  redisProbeKey,
  redisSalvageSchema,
  redisVerificationSchema,
} from './redis-group.ts';
export type {
  RedisDivergence,
  RedisFailover,
  RedisFailoverAmendment,
  RedisGroupView,
  RedisLogLines,
  RedisNodeView,
  RedisShardView,
  RedisSalvage,
  RedisVerification,
} from './redis-group.ts';
export {
  redisGroupInputSchema,
  redisGroupNameSchema,
  redisGroupSettingsSchema,
  shortestDownAfterMs,
} from './redis-group-input.ts';
export type { RedisGroupInput, RedisGroupSettingsView } from './redis-group-input.ts';
export {
  backupJobSchema,
  backupLabelSchema,
  backupManifestSchema,
  backupRequestSchema,
  backupVerificationSchema,
  backupViewSchema,
  dataDiffSchema,
  encryptionSchema,
  notableEventSchema,
  pruneRequestSchema,
  pruneViewSchema,
  rehearsalRequestSchema,
  rehearsalSchema,
  restorePointSchema,
  safetyPointSchema,
  restoreRequestSchema,
  restoreTargetSchema,
  rollbackRequestSchema,
  segmentHeaderSchema,
  streamVerificationSchema,
  timelineIdSchema,
  timelineSchema,
} from './backup.ts';
export type {
  BackupJob,
  BackupManifest,
  BackupRequest,
  BackupVerification,
  BackupView,
  DataDiff,
  Encryption,
  NotableEvent,
  PruneRequest,
  PruneView,
  Rehearsal,
  RehearsalRequest,
  RestorePoint,
  SafetyPoint,
  RestoreRequest,
  RestoreTarget,
  RollbackRequest,
  SegmentHeader,
  StreamVerification,
  Timeline,
} from './backup.ts';
export {
  leaseHolderSchema,
  leaseInputSchema,
  leaseNameSchema,
  leaseViewSchema,
  mostLeases,
  storedLeaseSchema,
} from './lease.ts';
export type { LeaseInput, LeaseView } from './lease.ts';
export { operationSchema } from './operation.ts';
export type { Operation } from './operation.ts';
export { problemMediaType, problemOf, problemSchema } from './problem.ts';
export type { Problem } from './problem.ts';
