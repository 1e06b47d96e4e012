export { defaultDetectorSettings, inGrace, initialDetectorState, recordProbe, stepDetector } from './detector.ts';
export type {
  CatalogFacts,
  DetectorAction,
  DetectorSettings,
  DetectorState,
  DetectorStep,
  Hold,
  ProbeOutcome,
  ProbeResult,
  SweepFacts,
} from './detector.ts';
export { isReapable } from './reap.ts';
export { createOutlierDetector, defaultEjectionSettings, isPanic } from './ejection.ts';
export type { Ejection, EjectionSettings, FailureKind, FailureSeen, OutlierDetector } from './ejection.ts';
export { isStalled, stallLimitMs } from './stall.ts';
export type { Silence } from './stall.ts';
export { createProbeWatch, defaultProbeWatchSettings, outlastsOutage } from './probe-watch.ts';
export type { ProbeSeen, ProbeWatch, ProbeWatchSettings } from './probe-watch.ts';
export { checkPlanOf, createCheckSchedule } from './check-schedule.ts';
export type { Checked, CheckPlan, CheckSchedule, CheckTurn } from './check-schedule.ts';
