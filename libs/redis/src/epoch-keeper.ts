// Did Redis forget? Watches for another Redis process behind the address, and begins the next epoch when there is one.
import type { Redis } from 'ioredis';
import type { CatalogStore } from '@switchyard/catalog';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { CatalogFeed } from './catalog-feed.ts';

const EVERY_MS = 2_000;

/** Raises the epoch after each change of the Redis process. Any number may run: one of them does it. */
export function createEpochKeeper(options: {
  readonly store: CatalogStore;
  readonly redis: Redis;
  readonly feed: CatalogFeed;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { store, redis, feed, clock, logger } = options;
  const check = async (): Promise<void> => {
    const { epoch, revision } = feed.status();
    const raised = await store.raiseEpoch({ epoch, revision }, 'another Redis process answers: it may know less');
    if (!raised) return;
    logger.warn({ epoch, revision }, 'catalog.epoch_raised');
    feed.refresh();
  };
  const ticker = createTicker({ name: 'epoch-keeper', everyMs: EVERY_MS, run: check, clock, logger });
  return {
    name: 'epoch-keeper',
    async start(signal) {
      redis.on('ready', () => ticker.wake());
      await ticker.start(signal);
    },
    stop: () => ticker.stop(),
  };
}
