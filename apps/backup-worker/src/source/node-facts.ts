// What does a node say of itself that matters to its copying, besides its role and its lag? Read from INFO.
import type { BackupManifest } from '@switchyard/protocol';
import type { NodeHistory } from '@switchyard/backup';

/** Memory of a node and of its machine, bytes. */
export interface NodeMemory {
  /** What the process occupies. */
  readonly usedBytes: number;
  /** Of the machine or its container; null when it does not say. */
  readonly machineBytes: number | null;
  /** What data may take; null = without limit. */
  readonly limitBytes: number | null;
}

/** Facts of one INFO. */
export interface NodeFacts {
  readonly server: BackupManifest['server'] | null;
  readonly history: NodeHistory | null;
  readonly isBusy: boolean;
  readonly memory: NodeMemory | null;
}

/** Of a node that did not answer. */
export const nothingSaid: NodeFacts = Object.freeze({ server: null, history: null, isBusy: false, memory: null });

/** Reads INFO; what is missing is null. */
export function nodeFactsOf(info: string): NodeFacts {
  const isBusy = ['rdb_bgsave_in_progress', 'aof_rewrite_in_progress'].some((name) => field(info, name) === '1');
  return { server: serverOf(info), history: historyOf(info), isBusy, memory: memoryOf(info) };
}

/** Kind and version of the server, from its INFO. */
export function serverOf(info: string): BackupManifest['server'] | null {
  const valkey = field(info, 'valkey_version');
  if (valkey !== undefined) return { kind: 'valkey', version: valkey };
  const redis = field(info, 'redis_version');
  return redis === undefined ? null : { kind: 'redis', version: redis };
}

const noReplicationId = '0'.repeat(40);

function historyOf(info: string): NodeHistory | null {
  const replicationId = field(info, 'master_replid');
  const offset = count(info, 'master_repl_offset');
  if (replicationId === undefined || !/^[0-9a-f]{40}$/.test(replicationId) || offset === null) return null;
  const previousId = field(info, 'master_replid2');
  const second = count(info, 'second_repl_offset');
  const first = field(info, 'repl_backlog_active') === '1' ? count(info, 'repl_backlog_first_byte_offset') : null;
  return {
    replicationId,
    offset,
    // Redis counts bytes from 1 here: the first byte that is not shared, and the first one that is kept.
    previous:
      previousId === undefined || previousId === noReplicationId || second === null || second < 1
        ? null
        : { replicationId: previousId, sharedUntil: second - 1 },
    continuesFrom: first === null ? null : Math.max(0, first - 1),
  };
}

function memoryOf(info: string): NodeMemory | null {
  const usedBytes = count(info, 'used_memory_rss') ?? count(info, 'used_memory');
  if (usedBytes === null) return null;
  const machineBytes = count(info, 'total_system_memory');
  const limitBytes = count(info, 'maxmemory');
  return {
    usedBytes,
    machineBytes: machineBytes === 0 ? null : machineBytes,
    limitBytes: limitBytes === 0 ? null : limitBytes,
  };
}

function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];
}

function count(info: string, name: string): number | null {
  const value = Number(field(info, name) ?? Number.NaN);
  return Number.isSafeInteger(value) ? value : null;
}
