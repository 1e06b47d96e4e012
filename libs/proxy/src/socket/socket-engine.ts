// The engine: HTTP/1.1 on bare sockets, with our own framer on both sides. No node:http, no stream pipeline, no promise, no log
// line on the way of a request that goes well (measured: see docs/adr/0006).
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { RetryBudgets } from '../budget.ts';
import { createDeadlines } from '../deadlines.ts';
import type { DataPlane, DataPlaneOptions } from '../engine.ts';
import { createCounters } from '../counters.ts';
import { createTrustedPeers } from '../trusted-peers.ts';
import { ClientConnection } from './client-connection.ts';
import type { EngineState } from './engine-state.ts';
import type { Exchange } from './exchange.ts';
import { StallGuard } from './stall-guard.ts';
import { createUpstreamPools } from './upstream-pool.ts';
import { WaitingRooms } from './waiting-rooms.ts';

/** Timeouts come up to this much late, in exchange for one timer in all. */
const SWEEP_MS = 100;
const DRAIN_STEP_MS = 50;

/** A data plane on bare sockets. Throws when `trustedProxies` has an entry that is no address or range. */
export function createSocketDataPlane(options: DataPlaneOptions): DataPlane {
  const { limits, timeouts, clock, logger, name } = options;
  const engine: EngineState = {
    options,
    trusted: createTrustedPeers(options.trustedProxies),
    counters: createCounters(),
    clients: new Set(),
    pools: createUpstreamPools({ ...limits, connectMs: timeouts.connectMs }, () => clock.monotonicMs()),
    budgets: new RetryBudgets(),
    waiting: new WaitingRooms(),
    tunnels: new Set(),
    deadlines: createDeadlines(() => clock.monotonicMs()),
    inFlight: 0,
    draining: false,
    dateLine: dateLine(clock.unixMs()),
    newRequestId: requestIds(),
  };
  const stallGuard = new StallGuard();
  let server: Server | undefined;
  let timer: NodeJS.Timeout | undefined;

  const open = (): Server => {
    const opening = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      engine.counters.connectionsTotal += 1;
      // it has gone already: what it said must not be carried out in nobody's name
      if (socket.remoteAddress === undefined) {
        engine.counters.connectionsDropped += 1;
        socket.on('error', () => undefined).destroy();
        return;
      }
      engine.counters.connections += 1;
      engine.clients.add(new ClientConnection(engine, socket));
    });
    opening.maxConnections = limits.connections;
    opening.on('drop', () => (engine.counters.connectionsDropped += 1));
    opening.on('error', (error) => logger.error({ err: error, listener: name }, 'proxy.listener_failed'));
    return opening;
  };
  const sweep = (): void => {
    const nowMs = clock.monotonicMs();
    engine.dateLine = dateLine(clock.unixMs());
    for (const client of engine.clients) client.sweep(nowMs);
    stallGuard.look(requests(engine), nowMs);
    engine.waiting.sweep();
    engine.pools.sweep(nowMs);
    engine.budgets.sweep(nowMs);
  };
  const isBusy = (): boolean => {
    for (const { busy } of engine.clients) if (busy) return true;
    return false;
  };

  return {
    name,
    stopDeadlineMs: timeouts.drainMs + 1_000,
    async start() {
      const opening = open();
      await listen(opening, options);
      server = opening;
      engine.deadlines.start();
      timer = setInterval(sweep, SWEEP_MS).unref();
    },
    async drain() {
      if (!server || engine.draining) return;
      engine.draining = true;
      server.close();
      const untilMs = clock.monotonicMs() + timeouts.drainMs;
      const keptUntilMs = clock.monotonicMs() + (timeouts.drainIdleMs ?? 0);
      for (;;) {
        const keptOpen = engine.clients.size > 0 && clock.monotonicMs() < keptUntilMs;
        if (!keptOpen) for (const client of engine.clients) client.closeIfIdle();
        if (!(keptOpen || isBusy()) || clock.monotonicMs() >= untilMs) return;
        await clock.sleep(DRAIN_STEP_MS);
      }
    },
    async stop() {
      engine.draining = true;
      const closing = server;
      server = undefined;
      if (closing?.listening) closing.close();
      for (const tunnel of engine.tunnels) tunnel.destroy();
      for (const client of engine.clients) client.destroy();
      engine.pools.destroy();
      // the sweeps end last: what was just cut off may have deadlines to close
      await clock.sleep(0);
      clearInterval(timer);
      engine.deadlines.stop();
    },
    dropInstance(service, id, reason) {
      for (const { exchange } of engine.clients) exchange?.instanceGone(service, id, reason);
      engine.pools.drop(service, id);
    },
    address() {
      const bound = server?.address() as AddressInfo | null | undefined;
      if (!bound) throw new Error(`${name} does not listen`);
      return { host: bound.address, port: bound.port };
    },
    stats: () => ({
      ...engine.counters,
      inFlight: engine.inFlight,
      queued: engine.waiting.size,
      tunnels: engine.tunnels.size,
    }),
  };
}

const dateLine = (unixMs: number): string => `Date: ${new Date(unixMs).toUTCString()}\r\n`;

/** The requests under way. */
function* requests({ clients }: EngineState): Generator<Exchange> {
  for (const { exchange } of clients) if (exchange !== undefined) yield exchange;
}

function listen(server: Server, { host, port, name }: DataPlaneOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      const advice =
        error.code === 'EADDRINUSE' ? 'is in use: end the process that holds it, or set another port' : error.message;
      reject(new Error(`${name}: port ${port} on ${host} ${advice}`, { cause: error }));
    };
    server.once('error', onError);
    server.listen({ host, port, backlog: 1_024 }, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

/** Unique for all time for our purposes, and cheap: random once, then counted. */
function requestIds(): () => string {
  const start = randomBytes(6).toString('hex');
  let count = 0;
  return () => {
    count += 1;
    return `${start}-${count.toString(36)}`;
  };
}
