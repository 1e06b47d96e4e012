// When does this dispatcher tell the others about itself? Once a second; and at once when an instance that leaves is not picked
// any more, or has nothing under way any more: it waits for just that.
import type { DispatcherState } from '@switchyard/protocol';
import type { Meters } from '@switchyard/proxy';
import type { CatalogFeed, DispatcherBoard } from '@switchyard/redis';
import { createTicker, withDeadline, type Clock, type Component, type Logger } from '@switchyard/runtime';
import { createFleetDrains, gistOf } from './fleet-drains.ts';
import type { TableKeeper } from './table-keeper.ts';

export interface FleetPublisherOptions {
  readonly id: string;
  readonly board: Pick<DispatcherBoard, 'publish' | 'withdraw'>;
  /** The bounded state now. */
  readonly state: () => DispatcherState;
  readonly keeper: Pick<TableKeeper, 'current'>;
  readonly feed: Pick<CatalogFeed, 'listen'>;
  readonly meters: Meters;
  /** Whether clients were told a moment ago to go straight to an instance of the service. */
  readonly isPicked?: (service: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

const everyMs = 1_000;
/**
 * So soon it is looked whether the last request at an instance that leaves is over, only while there is one: most take no longer.
 * A request that goes on for hours is looked at ever less often.
 */
const firstWatchMs = 20;
const longestWatchMs = 250;
const withdrawDeadlineMs = 500;

/** To be started after the table and before the listeners, so that nothing is served by a dispatcher that nobody knows. */
export function createFleetPublisher(options: FleetPublisherOptions): Component {
  const { id, board, state, keeper, feed, meters, clock, logger } = options;
  const drains = createFleetDrains(meters, options.isPicked);
  let told = '';
  let timer: NodeJS.Timeout | undefined;
  let watchMs = firstWatchMs;
  let stopListening: (() => void) | undefined;

  const publish = async (what: { readonly state?: DispatcherState }): Promise<void> => {
    const now = drains.now();
    const before = told;
    told = gistOf(now);
    if (told !== before) watchMs = firstWatchMs;
    watch(now.drains.some(({ inFlight }) => inFlight > 0));
    try {
      if (await board.publish(id, { ...what, drains: now })) return;
    } catch (error) {
      told = before;
      throw error;
    }
    throw new Error('there are too many other dispatchers: this one is not shown, and not waited for by who leaves');
  };
  const states = createTicker({
    name: 'fleet-state',
    everyMs,
    jitterRatio: 0.1,
    run: () => publish({ state: state() }),
    clock,
    logger,
  });
  const changes = createTicker({
    name: 'fleet-drains',
    everyMs: 10 * everyMs,
    run: () => (gistOf(drains.now()) === told ? Promise.resolve() : publish({})),
    clock,
    logger,
  });
  const look = (): void => {
    timer = undefined;
    if (gistOf(drains.now()) === told) watch(true);
    else changes.wake();
  };
  const watch = (isWanted: boolean): void => {
    if (!isWanted || timer) return;
    timer = setTimeout(look, watchMs).unref();
    watchMs = Math.min(longestWatchMs, watchMs * 1.2);
  };

  return {
    name: 'fleet',
    async start(signal) {
      stopListening = feed.listen((news) => {
        if (news.type === 'event' && news.change.type !== 'service') return;
        const only = news.type === 'event' && news.change.type === 'service' ? news.change.service : undefined;
        if (drains.changed(keeper.current(), only) && gistOf(drains.now()) !== told) changes.wake();
      });
      drains.changed(keeper.current());
      await states.start(signal);
      await changes.start(signal);
    },
    async stop() {
      stopListening?.();
      clearTimeout(timer);
      await Promise.all([states.stop(), changes.stop()]);
      clearTimeout(timer);
      // who waits to leave need not wait for a dispatcher that has left
      await withDeadline(board.withdraw(id), withdrawDeadlineMs, 'the farewell').catch(() => undefined);
    },
  };
}
