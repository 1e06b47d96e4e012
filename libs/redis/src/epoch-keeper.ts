// Did Redis forget? Watches for another Redis process behind the address, and begins the next epoch when there is one.
import type { Redis } from 'ioredis';
import type { CatalogStore } from '@switchyard/catalog';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { CatalogFeed } from './catalog-feed.ts';

const EVERY_MS = 2_000;

/**
 * Raises the epoch after each change of the Redis process, to a revision above all that this process has ever seen. Any number
 * may run: one of them does it.
 */
export function createEpochKeeper(options: {
  readonly store: CatalogStore;
  readonly redis: Redis;
  readonly feed: CatalogFeed;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { store, redis, feed, clock, logger } = options;
  /** A Redis that came back empty may have given low revisions out, and the feed may have read them, before the first look. */
  let highest = 0;
  const check = async (): Promise<void> => {
    const { epoch, revision } = feed.status();
    highest = Math.max(highest, revision);
    const seen = { epoch, revision: highest };
    const raised = await store.raiseEpoch(seen, 'another Redis process answers: it may know less');
    if (!raised) return;
    logger.warn(seen, 'catalog.epoch_raised');
    feed.refresh();
  };
  const ticker = createTicker({ name: 'epoch-keeper', everyMs: EVERY_MS, run: check, clock, logger });
  const wake = (): void => ticker.wake();
  let stopListening: (() => void) | undefined;
  return {
    name: 'epoch-keeper',
    async start(signal) {
      redis.on('ready', wake);
      stopListening = feed.listen(({ view }) => (highest = Math.max(highest, view.revision)));
      await ticker.start(signal);
    },
    async stop() {
      redis.off('ready', wake);
      stopListening?.();
      await ticker.stop();
    },
  };
}
