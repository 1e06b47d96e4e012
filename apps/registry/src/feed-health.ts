// Is the registry's own picture fresh? Its readiness and its metrics say so; old pictures are still served.
import type { CatalogFeed } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Health, Logger, Metrics } from '@switchyard/runtime';

const STALE_AFTER_MS = 3_000;

/** Sets the check `catalog` once a second and whenever the catalog was read anew, and the gauges of age and size. */
export function watchFeed(options: {
  readonly feed: CatalogFeed;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { feed, health, metrics, clock, logger } = options;
  const age = metrics.gauge('catalog_age_seconds', 'Seconds since Redis last confirmed what this process knows');
  const size = metrics.gauge('catalog_instances', 'Instances in the catalog, dead ones that are not reaped included');
  const look = async (): Promise<void> => {
    const { loaded, ageMs, epoch, revision } = feed.status();
    size.set(feed.view.instanceCount);
    if (loaded) age.set(ageMs / 1000);
    const position = `epoch ${epoch}, revision ${revision}`;
    if (!loaded) health.set('catalog', { ok: false, detail: 'waiting for Redis: the catalog was not read yet' });
    else if (ageMs <= STALE_AFTER_MS) health.set('catalog', { ok: true, detail: position });
    else {
      const seconds = (ageMs / 1000).toFixed(0);
      health.set('catalog', {
        ok: false,
        detail: `Redis has not answered for ${seconds} s; reads are served from ${position}`,
      });
    }
  };
  const ticker = createTicker({ name: 'feed-health', everyMs: 1_000, run: look, clock, logger });
  let stopListening: (() => void) | undefined;
  return {
    name: 'feed-health',
    async start(signal) {
      stopListening = feed.listen(({ type }) => type === 'reset' && ticker.wake());
      await ticker.start(signal);
    },
    async stop() {
      stopListening?.();
      await ticker.stop();
    },
  };
}
