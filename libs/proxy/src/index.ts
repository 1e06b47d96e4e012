// What may others use of the proxy? The seam (engine.ts), the first engine, and the pure parts that tools ask too.
export { defaultLimits, defaultServiceRules, defaultTimeouts } from './engine.ts';
export type {
  AccessEntry,
  AccessLog,
  AttemptRecord,
  DataPlane,
  DataPlaneOptions,
  DataPlaneStats,
  ForwardDecision,
  HedgeRule,
  InstanceOutcome,
  Limits,
  RefuseDecision,
  ReplayClaim,
  ReplayVerdict,
  RequestHead,
  RequestOutcome,
  RouteDecision,
  ServiceRules,
  Target,
  Timeouts,
  TrafficPolicy,
  WhyNot,
} from './engine.ts';
export { createSocketDataPlane } from './socket/socket-engine.ts';
export { compileRoutes, isUnder } from './router.ts';
export type { NamedRoute, Router, RouterContext } from './router.ts';
export { createMeters } from './meter.ts';
export type { InstanceMeter, Meters } from './meter.ts';
export { hostOf, parseRequestTarget } from './request-target.ts';
export type { HeaderList } from './header-list.ts';
