export { initialDetectorState, membersToAsk, stepDetector } from './detector.ts';
export type { DetectorState, DetectorStep } from './detector.ts';
export { defaultDetectorSettings } from './detector-facts.ts';
export type {
  CatalogFacts,
  DetectorAction,
  DetectorSettings,
  Hold,
  MemberFacts,
  ProbeOutcome,
  ProbeResult,
  SweepFacts,
} from './detector-facts.ts';
export { createPhiWatch, phiAfter } from './phi.ts';
export type { PhiWatch } from './phi.ts';
export { isReapable } from './reap.ts';
export { createOutlierDetector, defaultEjectionSettings, isPanic } from './ejection.ts';
export type { Ejection, EjectionSettings, FailureKind, FailureSeen, OutlierDetector } from './ejection.ts';
export { isStalled, stallLimitMs } from './stall.ts';
export type { Silence } from './stall.ts';
export { createProbeWatch, defaultProbeWatchSettings, outlastsOutage } from './probe-watch.ts';
export type { ProbeSeen, ProbeWatch, ProbeWatchSettings } from './probe-watch.ts';
export { checkPlanOf, createCheckSchedule } from './check-schedule.ts';
export type { Checked, CheckPlan, CheckSchedule, CheckTurn } from './check-schedule.ts';
export { dryRun, silencesIn } from './dry-run.ts';
export type { RecordedSilence, Trial, TrialSettings } from './dry-run.ts';
