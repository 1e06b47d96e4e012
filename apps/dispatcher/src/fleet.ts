// How does a dispatcher stand among all dispatchers? It tells about itself, reads what the others tell, and asks them.
import { createDispatcherBoard, type CatalogFeed, type DispatcherBoard, type Redis } from '@switchyard/redis';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import { createFleetPeers, type FleetPeers } from './fleet-peers.ts';
import { createFleetPublisher } from './fleet-publisher.ts';
import { dispatcherState, toldBounds, type DispatcherParts } from './fleet-state.ts';
import { pickHoldMs } from './pick-route.ts';
import type { TableKeeper } from './table-keeper.ts';

/** One dispatcher's place among all; the component tells about it. */
export interface Fleet {
  readonly teller: Component;
  readonly board: DispatcherBoard;
  readonly peers: FleetPeers;
  /** A client was told to go straight to an instance of the service. */
  readonly notePick: (service: string) => void;
}

/** Who was told where to go has arrived after this: twice the time for which it may keep the answer. */
const onTheirWayMs = 2 * pickHoldMs;
/** Services of which that is remembered. */
const mostPicked = 1_000;

/** Its place, on `redis`, a `commands` connection. */
export function createFleet(
  parts: DispatcherParts & { readonly keeper: TableKeeper },
  from: {
    readonly redis: Redis;
    readonly feed: Pick<CatalogFeed, 'listen'>;
    readonly clock: Clock;
    readonly logger: Logger;
  },
): Fleet {
  const { id, url, keeper, meters } = parts;
  const { redis, ...rest } = from;
  const pickedMs = new Map<string, number>();
  const isPicked = (service: string): boolean =>
    from.clock.monotonicMs() - (pickedMs.get(service) ?? -Infinity) < onTheirWayMs;
  const board = createDispatcherBoard(redis);
  const state = () => dispatcherState(parts, toldBounds);
  return {
    teller: createFleetPublisher({ id, board, state, keeper, meters, isPicked, ...rest }),
    board,
    peers: createFleetPeers({ id, url, board }),
    notePick(service) {
      if (pickedMs.size >= mostPicked)
        for (const known of pickedMs.keys()) if (!isPicked(known)) pickedMs.delete(known);
      if (pickedMs.size < mostPicked || pickedMs.has(service)) pickedMs.set(service, from.clock.monotonicMs());
    },
  };
}
