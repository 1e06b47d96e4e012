// May the catalog live on this Redis? One that throws keys away, takes no writes or lacks commands would betray it later, silently.
import { channels, keys } from '@switchyard/protocol';
import type { RedisSettings } from './connection-options.ts';

/** What is wrong with a Redis; each text is for people. */
export interface Unfitness {
  readonly because: 'version' | 'eviction' | 'replica' | 'cluster-node' | 'permission';
  /** what it is */
  readonly what: string;
  /** why that betrays the catalog */
  readonly why: string;
  /** the command or setting that mends it */
  readonly next: string;
}

const oldestMajor = 7;

/** One field of a text of INFO. */
const fieldOf = (info: string, name: string): string | undefined =>
  new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];

/** The name and version of the server, as people know them. */
export function serverNameOf(info: string): string {
  const valkey = fieldOf(info, 'valkey_version');
  return valkey === undefined ? `Redis ${fieldOf(info, 'redis_version') ?? 'of unknown version'}` : `Valkey ${valkey}`;
}

/**
 * Judges by the text of INFO (all sections): works where CONFIG is forbidden, and for Valkey, which tells the version of Redis that it
 * is compatible with. What a server does not tell is not held against it. Empty: fit. `at` is the node, host:port.
 */
export function unfitnessOf(info: string, at: string, kind: RedisSettings['kind']): readonly Unfitness[] {
  const cli = `redis-cli -h ${at.slice(0, at.lastIndexOf(':'))} -p ${at.slice(at.lastIndexOf(':') + 1)}`;
  const found: Unfitness[] = [];
  const version = fieldOf(info, 'redis_version');
  if (version !== undefined && Number.parseInt(version, 10) < oldestMajor) {
    found.push({
      because: 'version',
      what: `it is ${serverNameOf(info)}`,
      why: 'commands that the catalog needs came with 7.0 (SET with NX and GET, for one): they would fail when they are needed',
      next: 'use Redis 7.0 or later, or Valkey',
    });
  }
  const policy = fieldOf(info, 'maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    const what = policy.startsWith('volatile') ? 'leases and claims' : 'the catalog, its events and leases';
    found.push({
      because: 'eviction',
      what: `its maxmemory-policy is ${policy}`,
      why: `${policy} may throw ${what} away when memory is short; noeviction refuses writes then, and says so`,
      next: `${cli} CONFIG SET maxmemory-policy noeviction (and the same line in redis.conf)`,
    });
  }
  if (fieldOf(info, 'role') === 'slave') {
    const primary = `${fieldOf(info, 'master_host') ?? '?'}:${fieldOf(info, 'master_port') ?? '?'}`;
    found.push({
      because: 'replica',
      what: `it is a replica of ${primary}, and stays one`,
      why: 'it takes no writes: nobody could register, and nobody would be evicted',
      next:
        kind === 'single'
          ? `set SWITCHYARD_REDIS_URL=redis://${primary}, or SWITCHYARD_REDIS_SENTINELS to find the primary by itself (or make it one: ${cli} REPLICAOF NO ONE)`
          : `look why nobody is promoted: ${cli} ROLE`,
    });
  }
  if (kind !== 'cluster' && fieldOf(info, 'cluster_enabled') === '1') {
    found.push({
      because: 'cluster-node',
      what: 'it is a node of a Redis Cluster and is used as a single Redis',
      why: 'it owns some keys only, and those may move to another node at any time',
      next: `set SWITCHYARD_REDIS_CLUSTER=${at} in place of ${kind === 'single' ? 'SWITCHYARD_REDIS_URL' : 'SWITCHYARD_REDIS_SENTINELS'}`,
    });
  }
  return found;
}

/** What an error of a probing script says about the rights of `user`; undefined when it says nothing about them. */
export function permissionFault(error: unknown, user = 'default'): Unfitness | undefined {
  if (!(error instanceof Error) || !/^NOPERM|ACL failure|user executing the script can't/.test(error.message))
    return undefined;
  return {
    because: 'permission',
    what: `its user "${user}" may not run scripts that write: ${error.message.slice(0, 160)}`,
    why: 'every registration would be refused',
    next: `ACL SETUSER ${user} on +@all -@dangerous +info ~${keys.catalogMeta.replace(/:.*/, ':*')} &${channels.events.replace(/:.*/, ':*')}`,
  };
}

/** The whole story in one text, for a log line and a health check. */
export const unfitnessText = (at: string, faults: readonly Unfitness[]): string =>
  faults
    .map(({ what, why, next }) => `the Redis at ${at} cannot hold the catalog: ${what}. Why: ${why}. Fix: ${next}`)
    .join('; ');
