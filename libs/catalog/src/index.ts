export { announce, NO_TOKEN_YET, unchanged } from './commit.ts';
export type { Commit, DeadlineChange, Decision, DocumentKind, Expectation, Write } from './commit.ts';
export {
  evictInstance,
  patchInstance,
  registerInstance,
  registerInstanceUnder,
  removeInstance,
  reviveInstance,
  rightRole,
  settleInstance,
  suspectInstance,
} from './instance-transitions.ts';
export { isSettled } from './damping.ts';
export type { InstanceRef, RegistrationContext } from './instance-transitions.ts';
export { activateInstance, activeOf, bestStandby, decideActivation, unfitFor, vacateService } from './activation.ts';
export type { ActivationFacts, ActivationVerdict, GovernedService } from './activation.ts';
export { activationOf, isGoverned, isHolder, policyAlone } from './roles.ts';
export { deleteRoute, putRoute, putService } from './setting-transitions.ts';
export { undoOf, walkBack } from './time-travel.ts';
export type { PastChange, UndoStep, Walk } from './time-travel.ts';
export { checkPrecondition } from './precondition.ts';
export type { Precondition } from './precondition.ts';
export type { Versioned } from './setting-transitions.ts';
export { eligibilityOf } from './eligibility.ts';
export type { Eligibility } from './eligibility.ts';
export { createCatalogView, emptySnapshot, memberOfInstance } from './view.ts';
export type { ApplyOutcome, CatalogSnapshot, CatalogView, ViewChange } from './view.ts';
export type { CatalogStore, CommitOutcome, Cursor, Fence, HistoryPage, Raised, Tail } from './ports.ts';
export { MAX_COMMIT_ATTEMPTS } from './ports.ts';
export { presentInstance, presentRoute, presentService } from './presentation.ts';
