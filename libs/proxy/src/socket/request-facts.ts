// What is known about one request when it begins?
import type { RequestTarget } from '../request-target.ts';
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
  /** its credentials authenticate the connection, so nobody else may use that one afterwards (RFC 4559 6) */
  readonly connectionAuth: boolean;
  /** its Idempotency-Key */
  readonly key: string | undefined;
  readonly body: RequestBody;
}

/** Sent twice, it does no harm, and nothing follows its head. A body that comes after a HEAD would be taken for an answer. */
export function isShareable({ method, body, upgrade, connectionAuth }: RequestFacts): boolean {
  return method === 'GET' && body.done && !upgrade && !connectionAuth;
}
