// What does a node say about its memory, its disk and its settings? INFO and CONFIG GET become typed facts; what a version lacks, or
// what we may not read, is null.
import { fieldsOf, numberOf } from './info-parser.ts';

/** Facts of one INFO answer that are no part of replication. Null = the node did not say. */
export interface NodeVitals {
  readonly usedMemoryBytes: number | null;
  readonly rssBytes: number | null;
  /** Of the machine, as the node sees it; in a container it may have less. */
  readonly systemMemoryBytes: number | null;
  readonly keys: number | null;
  /** The last fork: for so long the node answered nothing. */
  readonly forkMs: number | null;
  /** Memory that was copied because it changed while the last snapshot or AOF rewrite was written; the larger of the two. */
  readonly copyOnWriteBytes: number | null;
  readonly saving: boolean;
  readonly rewriting: boolean;
  /** 0 to 100 of the snapshot that is being written. */
  readonly savePercent: number | null;
  readonly changesSinceSave: number | null;
  readonly lastSaveAtUnixSeconds: number | null;
  readonly lastRewriteOk: boolean | null;
  readonly aofBytes: number | null;
  readonly loadedPercent: number | null;
  readonly loadEtaSeconds: number | null;
  /** Empty when it was started without a file: then nothing that is set at runtime survives a restart. */
  readonly configFile: string | null;
}

/** Values as the node has them, by the name of the setting. Of `client-output-buffer-limit` the line of replicas alone. */
export type NodeSettings = Readonly<Record<string, string>>;

/** Where the node's data is, if that can be seen from here: it runs on the manager's machine. */
export interface NodeMachine {
  readonly diskFreeBytes: number | null;
  readonly diskTotalBytes: number | null;
  /** `always` makes each fork cost more memory and time. */
  readonly hugePages: string | null;
  /** 0 or 2: a fork may be refused although there is memory. */
  readonly overcommit: number | null;
}

/** What is asked of each node, twice a minute, in one question. No secrets. */
export const watchedSettings: readonly string[] = Object.freeze([
  'save',
  'appendonly',
  'appendfsync',
  'no-appendfsync-on-rewrite',
  'auto-aof-rewrite-percentage',
  'auto-aof-rewrite-min-size',
  'stop-writes-on-bgsave-error',
  'dir',
  'maxmemory',
  'maxmemory-policy',
  'repl-backlog-size',
  'repl-backlog-ttl',
  'repl-diskless-sync',
  'repl-diskless-sync-delay',
  'repl-diskless-load',
  'repl-timeout',
  'repl-ping-replica-period',
  'replica-priority',
  'replica-read-only',
  'replica-serve-stale-data',
  'min-replicas-to-write',
  'min-replicas-max-lag',
  'client-output-buffer-limit',
]);

const watched: ReadonlySet<string> = new Set(watchedSettings);
const outputLimit = 'client-output-buffer-limit';

/** Reads an INFO answer with all default sections. Never throws. */
export const parseVitals = (text: string): NodeVitals => {
  const fields = fieldsOf(text);
  const count = (name: string): number | null => {
    const value = numberOf(fields.get(name));
    return value === null || value < 0 ? null : value;
  };
  const forkMicros = count('latest_fork_usec');
  const copies = [count('rdb_last_cow_size'), count('aof_last_cow_size')].filter((bytes) => bytes !== null);
  const toSave = count('current_save_keys_total') ?? 0;
  const loaded = Number.parseFloat(fields.get('loading_loaded_perc') ?? '');
  return {
    usedMemoryBytes: count('used_memory'),
    rssBytes: count('used_memory_rss'),
    systemMemoryBytes: count('total_system_memory'),
    keys: fields.has('used_memory') || fields.has('db0') ? keysOf(fields) : null,
    forkMs: forkMicros === null ? null : forkMicros / 1_000,
    copyOnWriteBytes: copies.length === 0 ? null : Math.max(...copies),
    saving: fields.get('rdb_bgsave_in_progress') === '1',
    rewriting: fields.get('aof_rewrite_in_progress') === '1' || fields.get('aof_rewrite_scheduled') === '1',
    savePercent: toSave === 0 ? null : Math.min(100, (100 * (count('current_save_keys_processed') ?? 0)) / toSave),
    changesSinceSave: count('rdb_changes_since_last_save'),
    lastSaveAtUnixSeconds: count('rdb_last_save_time'),
    lastRewriteOk: fields.has('aof_last_bgrewrite_status') ? fields.get('aof_last_bgrewrite_status') === 'ok' : null,
    aofBytes: count('aof_current_size'),
    loadedPercent: Number.isFinite(loaded) ? loaded : null,
    loadEtaSeconds: count('loading_eta_seconds'),
    configFile: fields.get('config_file') ?? null,
  };
};

const keysOf = (fields: ReadonlyMap<string, string>): number => {
  let keys = 0;
  for (const [name, value] of fields) {
    if (/^db\d+$/.test(name)) keys += numberOf(/keys=(\d+)/.exec(value)?.[1]) ?? 0;
  }
  return keys;
};

/** Reads the reply of CONFIG GET; only what is watched is kept. Null when it is no such reply. */
export const parseSettings = (reply: unknown): NodeSettings | null => {
  if (!Array.isArray(reply)) return null;
  const words = reply as readonly unknown[];
  const settings: Record<string, string> = {};
  for (let at = 0; at + 1 < words.length; at += 2) {
    const name = words[at];
    const value = words[at + 1];
    if (typeof name !== 'string' || typeof value !== 'string' || !watched.has(name)) continue;
    settings[name] = name === outputLimit ? replicaLimit(value) : value;
  }
  return settings;
};

/** `normal 0 0 0 slave 268435456 67108864 60 pubsub ...` -> `replica 268435456 67108864 60`, as CONFIG SET takes it, too. */
const replicaLimit = (value: string): string => {
  const found = /(?:slave|replica) (\d+) (\d+) (\d+)/.exec(value);
  return found === null ? value : `replica ${found.slice(1).join(' ')}`;
};

/** A setting that is a whole number; null when it is not known. */
export const settingNumber = (settings: NodeSettings | null, name: string): number | null =>
  numberOf(settings?.[name] ?? null);
