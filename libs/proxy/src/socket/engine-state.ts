// What do all connections of one engine share?
import type { RetryBudgets } from '../budget.ts';
import type { DataPlaneOptions } from '../engine.ts';
import type { EngineCounters } from '../counters.ts';
import type { Deadlines } from '../deadlines.ts';
import type { TrustedPeers } from '../trusted-peers.ts';
import type { Tunnel } from '../tunnel.ts';
import type { ClientConnection } from './client-connection.ts';
import type { UpstreamPools } from './upstream-pool.ts';
import type { WaitingRooms } from './waiting-rooms.ts';

/** Shared by everything in one engine. */
export interface EngineState {
  readonly options: DataPlaneOptions;
  readonly trusted: TrustedPeers;
  readonly counters: EngineCounters;
  /** as many as client connections, which are limited */
  readonly clients: Set<ClientConnection>;
  readonly pools: UpstreamPools;
  readonly budgets: RetryBudgets;
  readonly waiting: WaitingRooms;
  /** as many as upgraded connections */
  readonly tunnels: Set<Tunnel>;
  readonly deadlines: Deadlines;
  /** requests under way */
  inFlight: number;
  draining: boolean;
  /** `Date: ...`, ready; of this second */
  dateLine: string;
  readonly newRequestId: () => string;
}
