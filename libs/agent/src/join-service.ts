// How does an app become an instance in one line? It hands over its server; the rest follows from that and from the environment.
//
//   const joined = joinService(app.listen(3000), { service: 'shop' });
//
// On SIGTERM: not ready -> drain announced, waited for until dispatchers have let go -> deregistered -> server closed, requests
// finished -> exit. Nothing here keeps the app from serving: without a registry it joins when one comes.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { env as processEnv } from 'node:process';
import { performance } from 'node:perf_hooks';
import { Server as TlsServer } from 'node:tls';
import { instanceInputSchema } from '@switchyard/protocol';
import type { InstanceInput } from '@switchyard/protocol';
import { advertisedUrl, createLogger, loadConfig, systemClock, withDeadline } from '@switchyard/runtime';
import type { Logger } from '@switchyard/runtime';
import type { Agent, AgentState } from './agent.ts';
import { joinSettings } from './join-settings.ts';
import type { HeldRole } from './liveness-link.ts';
import { watchRequests } from './served-requests.ts';
import type { AnyServer } from './served-requests.ts';
import { createWorkerAgent } from './worker-agent.ts';

/** A server of node:http, node:https or node:net (what `listen` of Express returns), or an app that has one as `server` (Fastify). */
export type Joinable = AnyServer | { readonly server: AnyServer; readonly close: () => unknown };

export interface JoinOptions extends Partial<Omit<InstanceInput, 'host' | 'port'>> {
  readonly service: string;
  /** Never used again; SWITCHYARD_INSTANCE_ID, or the service with six random letters. */
  readonly id?: string;
  /** SWITCHYARD_REGISTRY_URL, a list; http://127.0.0.1:4721 without it. */
  readonly registryUrls?: readonly string[];
  /** False: the app handles SIGTERM and SIGINT, and calls `leave`. */
  readonly signals?: boolean;
  /** False: the process is not exited after a signal. */
  readonly exit?: boolean;
  /** Ms for all of it after a signal: 9000, since containers are killed after 10 s. */
  readonly shutdownMs?: number;
  /** Ms to wait before leaving when nobody can say who has let go; 1000. */
  readonly drainDelayMs?: number;
  /** Ms that the event loop may stand still before the instance counts as hung; 30000. */
  readonly busyLimitMs?: number;
  readonly logger?: Logger;
  /** This instance is the active one of its service now; what it does outside is fenced by the token. */
  readonly onActivate?: (held: { readonly fencingToken: number | undefined }) => unknown;
  /** It is not the active one any more. */
  readonly onDeactivate?: () => unknown;
  readonly onRole?: (held: HeldRole) => unknown;
  /** The event loop was late by so many ms. */
  readonly onBusy?: (lagMs: number) => unknown;
}

export interface Joined {
  readonly id: string;
  /** Listens, and is not about to leave. */
  readonly ready: boolean;
  readonly role: HeldRole;
  /** Answers 200 or 503; for node:http and Express. */
  readonly readyz: (req: IncomingMessage, res: ServerResponse) => void;
  /** Leaves as on SIGTERM, without the exit. True when no request was cut off. */
  leave(): Promise<boolean>;
  state(): AgentState | undefined;
}

const shutdownMs = 9_000;
/** The part of it in which dispatchers let go; the rest is for the requests. */
const drainRatio = 0.6;
const utilizationEveryMs = 500;

