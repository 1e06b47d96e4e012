// How does a dispatcher stand among all dispatchers? It tells about itself, reads what the others tell, and asks them.
import { createDispatcherBoard, type CatalogFeed, type DispatcherBoard, type Redis } from '@switchyard/redis';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import { createFleetPeers, type FleetPeers } from './fleet-peers.ts';
import { createFleetPublisher } from './fleet-publisher.ts';
import { dispatcherState, toldBounds, type DispatcherParts } from './fleet-state.ts';
import type { TableKeeper } from './table-keeper.ts';

/** One dispatcher's place among all; the component tells about it. */
export interface Fleet {
  readonly teller: Component;
  readonly board: DispatcherBoard;
  readonly peers: FleetPeers;
}

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
  const board = createDispatcherBoard(redis);
  const state = () => dispatcherState(parts, toldBounds);
  return {
    teller: createFleetPublisher({ id, board, state, keeper, meters, ...rest }),
    board,
    peers: createFleetPeers({ id, url, board }),
  };
}
