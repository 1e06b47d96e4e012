// How far is a replica with its copy of the data? INFO of the replica and of its primary become one percentage.
// Fields: replication.c and rdb.c of Redis 7; a stream without a file in between has no total, so keys saved are taken instead.
import { fieldsOf, numberOf, parseInfo, type NodeInfo } from './info-parser.ts';

/** What one node says about a copy that is under way. Null = it did not say. */
export interface SyncFacts {
  readonly info: NodeInfo;
  /** Of a replica: bytes of the snapshot so far, and in all when that is known. */
  readonly readBytes: number | null;
  readonly totalBytes: number | null;
  readonly loadedPercent: number | null;
  readonly loadEtaSeconds: number | null;
  /** Of a primary: keys that its snapshot has already, and in all. */
  readonly savedKeys: number | null;
  readonly keysToSave: number | null;
  /** Of a primary: full copies that it gave since it started. */
  readonly fullSyncs: number | null;
}

/** `waiting`: for the first byte of the snapshot; `copying`; `loading`: it has all of it; `catching-up`: what was written meanwhile. */
export type SyncPhase = 'waiting' | 'copying' | 'loading' | 'catching-up' | 'done';

/** How far it is. */
export interface SyncProgress {
  readonly phase: SyncPhase;
  /** 0 to 100; never more than 99 before `done`. */
  readonly percent: number;
  /** Of the phase that is under way; null when nobody knows. */
  readonly etaSeconds: number | null;
  /** For people. */
  readonly detail: string;
}

/** Shares of the whole, roughly as they were measured for a million small keys over loopback. */
const share = Object.freeze({ waiting: 5, copying: 45, loading: 45 });

/** Reads an INFO answer with all default sections. */
export const parseSyncFacts = (text: string): SyncFacts => {
  const fields = fieldsOf(text);
  const count = (name: string): number | null => {
    const value = numberOf(fields.get(name));
    return value === null || value < 0 ? null : value;
  };
  const decimal = Number.parseFloat(fields.get('loading_loaded_perc') ?? '');
  return {
    info: parseInfo(text),
    readBytes: count('master_sync_read_bytes'),
    totalBytes: count('master_sync_total_bytes'),
    loadedPercent: Number.isFinite(decimal) ? Math.min(100, Math.max(0, decimal)) : null,
    loadEtaSeconds: count('loading_eta_seconds'),
    savedKeys: count('current_save_keys_processed'),
    keysToSave: count('current_save_keys_total'),
    fullSyncs: count('sync_full'),
  };
};

/**
 * Judges a copy; `targetOffset` is what the replica has to reach: the primary's offset when the copy was asked for. A replica that
 * still follows another lineage than the primary's is not done, whatever its link says.
 */
export const syncProgress = (
  replica: SyncFacts,
  { primary, targetOffset }: { readonly primary: SyncFacts | null; readonly targetOffset: number },
): SyncProgress => {
  const { info } = replica;
  const lineage = primary?.info.lineage ?? null;
  if (info.link === 'up' && !info.loading && (lineage === null || info.lineage === lineage)) {
    const behind = Math.max(0, targetOffset - (info.offset ?? 0));
    return behind === 0
      ? { phase: 'done', percent: 100, etaSeconds: 0, detail: `in sync at offset ${String(info.offset ?? 0)}` }
      : { phase: 'catching-up', percent: 99, etaSeconds: null, detail: `${String(behind)} bytes to go` };
  }
  if (info.loading) {
    const part = replica.loadedPercent ?? 0;
    return {
      phase: 'loading',
      percent: Math.min(99, Math.round(share.waiting + share.copying + (share.loading * part) / 100)),
      etaSeconds: replica.loadEtaSeconds,
      detail: `loads the snapshot: ${part.toFixed(0)} %`,
    };
  }
  if (!info.syncing || (replica.readBytes ?? 0) === 0) {
    const detail = info.syncing ? 'waits for the snapshot of the primary' : 'connects to the primary';
    return { phase: 'waiting', percent: info.syncing ? 2 : 0, etaSeconds: null, detail };
  }
  const part = copiedPart(replica, primary);
  const told = part === null ? '' : `, ${String(Math.round(100 * part))} %`;
  return {
    phase: 'copying',
    percent: Math.round(share.waiting + share.copying * (part ?? 0)),
    etaSeconds: null,
    detail: `copies the snapshot: ${String(replica.readBytes ?? 0)} bytes${told}`,
  };
};

/** 0 to 1 by bytes when the total is known, else by the keys that the primary has saved; null when neither is. */
const copiedPart = ({ readBytes, totalBytes }: SyncFacts, primary: SyncFacts | null): number | null => {
  if (totalBytes !== null && totalBytes > 0) return Math.min(1, (readBytes ?? 0) / totalBytes);
  const keys = primary?.keysToSave ?? null;
  return keys === null || keys === 0 ? null : Math.min(1, (primary?.savedKeys ?? 0) / keys);
};
