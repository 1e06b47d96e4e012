// Did Redis forget? Watches for another Redis process behind the address, or an emptied one, and begins the next epoch when there is
// one. What Redis has lost and this reader still knows goes back with it: no reader ever sees a catalog that is half there.
import type { Redis } from 'ioredis';
import { emptySnapshot } from '@switchyard/catalog';
import type { CatalogStore } from '@switchyard/catalog';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { CatalogFeed } from './catalog-feed.ts';

const EVERY_MS = 250;
/** Who has just started knows nothing that could be written back, so others go first. */
const HEAD_START_MS = 400;

/**
 * Raises the epoch after each change of the Redis process and after each wipe, to a revision above all that this process has ever
 * seen. Any number may run: one of them does it.
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
  let neededFromMs: number | undefined;
  const check = async (): Promise<void> => {
    const { epoch, revision, loaded } = feed.status();
    highest = Math.max(highest, revision);
    const seen = { epoch, revision: highest };
    const { type } = await store.raiseEpoch(seen);
    if (type === 'fine') {
      neededFromMs = undefined;
      return;
    }
    neededFromMs ??= clock.monotonicMs();
    const knowsNothing = !loaded || (epoch === 0 && revision === 0);
    if (knowsNothing && clock.monotonicMs() - neededFromMs < HEAD_START_MS) return;
    const raised = await store.raiseEpoch(seen, {
      reason: 'another Redis process answers, or an empty one: it may know less',
      snapshot: loaded ? feed.view.snapshot() : emptySnapshot,
    });
    if (raised.type !== 'raised') return;
    logger.warn({ seen, now: raised.cursor, writtenBack: raised.writtenBack }, 'catalog.epoch_raised');
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
