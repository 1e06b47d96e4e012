// How does the back end get into the catalog? Once its port is known, through an agent on a thread of its own, over HTTP, and over
// Redis when no registry can be reached.
import { createWorkerAgent } from '@switchyard/agent';
import type { Agent, Registrar } from '@switchyard/agent';
import { formatDurationMs } from '@switchyard/protocol';
import type { InstanceInput } from '@switchyard/protocol';
import { createCatalogStore, createRedis, createRedisRegistrar, redisSettingsOf } from '@switchyard/redis';
import { advertisedUrl } from '@switchyard/runtime';
import type { Component, ServiceContext } from '@switchyard/runtime';
import type { DemoConfig } from './config.ts';

export interface RegistrationOptions {
  readonly context: Pick<ServiceContext, 'instanceId' | 'version' | 'clock' | 'logger' | 'health'>;
  readonly config: DemoConfig;
  /** The port that is listened on; asked when the registration starts. */
  readonly port: () => number;
}

/** The registration of this process as a part of it. Starts at once, whether or not a registry or Redis is there. */
export const createRegistration = ({ context, config, port }: RegistrationOptions): Component => {
  const { instanceId: id, version, clock, logger, health } = context;
  const { service, ttlMs, drainDelayMs, drainDeadlineMs, registryUrls } = config;
  const redis = config.beats === 'redis' ? createRedis(redisSettingsOf(config.redis), { logger, name: id }) : undefined;
  let agent: Agent | undefined;

  /** Survives the death of every registry. */
  const straightToRedis = (input: InstanceInput): Registrar | undefined => {
    if (!redis) return undefined;
    const commands = redis.connect('commands');
    const store = createCatalogStore(commands, id);
    return createRedisRegistrar({ store, redis: commands, service, id, input });
  };

  return {
    name: 'registration',
    stopDeadlineMs: Math.max(drainDelayMs, drainDeadlineMs) + 6_000,
    start: async () => {
      const url = advertisedUrl({ bindHost: config.host, advertiseHost: config.advertiseHost, port: port() });
      const input: InstanceInput = {
        url,
        weight: config.weight,
        ...(config.zone === undefined ? {} : { zone: config.zone }),
        version,
        meta: { pid: String(process.pid) },
        ttl: formatDurationMs(ttlMs),
        check: { type: 'http', path: '/livez' },
        role: config.role,
      };
      const fallback = straightToRedis(input);
      const drain = { drainDelayMs, drainDeadlineMs };
      agent = createWorkerAgent({
        registryUrls,
        service,
        id,
        input,
        clock,
        logger,
        health,
        ...(fallback && { fallback }),
        ...drain,
      });
      await agent.start();
    },
    drain: async () => agent?.drain(),
    stop: async () => {
      await agent?.stop();
      await redis?.stop();
    },
  };
};
