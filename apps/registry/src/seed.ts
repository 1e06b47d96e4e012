// What does a fresh catalog hold? One route: everything to demo-backend. Written once, so that deleting it lasts.
import { defaultRoute, keys, trafficRouteSchema } from '@switchyard/protocol';
import type { CatalogFeed, Redis } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { CatalogService } from './catalog-service.ts';

/** Seeds at start, and again when the catalog was lost as a whole. */
export function createSeeder(options: {
  readonly catalog: CatalogService;
  readonly feed: CatalogFeed;
  readonly redis: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { catalog, feed, redis, clock, logger } = options;
  const seed = async (): Promise<void> => {
    if ((await redis.exists(keys.seeded)) === 1) return;
    const route = trafficRouteSchema.parse({ service: defaultRoute.service });
    // another registry may be quicker, and a user's own route of that name stands
    await catalog.putRoute(defaultRoute.name, route, 0);
    await redis.set(keys.seeded, '1');
  };
  const ticker = createTicker({ name: 'seed', everyMs: 5_000, run: seed, clock, logger });
  let stopListening: (() => void) | undefined;
  return {
    name: 'seed',
    async start(signal) {
      stopListening = feed.listen((news) => news.type === 'reset' && ticker.wake());
      await ticker.start(signal);
    },
    async stop() {
      stopListening?.();
      await ticker.stop();
    },
  };
}