/** Joins as soon as the server listens. Throws at once when the options or the environment cannot be used. */
export const joinService = (joinable: Joinable, options: JoinOptions): Joined => {
  const { service, signals = true, exit = true, drainDelayMs, busyLimitMs } = options;
  const config = loadConfig(joinSettings, { env: processEnv, app: 'JOIN' });
  const id = options.id ?? config.instanceId ?? `${service}-${letters(6)}`;
  const logger = options.logger ?? createLogger(service, { fields: { instanceId: id } });
  const server = 'server' in joinable ? joinable.server : joinable;
  const requests = watchRequests(server, {
    id,
    clock: systemClock,
    ...('server' in joinable && { close: () => joinable.close() }),
  });
  // what is wrong with the description is told now and not when the server listens
  describe(options, 'http://127.0.0.1:1');
  let agent: Agent | undefined;
  let role: HeldRole = { role: options.role ?? 'member' };
  let ready = false;
  let leaving: Promise<boolean> | undefined;

  const tell = (what: string, call: (() => unknown) | undefined): void => {
    if (call)
      Promise.resolve()
        .then(call)
        .catch((error: unknown) => logger.error({ what, err: error }, 'join.callback_failed'));
  };
  const onRole = (held: HeldRole): void => {
    const was = role;
    role = held;
    tell('onRole', options.onRole && (() => options.onRole?.(held)));
    const { fencingToken } = held;
    const renewed = was.role !== 'active' || was.fencingToken !== fencingToken;
    if (held.role === 'active' && renewed) tell('onActivate', () => options.onActivate?.({ fencingToken }));
    if (held.role !== 'active' && was.role === 'active') tell('onDeactivate', () => options.onDeactivate?.());
  };
  const join = (): void => {
    if (leaving || agent) return;
    ready = true;
    agent = createWorkerAgent({
      registryUrls: options.registryUrls ?? config.registryUrls,
      service,
      id,
      input: describe(options, options.url ?? urlOf(server, config.advertiseHost)),
      clock: systemClock,
      logger,
      load: loadOf(() => requests.inflight()),
      onRole,
      onBusy: (lagMs) => tell('onBusy', options.onBusy && (() => options.onBusy?.(lagMs))),
      ...(drainDelayMs === undefined ? {} : { drainDelayMs }),
      ...(busyLimitMs === undefined ? {} : { busyLimitMs }),
    });
    void agent.start();
  };

  const leave = async (): Promise<boolean> => {
    const endMs = systemClock.monotonicMs() + (options.shutdownMs ?? shutdownMs);
    ready = false;
    requests.announceEnd();
    const leftMs = (): number => Math.max(0, endMs - systemClock.monotonicMs());
    const gone = withDeadline(
      agent?.drain() ?? Promise.resolve(),
      leftMs() * drainRatio,
      `the leaving of ${service}/${id}`,
    );
    await gone.catch((error: unknown) => logger.warn({ err: error }, 'join.left_unheard'));
    if (role.role === 'active') onRole({ role: 'standby' });
    const clean = await requests.finish(leftMs());
    if (!clean) logger.warn({ service, id }, 'join.requests_cut');
    await agent?.stop();
    return clean;
  };
  const joined: Joined = {
    id,
    get ready() {
      return ready;
    },
    get role() {
      return role;
    },
    readyz: (_req, res) => {
      res.writeHead(ready ? 200 : 503, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      res.end(JSON.stringify({ ready, service, id, role: role.role }));
    },
    leave: () => (leaving ??= leave()),
    state: () => agent?.state(),
  };

  if (server.listening) join();
  else server.once('listening', join);
  if (signals) {
    const end = (signal: NodeJS.Signals): void => {
      if (leaving) process.exit(1);
      logger.info({ signal }, 'join.leaving');
      void joined.leave().then((clean) => exit && process.exit(clean ? 0 : 1));
    };
    process.on('SIGTERM', end).on('SIGINT', end);
  }
  return joined;
};

const letters = (count: number): string =>
  Array.from({ length: count }, () => Math.floor(Math.random() * 36).toString(36)).join('');

/** The registration; throws a ZodError that names each field that cannot be. */
const describe = (options: JoinOptions, url: string): InstanceInput => {
  const { weight, zone, version, meta, ttl, check = { type: 'tcp' }, role } = options;
  const given = { weight, zone, version, meta, ttl, check, role };
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return instanceInputSchema.parse({ url, ...set });
};

const urlOf = (server: AnyServer, advertiseHost: string | undefined): string => {
  const address = server.address();
  if (address === null || typeof address === 'string') {
    throw new Error('the server listens on no port: give the option url, under which others reach it');
  }
  const url = advertisedUrl({ bindHost: address.address, advertiseHost, port: address.port });
  return server instanceof TlsServer ? url.replace('http:', 'https:') : url;
};

const loadOf = (inflight: () => number) => {
  let from = performance.eventLoopUtilization();
  let fromMs = performance.now();
  let utilization = 0;
  return (): { inflight: number; utilization: number } => {
    if (performance.now() - fromMs >= utilizationEveryMs) {
      const now = performance.eventLoopUtilization();
      ({ utilization } = performance.eventLoopUtilization(now, from));
      from = now;
      fromMs = performance.now();
    }
    return { inflight: inflight(), utilization };
  };
};
