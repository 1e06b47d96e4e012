// How is long work followed without asking again and again? The document is pushed at each change, or the answer waits for the end.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { keepAliveChunk, openSse } from '@switchyard/http';
import { isFinished, viewOperation, type OperationRecord } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import type { Operations } from './operations.ts';

/** At most five documents a second. */
const closestMs = 200;
const heartbeatMs = 10_000;

/** A client that comes back with this id has seen the end. */
export const endId = 'end';

/**
 * Sends the operation now, after each change, and a last time when it has ended; then the stream ends. The id of the last event is
 * `end`. The remaining time changes without a change of the work: an idle stream repeats the document with each heartbeat.
 */
export function streamOperation(
  { operations, clock }: { readonly operations: Pick<Operations, 'watch'>; readonly clock: Pick<Clock, 'unixMs'> },
  record: OperationRecord,
  { req, res }: { readonly req: IncomingMessage; readonly res: ServerResponse },
): void {
  const stream = openSse(req, res);
  let newest = record;
  let sentAtMs = Number.NEGATIVE_INFINITY;
  let waiting: NodeJS.Timeout | undefined;
  const send = (): void => {
    waiting = undefined;
    sentAtMs = performance.now();
    const isLast = isFinished(newest);
    const data = viewOperation(newest, clock.unixMs());
    stream.send({ event: 'operation', data, ...(isLast ? { id: endId } : {}) });
    if (isLast) stream.close();
  };
  const unwatch = operations.watch(record.id, (changed) => {
    newest = changed;
    waiting ??= setTimeout(send, Math.max(0, sentAtMs + closestMs - performance.now()));
  });
  const heartbeat = setInterval(() => {
    stream.write(keepAliveChunk());
    waiting ??= setTimeout(send, 0);
  }, heartbeatMs);
  const leave = (): void => {
    unwatch?.();
    clearTimeout(waiting);
    clearInterval(heartbeat);
  };
  if (stream.closed.aborted) leave();
  else stream.closed.addEventListener('abort', leave, { once: true });
  send();
  // Without room for another listener the client asks again by itself.
  if (unwatch === undefined) stream.close();
}

/** The operation once it has ended, or as it is when the signal aborts or too many wait already. */
export function untilEnded(
  operations: Pick<Operations, 'get' | 'watch'>,
  record: OperationRecord,
  signal: AbortSignal,
): Promise<OperationRecord> {
  return new Promise((resolve) => {
    const done = (): void => {
      unwatch?.();
      signal.removeEventListener('abort', done);
      resolve(operations.get(record.id) ?? record);
    };
    const unwatch = operations.watch(record.id, (changed) => {
      if (isFinished(changed)) done();
    });
    signal.addEventListener('abort', done, { once: true });
    const isOver = isFinished(operations.get(record.id) ?? record);
    if (isOver || unwatch === undefined || signal.aborted) done();
  });
}
