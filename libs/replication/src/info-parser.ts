// What does a Redis node say about itself? INFO text and ROLE replies become typed facts; fields that a version lacks are
// null. Here and in sentinel-parser.ts alone live the words `master` and `slave` of the wire; beyond it is primary and replica.
import type { Address } from './address.ts';
import { address } from './address.ts';

/** One replica as its primary lists it. */
export interface ListedReplica extends Address {
  /** `online`, `wait_bgsave`, `send_bulk`... */
  readonly state: string;
  readonly offset: number | null;
  readonly lagSeconds: number | null;
}

/** Facts of one INFO answer. Null = the node did not say. */
export interface NodeInfo {
  readonly version: string | null;
  readonly runId: string | null;
  readonly mode: string | null;
  readonly uptimeSeconds: number | null;
  readonly role: 'primary' | 'replica' | null;
  readonly loading: boolean;
  /** Position in the replication stream, in bytes; null also while a replica has nothing yet. */
  readonly offset: number | null;
  /** Name of the stream's lineage, and of the one it continued when this node was promoted. */
  readonly lineage: string | null;
  readonly previousLineage: string | null;
  /** Bytes that this node shares with the previous lineage; null when it was never promoted. */
  readonly sharedOffset: number | null;
  /** Of a replica. */
  readonly follows: Address | null;
  readonly link: 'up' | 'down' | null;
  readonly syncing: boolean;
  readonly linkDownSeconds: number | null;
  readonly priority: number | null;
  /** Of a primary. */
  readonly replicas: readonly ListedReplica[];
  readonly persistence: NodePersistence | null;
  readonly maxMemoryBytes: number | null;
  readonly evictionPolicy: string | null;
  /** Of a Sentinel. */
  readonly tilted: boolean | null;
}

/** Health of what the node writes to its disk. */
export interface NodePersistence {
  readonly aof: boolean;
  readonly lastSaveOk: boolean;
  readonly lastAofWriteOk: boolean;
}

/** A ROLE reply. */
export type RoleFacts =
  | { readonly role: 'primary'; readonly offset: number | null; readonly replicas: readonly Address[] }
  | {
      readonly role: 'replica';
      readonly offset: number | null;
      readonly follows: Address | null;
      readonly link: string;
    }
  | { readonly role: 'sentinel' };

/** A primary with more replicas than this is not something we watch; more would only cost memory. */
const mostReplicas = 64;
const noLineage = /^0*$/;

/** Reads an INFO answer of any sections in any order. Never throws: text that is no INFO gives facts that are all null. */
export const parseInfo = (text: string): NodeInfo => {
  const fields = fieldsOf(text);
  const word = (name: string): string | null => fields.get(name) ?? null;
  const count = (name: string): number | null => numberOf(fields.get(name));
  const role = roleOf(word('role'));
  const second = count('second_repl_offset');
  return {
    version: word('redis_version'),
    runId: word('run_id'),
    // Valkey 9 has its own name for it
    mode: word('redis_mode') ?? word('server_mode'),
    uptimeSeconds: count('uptime_in_seconds'),
    role,
    loading: word('loading') === '1' || word('async_loading') === '1',
    offset: role === 'replica' ? replicaOffset(count('slave_repl_offset')) : count('master_repl_offset'),
    lineage: lineageOf(word('master_replid')),
    previousLineage: lineageOf(word('master_replid2')),
    sharedOffset: second === null || second < 1 ? null : second - 1,
    follows: role === 'replica' ? address(word('master_host'), count('master_port')) : null,
    link: linkOf(word('master_link_status')),
    syncing: word('master_sync_in_progress') === '1',
    linkDownSeconds: replicaOffset(count('master_link_down_since_seconds')),
    priority: count('slave_priority'),
    replicas: replicasOf(fields),
    persistence: fields.has('aof_enabled')
      ? {
          aof: word('aof_enabled') === '1',
          lastSaveOk: word('rdb_last_bgsave_status') !== 'err',
          lastAofWriteOk: word('aof_last_write_status') !== 'err',
        }
      : null,
    maxMemoryBytes: count('maxmemory'),
    evictionPolicy: word('maxmemory_policy'),
    tilted: fields.has('sentinel_tilt') ? word('sentinel_tilt') !== '0' : null,
  };
};

/** Reads a ROLE reply; null when it is none. */
export const parseRole = (reply: unknown): RoleFacts | null => {
  if (!Array.isArray(reply)) return null;
  const [kind, first, second, link, offset] = reply as readonly unknown[];
  if (kind === 'master') {
    const listed = Array.isArray(second) ? (second as readonly unknown[]) : [];
    const replicas = listed.flatMap((one) => (Array.isArray(one) ? (address(one[0], numberOf(one[1])) ?? []) : []));
    return { role: 'primary', offset: numberOf(first), replicas: replicas.slice(0, mostReplicas) };
  }
  if (kind === 'slave') {
    return {
      role: 'replica',
      offset: replicaOffset(numberOf(offset)),
      follows: address(first, numberOf(second)),
      link: typeof link === 'string' ? link : 'unknown',
    };
  }
  return kind === 'sentinel' ? { role: 'sentinel' } : null;
};

/** The `name:value` lines of an INFO answer. */
export const fieldsOf = (text: string): ReadonlyMap<string, string> => {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
};

/** A whole number of the wire; null for anything else. */
export const numberOf = (value: unknown): number | null => {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  return typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : null;
};

/** Redis says -1 where there is nothing. */
const replicaOffset = (value: number | null): number | null => (value === null || value < 0 ? null : value);

const lineageOf = (value: string | null): string | null => (value === null || noLineage.test(value) ? null : value);

const roleOf = (value: string | null): NodeInfo['role'] => {
  if (value === 'master') return 'primary';
  return value === 'slave' ? 'replica' : null;
};

const linkOf = (value: string | null): NodeInfo['link'] => (value === 'up' || value === 'down' ? value : null);

const replicasOf = (fields: ReadonlyMap<string, string>): readonly ListedReplica[] => {
  const listed: ListedReplica[] = [];
  for (const [name, value] of fields) {
    if (!/^slave\d+$/.test(name) || listed.length >= mostReplicas) continue;
    const parts = new Map(value.split(',').map((part) => splitOnce(part, '=')));
    const host = parts.get('ip');
    const port = numberOf(parts.get('port'));
    // Port 0 is a backup stream or another reader that announced none: nothing that could be promoted.
    const at = address(host, port);
    if (at === null) continue;
    listed.push({
      ...at,
      state: parts.get('state') ?? 'unknown',
      offset: numberOf(parts.get('offset')),
      lagSeconds: numberOf(parts.get('lag')),
    });
  }
  return listed;
};

const splitOnce = (text: string, separator: string): readonly [string, string] => {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
};
