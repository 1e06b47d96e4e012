export { whyBaseWanted, whyNoBaseNow } from './base-guard.ts';
export type { BaseBounds, BaseGuardFacts, StreamSinceBase } from './base-guard.ts';
export { archiverState, stepArchiver } from './archiver.ts';
export type {
  ArchivePlace,
  ArchiverAction,
  ArchiverInput,
  ArchiverRules,
  ArchiverState,
  ArchiverStep,
  ArchiverWait,
} from './archiver.ts';
export { stateOf, viewBackup } from './backup-list.ts';
export type { BackupPoint, StoredBackup } from './backup-list.ts';
export { coveringRanges, layout, segmentRange } from './layout.ts';
export { labelFor, labelTimeMs, timelineIdFor } from './label.ts';
export { backupFiles, backupSize, buildManifest, readManifest } from './manifest.ts';
export type { ManifestFacts } from './manifest.ts';
export {
  advanceOperation,
  backupPlan,
  failOperation,
  forgettable,
  interruptOperation,
  isFinished,
  percentOf,
  queuedOperation,
  startOperation,
  succeedOperation,
  verifyPlan,
  viewOperation,
} from './operation.ts';
export { learnWeights } from './operation-eta.ts';
export type { ProgressSample } from './operation-eta.ts';
export type { OperationRecord, PlannedStep, StepRecord } from './operation.ts';
export { createNotableEvents, withoutRepeats } from './notable-events.ts';
export type { NotableEvents, NotableEventsOptions, SeenCommand } from './notable-events.ts';
export { viewArchive } from './archive-view.ts';
export type { ArchiveContent, ArchiveView, FollowedUntil, SegmentSummary, TimelineView } from './archive-view.ts';
export type { ArchiveAnswer, ArchiveQuest, ArchiveRead } from './archive-reads.ts';
export { locate } from './locate.ts';
export { parseMoment } from './moment.ts';
export { restorableRanges } from './restorable.ts';
export type { LocatedPoint, RestorableRange } from './restorable.ts';
export { archiveEvents, archiveWindow } from './window.ts';
export type { ArchiveWindow, WindowEvent, WindowGap, WindowPoint, WindowTimeline } from './window.ts';
export { differences, keyCounts, verificationOf } from './proof.ts';
export type { LoadedContent, ProofOutcome } from './proof.ts';
export { rehearsalDueMs, rehearsalTrend } from './rehearsal.ts';
export type { RehearsalPace, RehearsalTrend } from './rehearsal.ts';
export { planRetention } from './retention.ts';
export type { RetainedBackup, RetentionPlan, RetentionPolicy, RetentionVerdict } from './retention.ts';
export { planStreamRetention } from './stream-retention.ts';
export type { RetainedSegment, RetainedStream, StreamVerdict } from './stream-retention.ts';
export { chooseSource } from './source-choice.ts';
export type { SourceCandidate, SourceChoice, SourceRules } from './source-choice.ts';
export { rdbHeadBytes, readRdbHead } from './rdb-head.ts';
export type { RdbHead } from './rdb-head.ts';
export { parseServer, serverText, whyNotReadable } from './server-version.ts';
export type { ServerVersion } from './server-version.ts';
export { planMerges, thinTimes } from './segment-merge.ts';
export type { MergeableSegment, MergeRules } from './segment-merge.ts';
export { canContinue, chooseStreamSource } from './stream-source.ts';
export type { HeldPlace, NodeHistory, StreamCandidate, StreamChoice, StreamRules } from './stream-source.ts';
export { rollbackPreflight, rollbackWarnings } from './rollback-preflight.ts';
export type { RollbackCheck, RollbackFacts, RollbackNodeFacts, RollbackPreflight } from './rollback-preflight.ts';
export { rollbackLimits, rollbackWaits } from './rollback-plan.ts';
export type {
  RollbackAddress,
  RollbackCommand,
  RollbackInput,
  RollbackLook,
  RollbackNode,
  RollbackOutcome,
  RollbackPlan,
  RollbackSetting,
  RollbackState,
  RollbackWait,
  RollbackWork,
} from './rollback-plan.ts';
export { beginRollback, mayCancelRollback, stepRollback } from './rollback.ts';
export { databasesNeeded, whatChanged, whyNotInto } from './restore-node.ts';
export type { NodeWish, RestoreNode } from './restore-node.ts';
export { dueStreamProof, newestStreamProof, streamProofOf, streamVerificationOf } from './proof-stream.ts';
export type { StreamProof } from './proof-stream.ts';
