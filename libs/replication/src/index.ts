// What may others use? Parsing of what nodes and Sentinels say, the group's view, and the follower of failovers.
export { addressKey, sameAddress } from './address.ts';
export type { Address, Endpoint } from './address.ts';
export { pickPrimary, pickReplica } from './address-pick.ts';
export { defaultFlappingLimits, flappingOf, flappingProblems } from './flapping.ts';
export type { Acknowledgement, Flapping, FlappingLimits } from './flapping.ts';
export { goodReplicas, minReplicasState, operatorsFloor, stepMinReplicas } from './min-replicas.ts';
export type { MinReplicas, MinReplicasState } from './min-replicas.ts';
export { admit } from './admission.ts';
export type { Admission } from './admission.ts';
export { addressOf, identityOf, isNode, isSentinel, knownAs, seedOf, surveyedAt } from './admission-survey.ts';
export type {
  AdmissionInput,
  AdmissionProblem,
  ListedGroup,
  Members,
  OtherGroup,
  Survey,
  Surveyed,
} from './admission-survey.ts';
export { countKeys, defaultLockUsers, judgeBoot, lockConfig } from './boot-lock.ts';
export type { BootFacts, BootVerdict, LockConfig, LockUsers } from './boot-lock.ts';
export { divergenceOf } from './divergence.ts';
export type { Divergence } from './divergence.ts';
export { enforcementState, fenceOf, stepEnforcement } from './enforcement.ts';
export type { EnforcementAction, EnforcementInput, EnforcementState, EnforcementStep } from './enforcement.ts';
export { bucketBits, bucketOf, createKeySums, differingBuckets } from './consistency-sums.ts';
export type { KeySums } from './consistency-sums.ts';
export { differenceKind, judgeKey, noSuspicion } from './consistency-suspects.ts';
export type { DifferenceKind, Judgement, KeyReading, KeyState, Suspicion } from './consistency-suspects.ts';
export { historyCover } from './history-cover.ts';
export type { HistoryCover, HistoryPlace } from './history-cover.ts';
export { withAmendment } from './failover-amendment.ts';
export { inTransition, settleMs, step } from './failover-follower.ts';
export type { FollowerInput, FollowerStep } from './failover-follower.ts';
export { failoverPhases, followerState, waitsFor } from './failover-state.ts';
export type { FailoverPhase, FollowerState, KnownPrimary } from './failover-state.ts';
export { noFindings, withFindings } from './findings.ts';
export type { Findings, NodeFinding } from './findings.ts';
export type { GroupProblem } from './group-problems.ts';
export { parseSettings, parseVitals, settingNumber, watchedSettings } from './health-policy-facts.ts';
export type { NodeMachine, NodeSettings, NodeVitals } from './health-policy-facts.ts';
export { sizeText, usualAllowedOutageMs } from './health-policy-input.ts';
export type { HealthInput, HealthNode } from './health-policy-input.ts';
export { stepWriteRate } from './health-policy-rate.ts';
export type { WriteRate } from './health-policy-rate.ts';
export { healthProblems } from './health-policy.ts';
export type { HealthProblem } from './health-policy.ts';
export { settingsAdvice } from './settings-advice.ts';
export type { SettingAdvice } from './settings-advice.ts';
export { parseInfo, parseRole } from './info-parser.ts';
export type { ListedReplica, NodeInfo, NodePersistence, RoleFacts } from './info-parser.ts';
export { defaultLimits, endpointOf, isSeen } from './observation.ts';
export type { Failure, GroupObservation, NodeObservation, SentinelObservation, TopologyLimits } from './observation.ts';
export { primaryVerdict } from './primary-verdict.ts';
export type { PrimaryVerdict, QuorumFacts } from './primary-verdict.ts';
export { doctorState, examineSentinels, hearSentinel, noAnswers } from './sentinel-doctor.ts';
export type { DoctorState, SentinelAnswers } from './sentinel-doctor.ts';
export { parseSentinelEvent, parseSentinelPeers, parseSentinelReplicas, parseSentinelView } from './sentinel-parser.ts';
export type { SentinelEvent, SentinelPeer, SentinelReplica, SentinelSubject, SentinelView } from './sentinel-parser.ts';
export { askedForRole, promotionState, stepPromotion } from './promotion.ts';
export type { Announcement, PromotionInput, PromotionNews, PromotionState } from './promotion.ts';
export { announceSteps, provisionChecks, isMorePatient, provisionSteps, wantedWatch } from './provision.ts';
export type { ProvisionCheck, ProvisionStep, WantedWatch, WatchingSentinel } from './provision.ts';
export { damageIn, damageSigns } from './data-damage.ts';
export type { DataDamage } from './data-damage.ts';
export { parseLogTime, selectLogLines } from './log-lines.ts';
export type { LogWindow } from './log-lines.ts';
export { isLeaving, nowhere, planRefusal } from './rebuild-checks.ts';
export type { PlanCheck, PlanGroup } from './rebuild-checks.ts';
export { rebuildPlan } from './rebuild-plan.ts';
export type { RebuildPlan } from './rebuild-plan.ts';
export { addPlan, removePlan } from './replica-plan.ts';
export type { AddCandidate, AddPlan, RemovePlan } from './replica-plan.ts';
export { parseSyncFacts, syncProgress } from './rebuild-progress.ts';
export type { SyncFacts, SyncPhase, SyncProgress } from './rebuild-progress.ts';
export { chooseReplica } from './replica-choice.ts';
export type { Candidate, ChoiceInput, ReplicaChoice } from './replica-choice.ts';
export { sightingOf } from './sighting.ts';
export type { NodeSighting, Sighting } from './sighting.ts';
export { describeGroup } from './topology.ts';
export type { GroupFacts, TopologyOptions } from './topology.ts';
export type { ClusterNodeObservation, ClusterObservation, ClusterSettings } from './cluster-observation.ts';
export { clusterFollowerState } from './cluster-follower-state.ts';
export type { ClusterFollowerState, KnownShard } from './cluster-follower-state.ts';
export { clusterInTransition, clusterWaitsFor, stepCluster } from './cluster-follower.ts';
export type { ClusterFollowerInput } from './cluster-follower.ts';
export { parseClusterInfo, parseClusterNodes } from './cluster-parser.ts';
export type { ClusterLine, ClusterState } from './cluster-parser.ts';
export { clusterSlots, countSlots, hasSlot, keyInSlots, slotOfKey, slotText } from './cluster-slot.ts';
export type { SlotRange } from './cluster-slot.ts';
export { mergeCluster } from './cluster-topology.ts';
export type { ClusterMember, ClusterTopology } from './cluster-topology.ts';
export { shardOfSlot } from './cluster-shard.ts';
export type { ClusterNodeFacts, ClusterShard } from './cluster-shard.ts';
export { describeCluster } from './cluster-view.ts';
export type { ClusterFacts } from './cluster-view.ts';
export { pickShard, pickShardPrimary, pickShardReplica } from './cluster-pick.ts';
export type { ShardChoice } from './cluster-pick.ts';
export { beginSwitchover, mayCancel, stepSwitchover } from './switchover.ts';
export { parseReportedReplicas, predictPick, unbeatable } from './switchover-pick.ts';
export type { ReportedReplica } from './switchover-pick.ts';
export { switchoverLimits, switchoverWaits } from './switchover-plan.ts';
export type {
  SavedSetting,
  SwitchoverCommand,
  SwitchoverInput,
  SwitchoverLook,
  SwitchoverNode,
  SwitchoverPlan,
  SwitchoverSentinel,
  SwitchoverState,
  SwitchoverWait,
  SwitchoverWay,
} from './switchover-plan.ts';
export { preflight, wayOf } from './switchover-preflight.ts';
export type { Preflight } from './switchover-preflight.ts';
export type { PreflightFacts, SentinelReading, SwitchoverCheck } from './switchover-check.ts';
export { readSettings, switchoverReading } from './switchover-reading.ts';
export type { SwitchoverReading } from './switchover-reading.ts';
export { applicationClients, lookAtAll, lookAtNode, planSwitchover } from './switchover-look.ts';
export { clusterNode, planAddReplica, planRemoveNode, planShardSwitchover, planShardTakeover } from './cluster-plan.ts';
export type { ClusterCheck, NewcomerFacts, ShardPlan, ShardWish } from './cluster-plan.ts';
export { planUnplanned } from './switchover-unplanned.ts';
export type { UnplannedPlan, UnplannedRequest, UnplannedVerdict } from './switchover-unplanned.ts';
