// How does a test run monitors? Each as in its own process: own connections, own view, on one real Redis; and a fleet that beats.
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { emptySnapshot, registerInstance } from '@switchyard/catalog';
import type { CatalogStore } from '@switchyard/catalog';
import { instanceInputSchema, memberOf, ok } from '@switchyard/protocol';
import type { Instance, SwitchyardEvent } from '@switchyard/protocol';
import type { ProbeResult } from '@switchyard/failure-detection';
import { beat, createCatalogFeed, createCatalogStore, createRedis, decideAndCommit } from '@switchyard/redis';
import type { Redis, RedisConnections } from '@switchyard/redis';
import { createLogger, createMetrics, systemClock } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import { createMonitorMetrics } from './monitor-metrics.ts';
import { createMonitor } from './monitor.ts';
import type { Monitor } from './monitor.ts';
import { patientProbe } from './patient-probe.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

/** Lets time pass for monitors, whose clock is Redis's own. */
export const pause = (ms: number): Promise<void> => systemClock.sleep(ms);

export const typesOf = (events: readonly SwitchyardEvent[]): string[] => events.map(({ type }) => type);

/** Connections of one process. */
export const connectTo = (port: number, name: string): RedisConnections =>
  createRedis({ kind: 'single', endpoint: { host: '127.0.0.1', port }, group: 'main' }, { logger, name });

export interface TestMonitor extends Monitor {
  readonly connections: RedisConnections;
  /** Ends it without a word, as kill -9 would: its lease runs out by itself. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestMonitorOptions {
  readonly id: string;
  readonly port: number;
  readonly leaseMs?: number;
  readonly probe?: (instance: Instance, patience: number) => Promise<ProbeResult>;
  /** Stands between the monitor and its store. */
  readonly through?: (store: CatalogStore) => CatalogStore;
}

/** Starts one and resolves when it has swept. */
export async function startMonitor(options: TestMonitorOptions): Promise<TestMonitor> {
  const connections = connectTo(options.port, options.id);
  const store = createCatalogStore(connections.connect('commands'), options.id);
  const subscriber = connections.connect('subscriber');
  const feed = createCatalogFeed({ store, subscriber, clock: systemClock, logger });
  const monitor = createMonitor({
    id: options.id,
    // of its own, so that a test can take the lease away and leave the store
    redis: connections.connect('commands'),
    store: options.through?.(store) ?? store,
    feed,
    probe: options.probe ?? patientProbe(200),
    sweepMs: 25,
    leaseMs: options.leaseMs ?? 400,
    clock: systemClock,
    logger,
    metrics: createMonitorMetrics(createMetrics()),
  });
  const { signal } = new AbortController();
  // nobody leads before an epoch has begun; keepers do that in a whole process
  await eventually(async () => {
    await store.raiseEpoch({ epoch: 0, revision: 0 }, { reason: 'test', snapshot: emptySnapshot });
  });
  await feed.start?.(signal);
  await monitor.start?.(signal);
  await eventually(() => expect(monitor.status().lastSweepAgoMs).not.toBeNull(), { what: `a sweep of ${options.id}` });
  const end = async (): Promise<void> => {
    await monitor.stop?.();
    await feed.stop?.();
  };
  return {
    ...monitor,
    connections,
    async crash() {
      await connections.stop();
      await end();
    },
    async stop() {
      await end();
      await connections.stop();
    },
  };
}

/** Instances that live by heartbeats, and what the catalog says about them. */
export interface Fleet {
  readonly store: CatalogStore;
  readonly redis: Redis;
  /** Registers; it beats from then on. */
  add(service: string, id: string, more?: object): Promise<void>;
  /** No heartbeat any more. */
  silence(...members: readonly string[]): void;
  /** It beats again. */
  wake(...members: readonly string[]): void;
  liveness(member: string): Promise<string | undefined>;
  /** Events about a member, oldest first; all of them without one. */
  events(member?: string): Promise<SwitchyardEvent[]>;
  stop(): Promise<void>;
}

/** A fleet that beats every 100 ms. */
export function startFleet(port: number): Fleet {
  const connections = connectTo(port, 'fleet');
  const redis = connections.connect('commands');
  const store = createCatalogStore(redis, 'fleet');
  const beating = new Set<string>();
  const timer = setInterval(() => void beat(redis, [...beating]).catch(() => undefined), 100);
  return {
    store,
    redis,
    async add(service, id, more = {}) {
      const input = instanceInputSchema.parse({ url: `http://127.0.0.1:1`, ttl: '500ms', ...more });
      const ref = { service, id };
      const register = async () => ok(registerInstance(await store.readInstance(service, id), ref, input, Date.now()));
      const written = await eventually(() => decideAndCommit(store, register));
      expect(written.ok).toBe(true);
      beating.add(memberOf(service, id));
    },
    silence: (...members) => members.forEach((member) => beating.delete(member)),
    wake: (...members) => members.forEach((member) => beating.add(member)),
    async liveness(member) {
      const [service = '', id = ''] = member.split('/');
      return (await store.readInstance(service, id))?.liveness;
    },
    async events(member) {
      const { events } = await store.history(undefined, 1_000);
      return events.filter(({ subject }) => member === undefined || subject === member).toReversed();
    },
    async stop() {
      clearInterval(timer);
      await connections.stop();
    },
  };
}

/** A port that accepts connections: an instance whose process answers. */
export async function startListener(): Promise<{ server: Server; url: string }> {
  const server = createServer((socket) => socket.on('error', () => undefined).end());
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
