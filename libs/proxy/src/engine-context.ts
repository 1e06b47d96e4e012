// What do all exchanges of one engine share? Its options, its counters, its connections, and who is under way.
import type { Socket } from 'node:net';
import type { UpstreamAgents } from './attempt.ts';
import type { Deadlines } from './deadlines.ts';
import type { DataPlaneOptions } from './engine.ts';
import type { TrustedPeers } from './trusted-peers.ts';
import type { Tunnel } from './tunnel.ts';

/** Counters while they are raised; DataPlaneStats is how others see them. */
export interface EngineCounters {
  connections: number;
  connectionsTotal: number;
  connectionsDropped: number;
  requestsTotal: number;
  retriesTotal: number;
  redirectsTotal: number;
  clientAbortsTotal: number;
  truncatedTotal: number;
  readonly answersByClass: number[];
  readonly refusalsByCode: Record<string, number>;
}

/** A request under way, as the engine sees it. */
export interface ActiveExchange {
  /** An event stream: has no end of its own, so nobody waits for it when the engine drains. */
  endless: boolean;
  readonly hasAnswered: () => boolean;
  /** Ends it without an answer; the caller deals with the client's connection. */
  readonly abandon: () => void;
}

/** Shared by everything in one engine. */
export interface EngineContext {
  readonly options: DataPlaneOptions;
  readonly agents: UpstreamAgents;
  readonly deadlines: Deadlines;
  readonly trusted: TrustedPeers;
  readonly counters: EngineCounters;
  /** As many as requests under way. */
  readonly active: Set<ActiveExchange>;
  /** Requests under way on a connection: more than one only when the client pipelines. */
  readonly activeOn: WeakMap<Socket, ActiveExchange[]>;
  /** As many as upgraded connections. */
  readonly tunnels: Set<Tunnel>;
  readonly isDraining: () => boolean;
  readonly newRequestId: () => string;
}

/** All zero. */
export function createCounters(): EngineCounters {
  return {
    connections: 0,
    connectionsTotal: 0,
    connectionsDropped: 0,
    requestsTotal: 0,
    retriesTotal: 0,
    redirectsTotal: 0,
    clientAbortsTotal: 0,
    truncatedTotal: 0,
    answersByClass: [0, 0, 0, 0, 0, 0],
    refusalsByCode: {},
  };
}

/** Counts a refusal; the codes are those of the error table, so the record stays small. */
export function countRefusal(counters: EngineCounters, code: string): void {
  counters.refusalsByCode[code] = (counters.refusalsByCode[code] ?? 0) + 1;
}
