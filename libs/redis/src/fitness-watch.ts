// Who looks whether Redis is fit to hold the catalog? At the start, which fails on an unfit one, and again at each connection.
//
//   start, Redis there, unfit  -> the start fails (exit code 1) with what, why and how to mend it
//   start, Redis away          -> the service starts; what comes later is judged below
//   connected, unfit           -> health check `redis` is not ok, one line at error level; the service goes on
import type { Redis } from 'ioredis';
import { keys } from '@switchyard/protocol';
import { ConfigError, createTicker } from '@switchyard/runtime';
import type { Clock, Component, Health, Logger } from '@switchyard/runtime';
import type { RedisConnections } from './connection.ts';
import { permissionFault, serverNameOf, unfitnessOf, unfitnessText } from './fitness.ts';
import type { Unfitness } from './fitness.ts';
import { isRedisUnavailable } from './unavailable.ts';

/** A moment as a replica is normal in a failover. */
const REPLICA_PATIENCE_MS = 10_000;
const LOOK_AGAIN_MS = 500;
/** Somebody may change the policy of a running Redis, or mend it. */
const EVERY_MS = 5_000;
/** Changes nothing: there is no such field. It needs the rights that every commit needs. */
const PROBE = "return redis.call('HDEL', KEYS[1], 'no-such-field')";

/**
 * Judges the Redis behind `redis`, a `commands` connection. `start` rejects with a ConfigError when Redis is there and unfit; a
 * replica is given 10 s to become a primary.
 */
export function createFitnessWatch(options: {
  readonly connections: Pick<RedisConnections, 'settings'>;
  readonly redis: Redis;
  readonly health: Health;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { redis, health, clock, logger } = options;
  const { settings } = options.connections;
  let replicaFromMs: number | undefined;
  let told = '';

  const where = (): string => {
    if (settings.kind === 'single') return `${settings.endpoint.host}:${settings.endpoint.port}`;
    return `${redis.stream.remoteAddress ?? '?'}:${redis.stream.remotePort ?? '?'}`;
  };
  const look = async (): Promise<{
    readonly at: string;
    readonly name: string;
    readonly faults: readonly Unfitness[];
  }> => {
    const at = where();
    const info = await redis.info().catch((error: unknown) => {
      const fault = permissionFault(error, settings.username);
      if (fault) return fault;
      throw error;
    });
    if (typeof info !== 'string') return { at, name: 'Redis', faults: [info] };
    const faults = [...unfitnessOf(info, at, settings.kind)];
    const isReplica = faults.some(({ because }) => because === 'replica');
    replicaFromMs = isReplica ? (replicaFromMs ?? clock.monotonicMs()) : undefined;
    if (!isReplica) {
      const fault = await redis.eval(PROBE, 1, keys.catalogMeta).then(
        () => undefined,
        (error: unknown) => permissionFault(error, settings.username),
      );
      if (fault) faults.push(fault);
    }
    return { at, name: serverNameOf(info), faults };
  };
  const isWaiting = (faults: readonly Unfitness[]): boolean =>
    faults.some(({ because }) => because === 'replica') &&
    clock.monotonicMs() - (replicaFromMs ?? clock.monotonicMs()) < REPLICA_PATIENCE_MS;
  const settled = (faults: readonly Unfitness[]): readonly Unfitness[] =>
    isWaiting(faults) ? faults.filter(({ because }) => because !== 'replica') : faults;

  const check = async (): Promise<void> => {
    if (redis.status !== 'ready') {
      // What was said about it is no statement about now. Each service knows by itself how long it can do without.
      health.set('redis', { ok: false, critical: false, detail: 'there is no connection to Redis' });
      return;
    }
    const { at, name, faults } = await look();
    const unfit = settled(faults);
    const text = unfitnessText(at, unfit);
    if (text === '') health.set('redis', { ok: true, detail: `${name} at ${at}` });
    else health.set('redis', { ok: false, detail: text });
    if (text !== '' && text !== told) logger.error({ problem: text }, 'redis.unfit');
    told = text;
  };
  const ticker = createTicker({ name: 'redis-fitness', everyMs: EVERY_MS, run: check, clock, logger });
  const wake = (): void => ticker.wake();

  return {
    name: 'redis-fitness',
    async start(signal) {
      try {
        while (redis.status === 'ready') {
          const { at, faults } = await look();
          const unfit = settled(faults);
          if (unfit.length > 0) throw new ConfigError([unfitnessText(at, unfit)]);
          if (!isWaiting(faults)) break;
          await clock.sleep(LOOK_AGAIN_MS, signal);
        }
      } catch (error) {
        // it went away in the meantime: as if it had not been there
        if (!isRedisUnavailable(error)) throw error;
      }
      redis.on('ready', wake);
      await ticker.start(signal);
    },
    async stop() {
      redis.off('ready', wake);
      await ticker.stop();
    },
  };
}
