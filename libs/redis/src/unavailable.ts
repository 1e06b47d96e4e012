// Which errors mean that Redis is away, and not that the caller or this code erred? Those are told as 503, the others as 500.
//
// What is thrown was collected from the source of ioredis 6 and BullMQ 6 and from Redis 7; unavailable.int.test.ts provokes it.
import type { Refusal } from '@switchyard/protocol';

/** Of ioredis, BullMQ and the sockets below them: there is no connection, or it was lost, or it gave no answer in time. */
const lost =
  /Command timed out|Connection is closed|Stream isn't writeable|Command aborted due to connection close|All sentinels are unreachable|Socket timeout|socket has been ended/;
/** Error replies of a Redis that is there but must not or cannot do its work now: a restart, a failover, a full disk. */
const refusing =
  /^(?:LOADING|MASTERDOWN|READONLY|NOREPLICAS|CLUSTERDOWN|MOVED|ASK|TRYAGAIN|UNBLOCKED|MISCONF|OOM|BUSY|NOAUTH|WRONGPASS|ERR max number of clients reached)\b/;
const socketCodes: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/** True when an error means that Redis could not be reached or could not answer in time, not that the caller erred. */
export function isRedisUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { name, message, code } = error as Error & { readonly code?: unknown };
  return (
    name === 'MaxRetriesPerRequestError' ||
    (typeof code === 'string' && socketCodes.has(code)) ||
    lost.test(message) ||
    refusing.test(message)
  );
}

/** A write that is not known to be as safe as was asked, or was not carried out; the refusal says which. */
export class UnconfirmedError extends Error {
  override readonly name = 'UnconfirmedError';
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.detail);
    this.refusal = refusal;
  }
}

/** The refusal for an error that means "Redis is away"; undefined for every other error. */
export function redisRefusal(error: unknown): Refusal | undefined {
  if (error instanceof UnconfirmedError) return error.refusal;
  if (!isRedisUnavailable(error)) return undefined;
  const { message, code } = error as Error & { readonly code?: unknown };
  // the errors of several addresses of one host come as one without a message
  const why = [(message || String(code)).slice(0, 200)];
  return {
    code: 'redis_unavailable',
    detail: 'Redis did not carry the command out; nothing was changed as far as is known',
    why,
  };
}
