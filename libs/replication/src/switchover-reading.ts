// What does a node say that a switchover has to know beforehand? One INFO and a few settings, as facts; null = it did not say.
import type { Endpoint } from './address.ts';
import { parseInfo, type NodeInfo } from './info-parser.ts';

/** A node as it was read for the preflight. */
export interface SwitchoverReading extends Endpoint {
  /** Null when it did not answer. */
  readonly info: NodeInfo | null;
  readonly saving: boolean;
  readonly rewriting: boolean;
  readonly usedMemoryBytes: number | null;
  readonly clients: number | null;
  /** Replicas in sync, as far as the primary counts them. */
  readonly onlineReplicas: number;
  /**
   * Readers without a port that copy the data set: backups. Not the archive, which only follows (it acknowledges what it has) and goes on at
   * whoever takes over.
   */
  readonly streams: number;
  /** FAILOVER under way at this node. */
  readonly handingOver: boolean;
  /** CONFIG GET, by name; a setting that may not be read is missing. */
  readonly config: Readonly<Record<string, string>>;
  /** Whether our user may pause writers; null when that cannot be asked. */
  readonly mayPause: boolean | null;
}

/** Settings that are read, and some of them changed and put back. */
export const readSettings = [
  'replica-priority',
  'min-replicas-to-write',
  'min-replicas-max-lag',
  'repl-ping-replica-period',
  'maxmemory',
  'maxmemory-policy',
  'appendonly',
  'save',
] as const;

/** Reads the answers; `info` is the text of INFO, null when there was none. */
export const switchoverReading = (
  at: Endpoint,
  said: {
    readonly info: string | null;
    readonly config: Readonly<Record<string, string>>;
    readonly mayPause: boolean | null;
  },
): SwitchoverReading => {
  const text = said.info ?? '';
  const word = (name: string): string | null => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(text)?.[1] ?? null;
  const count = (name: string): number | null => {
    const value = word(name);
    return value !== null && /^\d+$/.test(value) ? Number(value) : null;
  };
  const replicas = [...text.matchAll(/^slave\d+:(.*?)\r?$/gm)].map(([, line = '']) => line);
  return {
    name: at.name,
    host: at.host,
    port: at.port,
    info: said.info === null ? null : parseInfo(said.info),
    saving: word('rdb_bgsave_in_progress') === '1',
    rewriting: word('aof_rewrite_in_progress') === '1' || word('aof_rewrite_scheduled') === '1',
    usedMemoryBytes: count('used_memory'),
    clients: count('connected_clients'),
    onlineReplicas: replicas.filter((line) => line.includes('state=online')).length,
    streams: replicas.filter((line) => /port=0\b/.test(line) && !/state=online,offset=[1-9]/.test(line)).length,
    handingOver: (word('master_failover_state') ?? 'no-failover') !== 'no-failover',
    config: said.config,
    mayPause: said.mayPause,
  };
};
