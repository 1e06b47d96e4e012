// How does a reader stay in step with the catalog? Snapshot, then events in order; published events only wake it.
//
//   wait-snapshot --loaded--> follow --gap or other epoch--> wait-snapshot
//   Redis gone: the view stays as it is, without limit, and `status` says how old it is. So it does while Redis is another process
//   than before, or empty, and nobody has begun the next epoch: what is there may be half of it.
import type { Redis } from 'ioredis';
import { channels } from '@switchyard/protocol';
import type { SwitchyardEvent } from '@switchyard/protocol';
import { createCatalogView } from '@switchyard/catalog';
import type { CatalogStore, CatalogView, ViewChange } from '@switchyard/catalog';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import { keepSubscribed } from './subscription.ts';

export type FeedNews =
  /** the whole view was replaced */
  | { readonly type: 'reset'; readonly view: CatalogView }
  | {
      readonly type: 'event';
      readonly view: CatalogView;
      readonly event: SwitchyardEvent;
      readonly change: ViewChange;
    };

export interface FeedStatus {
  /** false until the first snapshot was read */
  readonly loaded: boolean;
  /** since the last answer of Redis; Infinity before the first */
  readonly ageMs: number;
  readonly epoch: number;
  readonly revision: number;
}

export interface CatalogFeed extends Component {
  readonly view: CatalogView;
  status(): FeedStatus;
  /** Calls `listener` for every change, in order, after the view has it. Returns what ends it. */
  listen(listener: (news: FeedNews) => void): () => void;
  /** Reads what is new now, in place of waiting for the wake-up. */
  refresh(): void;
  /** Resolves when the view has `revision`, or after `deadlineMs`: so a writer's next read shows its write. */
  reached(revision: number, deadlineMs: number): Promise<void>;
}

const POLL_MS = 500;
const PAGE = 512;
/** Gaps that keep coming are met again at the next tick, not in a tight loop. */
const MAX_LOADS_PER_RUN = 3;

/** A feed over `store`. `subscriber` is a connection of its own; without it, latency is the poll's 500 ms. */
export function createCatalogFeed(options: {
  readonly store: CatalogStore;
  readonly subscriber: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
}): CatalogFeed {
  const { store, subscriber, clock, logger } = options;
  const listeners = new Set<(news: FeedNews) => void>();
  let view = createCatalogView();
  let loaded = false;
  let seenAtMs: number | undefined;

  const tell = (news: FeedNews): void => {
    for (const listener of listeners) listener(news);
  };

  const load = async (): Promise<void> => {
    const snapshot = await store.snapshot();
    // a wipe came between the look and the load
    if (loaded && !snapshot.claimed) return;
    seenAtMs = clock.monotonicMs();
    view = createCatalogView(snapshot);
    loaded = true;
    logger.info(
      { epoch: snapshot.epoch, revision: snapshot.revision, instances: view.instanceCount },
      'catalog.loaded',
    );
    tell({ type: 'reset', view });
  };

  const catchUp = async (): Promise<void> => {
    if (!loaded) await load();
    for (let loads = 0; loads < MAX_LOADS_PER_RUN;) {
      const tail = await store.tail({ epoch: view.epoch, revision: view.revision }, PAGE);
      if (tail.type === 'unclaimed') return;
      seenAtMs = clock.monotonicMs();
      if (tail.type === 'gap') {
        logger.warn({ known: { epoch: view.epoch, revision: view.revision }, found: tail.cursor }, 'catalog.gap');
        await load();
        loads += 1;
        continue;
      }
      for (const event of tail.events) {
        const outcome = view.apply(event);
        if (outcome.type === 'applied') tell({ type: 'event', view, event, change: outcome.change });
      }
      if (tail.events.length < PAGE) return;
    }
  };

  const ticker = createTicker({
    name: 'catalog-feed',
    everyMs: POLL_MS,
    run: catchUp,
    clock,
    logger,
    deadlineMs: 10_000,
  });
  const wake = (): void => ticker.wake();
  let unsubscribe: (() => void) | undefined;

  return {
    name: 'catalog-feed',
    get view() {
      return view;
    },
    status: () => ({
      loaded,
      ageMs: seenAtMs === undefined ? Infinity : clock.monotonicMs() - seenAtMs,
      epoch: view.epoch,
      revision: view.revision,
    }),
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    refresh: () => ticker.wake(),
    reached(revision, deadlineMs) {
      if (view.revision >= revision) return Promise.resolve();
      ticker.wake();
      return new Promise((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          listeners.delete(look);
          resolve();
        };
        const look = (): void => {
          if (view.revision >= revision) end();
        };
        const timer = setTimeout(end, deadlineMs);
        listeners.add(look);
      });
    },
    async start(signal) {
      subscriber.on('message', wake);
      // a reconnect may have missed wake-ups
      subscriber.on('ready', wake);
      unsubscribe = keepSubscribed(subscriber, [channels.events]);
      await ticker.start(signal);
    },
    async stop() {
      subscriber.off('message', wake);
      subscriber.off('ready', wake);
      unsubscribe?.();
      await ticker.stop();
    },
  };
}
