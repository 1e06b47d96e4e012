// How does BullMQ get connections that it can use from the first moment on?
// A queue asks the server for its version when it is made, and is of no use for ever when that question fails; so a connection
// is handed over only when it is ready.
import type { RedisConnections } from '@switchyard/redis';

type Connection = ReturnType<RedisConnections['connect']>;

/** Connections of which `count` for queues are ready by now. Waits for Redis; rejects with the signal's reason. */
export async function withReadyQueues(
  connections: RedisConnections,
  count: number,
  signal: AbortSignal,
): Promise<RedisConnections> {
  const ready = await Promise.all(
    Array.from({ length: count }, () => untilReady(connections.connect('queue'), signal)),
  );
  return { ...connections, connect: (use) => (use === 'queue' ? ready.pop() : undefined) ?? connections.connect(use) };
}

function untilReady(redis: Connection, signal: AbortSignal): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      redis.disconnect();
      reject(signal.reason instanceof Error ? signal.reason : new Error('The wait for Redis was given up.'));
    };
    if (signal.aborted) return onAbort();
    if (redis.status === 'ready') return resolve(redis);
    signal.addEventListener('abort', onAbort, { once: true });
    redis.once('ready', () => {
      signal.removeEventListener('abort', onAbort);
      resolve(redis);
    });
  });
}
