// Which node of the cluster is to be talked to now? Asked of all nodes, for all connections of a process.
//
// A killed primary closes its connections, and a demoted one says MOVED; a frozen one does neither. So somebody looks.
import type { Redis } from 'ioredis';
import type { Logger } from '@switchyard/runtime';
import { namedIn, ownerOf, SWITCHYARD_SLOT } from './cluster-nodes.ts';
import type { NodesAnswer } from './cluster-nodes.ts';
import type { RedisEndpoint, RedisSettings } from './connection-options.ts';
import { openDirect } from './direct-connection.ts';
import type { DirectConnection, RedisAccess } from './direct-connection.ts';
import { reachable } from './nat-map.ts';
import { isElsewhere } from './primary-watch.ts';

/** One question to each node a second, about 20 us of each. */
const LOOK_EVERY_MS = 1_000;
const MOST_NODES = 32;

export interface SlotWatch {
  /** Asks now. Rejects when nobody answers, or when the slot has no primary at the moment. */
  owner(): Promise<RedisEndpoint>;
  close(): void;
}

interface Watched {
  readonly at: RedisEndpoint;
  readonly isSeed: boolean;
  readonly connection: DirectConnection;
}

const keyOf = ({ host, port }: RedisEndpoint): string => `${host}:${String(port)}`;

/** Watches the cluster, and sends every connection in `open` that is at another node away when the slot has a new owner. */
export function watchSlot(
  settings: RedisSettings & { readonly kind: 'cluster' },
  { logger, name, open }: { readonly logger: Logger; readonly name: string; readonly open: ReadonlySet<Redis> },
): SlotWatch {
  const { username, password, tls, natMap } = settings;
  const access: RedisAccess = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };
  const nodes = new Map<string, Watched>();
  let known: RedisEndpoint | undefined;
  let underWay: Promise<RedisEndpoint> | undefined;

  const add = (at: RedisEndpoint, isSeed: boolean): void => {
    if (nodes.has(keyOf(at)) || nodes.size >= MOST_NODES) return;
    const connection = openDirect({ ...reachable(natMap, at), access, name: `${name}:cluster`, logger });
    nodes.set(keyOf(at), { at, isSeed, connection });
  };
  const remember = (answers: readonly NodesAnswer[]): void => {
    if (answers.length === 0) return;
    const named = namedIn(answers);
    const names = new Set(named.map(keyOf));
    for (const [key, { isSeed, connection }] of nodes) {
      if (isSeed || names.has(key)) continue;
      connection.close();
      nodes.delete(key);
    }
    for (const at of named) add(at, false);
  };
  const sendAway = (owner: RedisEndpoint): void => {
    const before = known;
    known = owner;
    if (before === undefined || keyOf(before) === keyOf(owner)) return;
    const stale = [...open].filter((redis) => isElsewhere(redis, reachable(natMap, owner)));
    logger.info({ primary: keyOf(owner), connections: stale.length }, 'redis.switched');
    for (const redis of stale) redis.disconnect(true);
  };
  const look = async (): Promise<RedisEndpoint> => {
    const faults: string[] = [];
    const asked = [...nodes.values()].map(async ({ at, connection }): Promise<NodesAnswer[]> => {
      try {
        return [{ asked: at, text: String(await connection.call('CLUSTER', 'NODES')) }];
      } catch (error) {
        faults.push(`${keyOf(at)}: ${(error as Error).message}`);
        return [];
      }
    });
    const answers = (await Promise.all(asked)).flat();
    remember(answers);
    const owner = ownerOf(SWITCHYARD_SLOT, answers);
    if (owner === undefined) {
      const why = answers.length > 0 ? `slot ${SWITCHYARD_SLOT} has no primary now` : faults.slice(0, 3).join('; ');
      throw new Error(`CLUSTERDOWN no node of the Redis Cluster can be used: ${why}`);
    }
    sendAway(owner);
    return reachable(natMap, owner);
  };
  const owner = (): Promise<RedisEndpoint> => {
    underWay ??= look().finally(() => (underWay = undefined));
    return underWay;
  };
  for (const at of settings.nodes) add(at, true);
  const looks = setInterval(() => {
    // what goes wrong is told by the connections that need an owner
    owner().catch(() => undefined);
  }, LOOK_EVERY_MS);
  return {
    owner,
    close() {
      clearInterval(looks);
      for (const { connection } of nodes.values()) connection.close();
      nodes.clear();
    },
  };
}
