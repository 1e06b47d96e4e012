// Who belongs to the group, and what did each say last? One connection for each node and two for each Sentinel; whom the
// Sentinels and the primary name is watched, too, and forgotten when nobody names it any more.
import { addressKey, type Address, type Endpoint, type GroupObservation } from '@switchyard/replication';
import {
  accessOf,
  createRedisNodeAdmin,
  createSentinelWatch,
  type RedisAccess,
  type RedisNodeAdmin,
  type RedisGroupSettings,
  type SentinelMember,
  type SentinelMessage,
} from '@switchyard/redis';
import type { Clock, Logger } from '@switchyard/runtime';
import { watchNode, type WatchedNode } from './watched-node.ts';
import { watchSentinel, type WatchedSentinel } from './watched-sentinel.ts';

/** Eyes on one group. */
export interface Observer {
  /** Connects, in the background. */
  start(): void;
  /** Asks everybody who does not owe an answer; never waits. */
  poll(): void;
  /** With their next answers all nodes tell their settings, too. */
  refresh(): void;
  /** Forgets a node at once; it is watched again as soon as somebody names it. */
  drop(at: Address): void;
  /** The latest answers. */
  observe(): GroupObservation;
  /** The direct connection to a node of the group. */
  nodeAt(address: Address): RedisNodeAdmin | undefined;
  /** The connections to the Sentinels. */
  sentinels(): readonly SentinelMember[];
  close(): void;
}

/** Which group, and where to begin. */
export interface ObserverOptions {
  readonly settings: RedisGroupSettings;
  /** Names for people, by `host:port`. */
  readonly names: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Each message of each Sentinel. */
  readonly onMessage: (message: SentinelMessage) => void;
  /** A node or Sentinel stopped answering, or answers again: worth a look before the next one is due. */
  readonly onTurn: () => void;
}

const mostNodes = 32;
/** A node or Sentinel that nobody names for so long is forgotten, so that a typing mistake does not stay for ever. */
const forgetAfterMs = 60_000;
/** Who was dropped is still in answers that came before. */
const shunMs = 3_000;

/** An observer of the group that the settings name. */
export const createObserver = (options: ObserverOptions): Observer => {
  const { settings, names, clock, logger, onTurn } = options;
  const nodes = new Map<string, WatchedNode>();
  const sentinels = new Map<string, WatchedSentinel>();
  const namedAtMs = new Map<string, number>();
  const shunned = new Map<string, number>();
  const configured = settings.kind === 'sentinel' ? settings.sentinels : [];
  const seeds = new Set(configured.map(addressKey));
  const access = accessOf(settings);

  const sentinelWatch = createSentinelWatchOf(options, sentinelAccessOf(settings));

  const addNode = (address: Address): void => {
    const key = addressKey(address);
    if (clock.monotonicMs() < (shunned.get(key) ?? 0)) return;
    shunned.delete(key);
    namedAtMs.set(key, clock.monotonicMs());
    if (nodes.has(key) || nodes.size >= mostNodes) return;
    const endpoint: Endpoint = { name: names.get(key) ?? key, host: address.host, port: address.port };
    const admin = createRedisNodeAdmin({ ...access, host: address.host, port: address.port, clock, logger });
    nodes.set(key, watchNode({ endpoint, admin, clock, onTurn }));
    logger.info({ group: settings.group, node: endpoint.name }, 'redis.node_watched');
  };

  const addSentinel = (address: Address): void => {
    const key = addressKey(address);
    namedAtMs.set(`sentinel ${key}`, clock.monotonicMs());
    if (sentinels.has(key)) return;
    // Configured ones are s1, s2, ... in their order; one that was found is called by its address.
    const at = configured.findIndex((one) => addressKey(one) === key);
    const name = at < 0 ? key : `s${String(at + 1)}`;
    sentinelWatch?.add({ name, host: address.host, port: address.port });
    const member = sentinelWatch?.members().find((one) => addressKey(one) === key);
    if (member === undefined) return;
    sentinels.set(key, watchSentinel({ member, clock, onTurn }));
    logger.info({ group: settings.group, sentinel: name }, 'redis.sentinel_watched');
  };

  const discover = (): void => {
    for (const sentinel of sentinels.values()) {
      const { view, replicas, peers, failure } = sentinel.observation();
      if (view === null || failure !== null) continue;
      addNode(view.primary);
      for (const replica of replicas) addNode(replica);
      for (const peer of peers) addSentinel(peer);
    }
    for (const node of nodes.values()) for (const replica of node.observation().info?.replicas ?? []) addNode(replica);
  };

  const forget = (): void => {
    const oldestMs = clock.monotonicMs() - forgetAfterMs;
    const isForgotten = (key: string): boolean => (namedAtMs.get(key) ?? 0) < oldestMs;
    // Only when somebody is left to name the others: with all Sentinels away, everybody is remembered.
    if (![...sentinels.values()].some((one) => one.observation().failure === null)) return;
    for (const [key, node] of nodes) {
      if (!isForgotten(key)) continue;
      node.close();
      nodes.delete(key);
      namedAtMs.delete(key);
      logger.info({ group: settings.group, node: node.endpoint.name }, 'redis.node_forgotten');
    }
    for (const [key, { member }] of sentinels) {
      if (seeds.has(key) || !isForgotten(`sentinel ${key}`)) continue;
      sentinelWatch?.remove(member);
      sentinels.delete(key);
      namedAtMs.delete(`sentinel ${key}`);
      logger.info({ group: settings.group, sentinel: member.name }, 'redis.sentinel_forgotten');
    }
  };

  return {
    start() {
      if (settings.kind === 'single') addNode(settings.endpoint);
      for (const sentinel of configured) addSentinel(sentinel);
    },
    poll() {
      discover();
      forget();
      for (const node of nodes.values()) node.poll();
      for (const sentinel of sentinels.values()) sentinel.poll();
    },
    refresh() {
      for (const node of nodes.values()) node.refresh();
    },
    drop(at) {
      const key = addressKey(at);
      shunned.set(key, clock.monotonicMs() + shunMs);
      nodes.get(key)?.close();
      nodes.delete(key);
      namedAtMs.delete(key);
    },
    observe: () => ({
      name: settings.group,
      kind: settings.kind,
      nodes: [...nodes.values()].map((node) => node.observation()),
      sentinels: [...sentinels.values()].map((sentinel) => sentinel.observation()),
    }),
    nodeAt: (address) => nodes.get(addressKey(address))?.admin,
    sentinels: () => [...sentinels.values()].map(({ member }) => member),
    close() {
      for (const node of nodes.values()) node.close();
      sentinelWatch?.close();
    },
  };
};

const createSentinelWatchOf = ({ settings, clock, logger, onMessage }: ObserverOptions, access: RedisAccess) =>
  settings.kind === 'sentinel'
    ? createSentinelWatch({ sentinels: [], group: settings.group, access, clock, logger, onMessage })
    : undefined;

const sentinelAccessOf = ({ sentinelPassword, tls }: RedisGroupSettings): RedisAccess => ({
  ...(sentinelPassword === undefined ? {} : { password: sentinelPassword }),
  ...(tls === undefined ? {} : { tls }),
});
