// The first engine: node:http on both sides. Correct before fast; a socket engine of our own is to take its place behind
// the same interface (engine.ts).
import { createServer, ServerResponse, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { receive } from './arrival.ts';
import { createUpstreamAgents } from './attempt.ts';
import { createDeadlines } from './deadlines.ts';
import type { DataPlane, DataPlaneOptions } from './engine.ts';
import { createCounters, type EngineContext } from './engine-context.ts';
import { endSoon, refuseRaw, refusalOfParser } from './raw-refusal.ts';
import { createTrustedPeers } from './trusted-peers.ts';
import { isPassableUpgrade } from './upgrade-check.ts';

/** How often an engine that drains looks for connections that became idle. */
const drainStepMs = 50;

/** A data plane on node:http. Throws when `trustedProxies` has an entry that is no address or range. */
export function createNodeDataPlane(options: DataPlaneOptions): DataPlane {
  const { limits, timeouts, clock, logger, name } = options;
  let draining = false;
  let server: Server | undefined;
  const engine: EngineContext = {
    options,
    agents: createUpstreamAgents(limits.idlePerInstance),
    deadlines: createDeadlines(() => clock.monotonicMs()),
    trusted: createTrustedPeers(options.trustedProxies),
    counters: createCounters(),
    active: new Set(),
    activeOn: new WeakMap(),
    tunnels: new Set(),
    isDraining: () => draining,
    newRequestId: requestIds(),
  };

  const open = (): Server => {
    const opening = createServer({
      maxHeaderSize: limits.headBytes,
      headersTimeout: timeouts.headMs,
      connectionsCheckingInterval: Math.max(50, Math.min(1_000, timeouts.headMs / 4)),
      keepAliveTimeout: timeouts.keepAliveMs,
      // Bodies are watched while they move, not as a whole; a missing Host is refused by us, with a reason.
      requestTimeout: 0,
      requireHostHeader: false,
      noDelay: true,
      shouldUpgradeCallback: isPassableUpgrade,
    });
    opening.maxConnections = limits.connections;
    // Headers beyond a count would be dropped without a word, framing included. Their bytes are limited.
    opening.maxHeadersCount = 0;
    opening.on('request', (req, res) => receive(engine, { req, res }));
    opening.on('checkContinue', (req: IncomingMessage, res: ServerResponse) =>
      receive(engine, { req, res, expectsContinue: true }),
    );
    opening.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) => receive(engine, { req, res }));
    opening.on('upgrade', (req: IncomingMessage, socket, head) => receiveUpgrade(engine, req, { socket, head }));
    opening.on('connect', (_req, socket) =>
      refuseRaw(engine, socket as Socket, {
        code: 'not_implemented',
        detail: 'CONNECT is refused: this is not a forward proxy.',
      }),
    );
    opening.on('clientError', (error: NodeJS.ErrnoException, socket) => onClientError(engine, error, socket as Socket));
    opening.on('connection', (socket: Socket) => {
      engine.counters.connections += 1;
      engine.counters.connectionsTotal += 1;
      socket.once('close', () => (engine.counters.connections -= 1));
    });
    opening.on('drop', () => (engine.counters.connectionsDropped += 1));
    opening.on('error', (error) => logger.error({ err: error, listener: name }, 'proxy.listener_failed'));
    return opening;
  };

  return {
    name,
    stopDeadlineMs: timeouts.drainMs + 1_000,
    async start() {
      const opening = open();
      await listen(opening, options);
      server = opening;
      engine.deadlines.start();
    },
    async drain() {
      if (!server || draining) return;
      draining = true;
      server.close();
      const untilMs = clock.monotonicMs() + timeouts.drainMs;
      while (isBusy(engine) && clock.monotonicMs() < untilMs) {
        server.closeIdleConnections();
        await clock.sleep(drainStepMs);
      }
      server.closeIdleConnections();
    },
    async stop() {
      draining = true;
      const closing = server;
      server = undefined;
      if (closing?.listening) closing.close();
      for (const tunnel of engine.tunnels) tunnel.destroy();
      closing?.closeAllConnections();
      engine.agents.destroy();
      // The sweep ends last: what was just cut off may have deadlines to close.
      await clock.sleep(0);
      engine.deadlines.stop();
    },
    address() {
      const bound = server?.address() as AddressInfo | null | undefined;
      if (!bound) throw new Error(`${name} does not listen`);
      return { host: bound.address, port: bound.port };
    },
    stats: () => ({ ...engine.counters, inFlight: engine.active.size, tunnels: engine.tunnels.size }),
  };
}

function isBusy(engine: EngineContext): boolean {
  for (const exchange of engine.active) if (!exchange.endless) return true;
  return false;
}

// A request that asks for a protocol switch has no response object of node:http; it gets one, so that a refusal or an
// ordinary answer of the instance takes the same way as any other.
function receiveUpgrade(
  engine: EngineContext,
  req: IncomingMessage,
  { socket, head }: { readonly socket: unknown; readonly head: Buffer },
): void {
  const client = socket as Socket;
  if (!isPassableUpgrade(req)) {
    // Only on a Node without shouldUpgradeCallback (before 24.9); nothing else would come this far.
    refuseRaw(engine, client, { code: 'not_implemented', detail: 'This protocol switch is not passed on.' });
    return;
  }
  client.on('error', () => client.destroy());
  const res = new ServerResponse(req);
  res.shouldKeepAlive = false;
  res.assignSocket(client);
  res.once('finish', () => endSoon(engine, client));
  receive(engine, { req, res, early: head });
}

function onClientError(engine: EngineContext, error: NodeJS.ErrnoException, socket: Socket): void {
  const answer = refusalOfParser(error, socket.bytesRead);
  const under = engine.activeOn.get(socket) ?? [];
  const [only] = under;
  // Behind another request, or inside an answer that has begun, nothing can be said any more.
  const canSay = answer !== undefined && socket.writable && under.length <= 1 && only?.hasAnswered() !== true;
  for (const exchange of under) exchange.abandon();
  if (canSay) refuseRaw(engine, socket, answer.refusal, answer.status);
  else if (!socket.writableEnded) socket.destroy();
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

// Unique for all time for our purposes, and cheap: random once, then counted.
function requestIds(): () => string {
  const start = randomBytes(6).toString('hex');
  let count = 0;
  return () => {
    count += 1;
    return `${start}-${count.toString(36)}`;
  };
}
