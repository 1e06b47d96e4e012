// What is a part of the backup-worker? Routes, and components that start and stop; main.ts puts the parts together.
import type { Route } from '@switchyard/http';
import type { RedisConnections, RedisSettings } from '@switchyard/redis';
import type { Clock, Component, Health, Logger, Metrics } from '@switchyard/runtime';
import type { OperationRunner } from './operations/operation-runner.ts';
import type { Operations } from './operations/operations.ts';

/** What every part is given. */
export interface WorkerTools {
  /** The group that this worker follows. */
  readonly group: string;
  readonly settings: RedisSettings;
  readonly connections: RedisConnections;
  readonly operations: Operations;
  readonly runner: OperationRunner;
  /** Directory for throw-away servers and for what is under way. */
  readonly scratchDirectory: string;
  /** Address under which Redis nodes reach this process. */
  readonly advertisedHost: string;
  readonly bindHost: string;
  readonly instanceId: string;
  /** Name and version of this program. */
  readonly writer: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
}

/** A part: started in this order, stopped in reverse. */
export interface WorkerPart {
  readonly routes: readonly Route[];
  readonly components: readonly Component[];
}
