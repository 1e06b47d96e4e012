// What do the tests of this engine talk to? Real sockets on both sides: origins that say exactly these bytes, a client that
// reads exactly what came. Used by tests only.
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { pickerFor } from '@switchyard/balancing';
import { trafficRouteSchema } from '@switchyard/protocol';
import { createLogger, systemClock, type Clock } from '@switchyard/runtime';
import {
  defaultLimits,
  defaultServiceRules,
  defaultTimeouts,
  type AccessLog,
  type DataPlane,
  type Limits,
  type RequestHead,
  type RequestOutcome,
  type ServiceRules,
  type Target,
  type Timeouts,
  type TrafficPolicy,
  type WhyNot,
} from './engine.ts';
import { createMeters } from './meter.ts';
import { createSocketDataPlane } from './socket/socket-engine.ts';
import { compileRoutes } from './router.ts';

/** A back end under the control of a test. */
export interface Origin {
  readonly port: number;
  /** Everything that arrived, in the order of the connections. */
  readonly received: string[];
  readonly connections: () => number;
  close(): Promise<void>;
}

/** The engine under test. */
export interface Yard {
  readonly port: number;
  readonly plane: DataPlane;
  readonly targets: readonly Target[];
  readonly outcomes: RequestOutcome[];
  stop(): Promise<void>;
}

/** What came back on a raw connection. */
export interface Heard {
  readonly text: string;
  /** The other side ended the connection. */
  readonly ended: boolean;
  /** It was reset. */
  readonly reset: boolean;
}

/** An origin that answers by hand: `answer` gets the socket and everything that has arrived on it so far. */
export async function rawOrigin(answer: (socket: Socket, received: string) => void): Promise<Origin> {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const index = count;
    count += 1;
    received[index] = '';
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      received[index] += chunk.toString('latin1');
      answer(socket, received[index] ?? '');
    });
  });
  return {
    port: await listening(server),
    received,
    connections: () => sockets.size,
    close: () => closing(server, sockets),
  };
}

/** An origin that says these bytes as soon as the head of a request is complete, each time. */
export function scriptedOrigin(bytes: string, then: 'keep' | 'end' | 'reset' = 'keep'): Promise<Origin> {
  return rawOrigin((socket, received) => {
    if (!received.endsWith('\r\n\r\n')) return;
    socket.write(bytes, 'latin1', () => {
      if (then === 'end') socket.end();
      if (then === 'reset') socket.resetAndDestroy();
    });
  });
}

/** An origin on node:http. */
export async function httpOrigin(listener: RequestListener): Promise<Origin> {
  const sockets = new Set<Socket>();
  const server = createHttpServer(listener);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  return {
    port: await listening(server),
    received: [],
    connections: () => sockets.size,
    close: () => closing(server, sockets),
  };
}

/** An engine in front of these ports, all of the service "shop"; ids are a, b, c... */
export async function startYard(options: {
  readonly ports: readonly number[];
  readonly route?: object;
  readonly limits?: Partial<Limits>;
  readonly timeouts?: Partial<Timeouts>;
  readonly trustedProxies?: readonly string[];
  readonly announceInstance?: boolean;
  readonly whyNot?: readonly WhyNot[];
  readonly clock?: Clock;
  readonly rules?: Partial<ServiceRules>;
  readonly claimReplay?: TrafficPolicy['claimReplay'];
  readonly accessLog?: AccessLog;
  readonly observe?: TrafficPolicy['observe'];
  /** Called when the engine has read the head of a request, before an instance is asked. */
  readonly routed?: (head: RequestHead) => void;
  /** The instances speak TLS, under this name or address. */
  readonly secureAs?: string;
}): Promise<Yard> {
  const meters = createMeters();
  const targets: Target[] = options.ports.map((port, index) => {
    const id = String.fromCodePoint(97 + index);
    const origin = `http://127.0.0.1:${port}`;
    return {
      id,
      service: 'shop',
      weight: 1,
      host: options.secureAs ?? '127.0.0.1',
      port,
      secure: options.secureAs !== undefined,
      origin,
      meter: meters.of('shop', id),
    };
  });
  const context = { random: () => 0, inFlight: (target: Target) => target.meter.inFlight };
  const picker = pickerFor({ policy: 'round-robin', candidates: targets, context });
  const route = trafficRouteSchema.parse({ service: 'shop', ...options.route });
  const router = compileRoutes([{ name: 'all', route }], {
    random: () => 0,
    rulesOf: () => ({ ...defaultServiceRules, ...options.rules }),
    durationMs: () => undefined,
  });
  const outcomes: RequestOutcome[] = [];
  const plane = createSocketDataPlane({
    name: 'traffic',
    host: '127.0.0.1',
    port: 0,
    limits: { ...defaultLimits, ...options.limits },
    timeouts: { ...defaultTimeouts, ...options.timeouts },
    trustedProxies: options.trustedProxies ?? [],
    announceInstance: options.announceInstance ?? true,
    via: 'switchyard',
    clock: options.clock ?? systemClock,
    logger: createLogger('proxy-test', { level: 'silent' }),
    policy: {
      route(head) {
        options.routed?.(head);
        return router.route(head);
      },
      pick: (_service, excluded) => {
        const result = picker.pick(excluded);
        return result.picked ? result.candidate : undefined;
      },
      whyNot: () => options.whyNot ?? [],
      observe: options.observe ?? (() => undefined),
      report: (outcome) => outcomes.push(outcome),
      ...(options.claimReplay && { claimReplay: options.claimReplay }),
    },
    accessLog: options.accessLog,
  });
  await plane.start(new AbortController().signal);
  return { port: plane.address().port, plane, targets, outcomes, stop: () => plane.stop() };
}

/** Says `bytes` on a fresh connection and listens until it ends, until `until` has been heard, or for `ms`. */
export function say(
  port: number,
  bytes: string | Buffer,
  options: { readonly until?: string; readonly ms?: number; readonly end?: boolean } = {},
): Promise<Heard> {
  return new Promise((resolve) => {
    let text = '';
    let ended = false;
    let reset = false;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, ended, reset });
    };
    const timer = setTimeout(done, options.ms ?? 3_000);
    socket.on('connect', () => {
      socket.write(bytes);
      if (options.end === true) socket.end();
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (options.until !== undefined && text.includes(options.until)) done();
    });
    socket.on('end', () => {
      ended = true;
      done();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      reset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
      done();
    });
  });
}

/** The status of the first answer. */
export function statusOf(heard: Heard): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(heard.text)?.[1] ?? 0);
}

/** The problem document in an answer. */
export function problemIn(heard: Heard): {
  readonly code: string;
  readonly why: readonly string[];
  readonly status: number;
  readonly instance?: string;
} {
  return JSON.parse(heard.text.slice(heard.text.indexOf('\r\n\r\n') + 4)) as never;
}

/** A port that refuses connections. */
export async function deadPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await closing(server, new Set());
  return port;
}

function listening(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

function closing(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const socket of sockets) socket.destroy();
  });
}
