// What is known about one request, from its head to its report?
import type { ErrorCode } from '@switchyard/protocol';
import type { AttemptRecord, RequestOutcome, RouteDecision } from '../engine.ts';
import type { RequestTarget } from '../request-target.ts';
import type { EngineState } from './engine-state.ts';
import type { RequestBody } from './request-body.ts';

/** What is known about a request when it begins. */
export interface RequestFacts {
  readonly method: string;
  readonly minor: number;
  readonly target: RequestTarget;
  readonly authority: string;
  readonly requestId: string;
  readonly expectsContinue: boolean;
  readonly upgrade: boolean;
  readonly body: RequestBody;
}

/** How a request ended that did not simply go well. */
export interface Ending extends Pick<RequestOutcome, 'end' | 'status'> {
  readonly code?: ErrorCode;
  readonly why?: readonly string[];
}

/** What became of a request up to its end. */
export interface Course {
  readonly facts: RequestFacts;
  readonly decision: RouteDecision;
  readonly attempts: readonly AttemptRecord[];
  readonly startedMs: number;
}

/** Tells the owner of the engine how a request ended. */
export function reportEnd(
  { options }: EngineState,
  { facts, decision, attempts, startedMs }: Course,
  how: Ending,
): void {
  const { clock, policy } = options;
  const tookMs = clock.monotonicMs() - startedMs;
  const refused = decision.action === 'refuse';
  policy.report({
    requestId: facts.requestId,
    method: facts.method,
    target: `${facts.target.path}${facts.target.query}`.slice(0, 256),
    host: facts.authority.slice(0, 256),
    route: refused ? undefined : decision.route,
    service: refused ? undefined : decision.service,
    code: undefined,
    why: [],
    attempts,
    startedUnixMs: clock.unixMs() - tookMs,
    tookMs,
    ...how,
  });
}
