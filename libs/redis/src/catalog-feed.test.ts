import { EventEmitter } from 'node:events';
import { emptySnapshot } from '@switchyard/catalog';
import type { CatalogStore } from '@switchyard/catalog';
import { createLogger } from '@switchyard/runtime';
import { eventually, manualClock } from '@switchyard/testing';
import { createCatalogFeed } from './catalog-feed.ts';
import type { Redis } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

describe('a feed', () => {
  it('knows how old its view is from the first snapshot on, also when Redis goes right after it', async () => {
    const clock = manualClock();
    const store = {
      snapshot: async () => ({ ...emptySnapshot, epoch: 1, revision: 7 }),
      tail: async () => {
        throw new Error('Connection is closed.');
      },
    } as unknown as CatalogStore;
    const feed = createCatalogFeed({ store, subscriber: new EventEmitter() as unknown as Redis, clock, logger });
    expect(feed.status()).toEqual({ loaded: false, ageMs: Infinity, epoch: 0, revision: 0 });

    await feed.start?.(new AbortController().signal);
    await eventually(() => expect(feed.status().loaded).toBe(true));

    expect(feed.status()).toEqual({ loaded: true, ageMs: 0, epoch: 1, revision: 7 });
    await clock.advance(100);
    expect(feed.status().ageMs).toBe(100);
    await feed.stop?.();
  });
});
