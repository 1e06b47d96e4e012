// Who belongs to the Redis Cluster, and what did each say last? As observer.ts: whom a node names is watched, too, and forgotten
// when nobody names it any more.
import { addressKey, type Address, type ClusterObservation, type Endpoint } from '@switchyard/replication';
import { createRedisNodeAdmin, type RedisNodeAdmin, type RedisSettings } from '@switchyard/redis';
import type { Clock, Logger } from '@switchyard/runtime';
import { watchClusterNode, type WatchedClusterNode } from './cluster-node.ts';
import type { Observer } from '../observer.ts';

/** Eyes on one cluster. */
export interface ClusterObserver extends Observer {
  /** The latest answers, with what they say about the cluster. */
  cluster(): ClusterObservation;
  /** With their next answers all nodes tell their settings, too. */
  refresh(): void;
  /** A connection of its own for writes: while a primary hands over it holds back whatever comes after a write. */
  writerAt(address: Address): RedisNodeAdmin | undefined;
  /** Watches this address from now on, whoever is there. */
  add(at: Address): void;
  /** Forgets it, unless somebody names it again. */
  drop(at: Address): void;
}

/** Which cluster, and where to begin. */
export interface ClusterObserverOptions {
  readonly settings: RedisSettings & { readonly kind: 'cluster' };
  readonly names: ReadonlyMap<string, string>;
  readonly homeSlot: number | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onTurn: () => void;
}

const mostNodes = 64;
/** A node that nobody names for so long is forgotten; one that says itself that it is alone, sooner. */
const forgetAfterMs = 60_000;
const forgetAloneAfterMs = 3_000;

/** An observer of the cluster behind the seeds. */
export const createClusterObserver = (options: ClusterObserverOptions): ClusterObserver => {
  const { settings, names, homeSlot, clock, logger, onTurn } = options;
  const nodes = new Map<string, WatchedClusterNode>();
  const writers = new Map<string, RedisNodeAdmin>();
  const namedAtMs = new Map<string, number>();
  const seeds = new Set(settings.nodes.map(addressKey));
  const { username, password, tls } = settings;
  const access = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };

  const add = (at: Address): void => {
    const key = addressKey(at);
    namedAtMs.set(key, clock.monotonicMs());
    if (nodes.has(key) || nodes.size >= mostNodes) return;
    const endpoint: Endpoint = { name: names.get(key) ?? key, host: at.host, port: at.port };
    const admin = createRedisNodeAdmin({ ...access, host: at.host, port: at.port, clock, logger });
    nodes.set(key, watchClusterNode({ endpoint, admin, clock, onTurn }));
    logger.info({ group: settings.group, node: endpoint.name }, 'redis.node_watched');
  };
  const drop = (key: string): void => {
    const node = nodes.get(key);
    if (node === undefined) return;
    node.close();
    writers.get(key)?.close();
    writers.delete(key);
    nodes.delete(key);
    namedAtMs.delete(key);
    logger.info({ group: settings.group, node: node.endpoint.name }, 'redis.node_forgotten');
  };

  const discover = (): void => {
    for (const node of nodes.values()) {
      const { cluster, failure } = node.observation();
      if (cluster === null || failure !== null) continue;
      for (const { at, handshake, isMyself } of cluster.lines) if (at !== null && !handshake && !isMyself) add(at);
    }
  };
  const forget = (): void => {
    const nowMs = clock.monotonicMs();
    // Only when somebody is left to name the others: with all of them away, everybody is remembered.
    if (![...nodes.values()].some((one) => one.observation().failure === null)) return;
    for (const [key, node] of nodes) {
      const patienceMs = node.observation().cluster?.lines.length === 1 ? forgetAloneAfterMs : forgetAfterMs;
      if (!seeds.has(key) && nowMs - (namedAtMs.get(key) ?? 0) > patienceMs) drop(key);
    }
  };
  const observations = () => [...nodes.values()].map((node) => node.observation());

  return {
    start() {
      for (const seed of settings.nodes) add(seed);
    },
    poll() {
      discover();
      forget();
      for (const node of nodes.values()) node.poll();
    },
    refresh() {
      for (const node of nodes.values()) node.refresh();
    },
    observe: () => ({ name: settings.group, kind: 'cluster', nodes: observations(), sentinels: [] }),
    cluster: () => ({ name: settings.group, nodes: observations(), homeSlot }),
    nodeAt: (address) => nodes.get(addressKey(address))?.admin,
    writerAt(address) {
      const key = addressKey(address);
      if (!nodes.has(key)) return undefined;
      const known = writers.get(key);
      if (known !== undefined) return known;
      const { host, port } = address;
      const writer = createRedisNodeAdmin({ ...access, host, port, clock, logger, name: 'switchyard-probe' });
      writers.set(key, writer);
      return writer;
    },
    sentinels: () => [],
    add,
    drop: (at) => drop(addressKey(at)),
    close() {
      for (const one of [...nodes.values(), ...writers.values()]) one.close();
    },
  };
};
