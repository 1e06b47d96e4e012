// Who hears how a request ended? The owner of the engine when it did not simply go well, and the access log when there is one.
import type { ErrorCode } from '@switchyard/protocol';
import type { AccessEntry, AttemptRecord, RequestOutcome, RouteDecision } from '../engine.ts';
import { valueOf } from '../header-list.ts';
import type { ClientConnection } from './client-connection.ts';
import type { RequestFacts } from './request-facts.ts';

/** How a request ended. */
export interface Ending extends Pick<RequestOutcome, 'end' | 'status'> {
  readonly code?: ErrorCode;
  readonly why?: readonly string[];
}

/** What became of a request up to its end. */
export interface Course {
  /** undefined when its head could not be read */
  readonly facts: RequestFacts | undefined;
  readonly requestId: string;
  readonly decision: RouteDecision | undefined;
  readonly attempts: readonly AttemptRecord[];
  readonly startedMs: number;
  readonly instance: string | undefined;
  readonly firstByteMs: number | undefined;
}

const LONGEST_TARGET = 2_048;
const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;

/** Tells whoever wants to know. Costs nothing for a request that went well while no log is kept. */
export function noteEnd(client: ClientConnection, how: Ending, course: Course): void {
  const wentWell = how.end === 'answered' && course.attempts.length === 0;
  if (wentWell && !client.logged) return;
  const { accessLog, policy } = client.engine.options;
  const outcome = outcomeOf(client, how, course);
  if (!wentWell) policy.report(outcome);
  if (client.logged) accessLog?.record(entryOf(client, outcome, course));
}

function outcomeOf({ engine }: ClientConnection, how: Ending, course: Course): RequestOutcome {
  const { facts, requestId, decision, attempts, startedMs } = course;
  const { clock } = engine.options;
  const tookMs = clock.monotonicMs() - startedMs;
  const forward = decision === undefined || decision.action === 'refuse' ? undefined : decision;
  return {
    requestId,
    method: facts?.method ?? '',
    target: facts === undefined ? '' : `${facts.target.path}${facts.target.query}`.slice(0, 256),
    host: facts?.authority.slice(0, 256) ?? '',
    route: forward?.route,
    service: forward?.service,
    code: undefined,
    why: [],
    attempts,
    startedUnixMs: clock.unixMs() - tookMs,
    tookMs,
    ...how,
  };
}

function entryOf(client: ClientConnection, outcome: RequestOutcome, course: Course): AccessEntry {
  const { facts, instance, firstByteMs } = course;
  const { why: _why, ...told } = outcome;
  const headers = facts === undefined ? [] : client.headerList();
  return {
    ...told,
    target: facts === undefined ? '' : `${facts.target.path}${facts.target.query}`.slice(0, LONGEST_TARGET),
    traceId: traceparent.exec(valueOf(headers, 'traceparent') ?? '')?.[1],
    listener: client.engine.options.name,
    client: client.peer,
    protocol: facts?.minor === 0 ? 'HTTP/1.0' : 'HTTP/1.1',
    userAgent: valueOf(headers, 'user-agent')?.slice(0, 256),
    instance,
    requestBytes: facts?.body.receivedBytes ?? 0,
    answerBytes: client.answeredBytes(),
    firstByteMs,
  };
}
