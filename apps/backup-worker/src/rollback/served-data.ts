// What is handed over, and how? The old data set, or the safety point when it has to be taken back: made real aside, saved, and served
// by us as a primary would, under the name of the history that the node already has. Then it loads beside what it serves.
import { createReadStream } from 'node:fs';
import { keys as names, ok, refuse, type BackupManifest, type RestorePoint, type Result } from '@switchyard/protocol';
import type { RollbackAddress, RollbackLook } from '@switchyard/backup';
import { serveHistory, type HistoryServer } from '@switchyard/replication-link';
import { withDeadline } from '@switchyard/runtime';
import type { Materialised, Materialiser, Snapshot } from '../restore/materialise.ts';

/** Data sets that are served, one at a time. */
export interface ServedData {
  /** The old data set; made real again when this process did not do so. */
  serveTarget(served: ServedPlace): Promise<Result<RollbackAddress>>;
  /** The data of `point` instead. */
  serveSafety(point: RestorePoint, served: ServedPlace): Promise<Result<RollbackAddress>>;
  /** What it is compared with: the numbers of keys, and the server while it is there. */
  reference(what: 'target' | 'safety'): {
    readonly keys: BackupManifest['keys'] | null;
    readonly source: Materialised | null;
  };
  progress(): RollbackLook['serving'];
  /** 0 to 1 of what is being served. */
  fraction(): number;
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** Under which name and position. */
export interface ServedPlace {
  readonly replicationId: string;
  readonly offset: number;
}

/** The old data set, ready to be saved. */
export interface PreparedTarget {
  readonly materialised: Materialised;
  readonly keys: BackupManifest['keys'];
  readonly marked: boolean;
}

/** Serves to nodes that know `credentials`. `prepared`: the old data set, when it is there already. */
export function createServedData(options: {
  readonly prepare: (signal: AbortSignal) => Promise<Result<PreparedTarget>>;
  readonly prepared: PreparedTarget | null;
  /** Known from the journal. */
  readonly keys: BackupManifest['keys'];
  readonly materialise: Materialiser;
  readonly bindHost: string;
  readonly advertisedHost: string;
  readonly credentials: { readonly username?: string; readonly password?: string };
  readonly signal: AbortSignal;
}): ServedData {
  const { materialise, bindHost, advertisedHost, credentials, signal } = options;
  let target = options.prepared;
  let safety: { readonly materialised: Materialised; readonly keys: BackupManifest['keys'] } | null = null;
  let snapshot: Snapshot | null = null;
  let server: HistoryServer | null = null;
  let failure: string | null = null;
  let contacted = false;
  let totalBytes = 0;

  const stop = async (): Promise<void> => {
    const ending = server;
    server = null;
    await ending?.close();
  };
  const serve = async (from: Snapshot, { replicationId, offset }: ServedPlace): Promise<Result<RollbackAddress>> => {
    await stop();
    failure = null;
    contacted = false;
    totalBytes = from.bytes;
    const started = await serveHistory({
      host: bindHost,
      history: {
        replicationId,
        offset,
        end: offset,
        rdb: () => ({ stream: createReadStream(from.path, { highWaterMark: 256 * 1024 }), bytes: from.bytes }),
      },
      credentials,
      onProgress: () => (contacted = true),
      signal,
    });
    server = started;
    started.whenTaken(signal).catch((error: unknown) => {
      if (server === started) failure = error instanceof Error ? error.message : String(error);
    });
    return ok({ host: advertisedHost, port: started.port });
  };

  return {
    serveTarget: async (place) => {
      if (target === null) {
        const made = await options.prepare(signal);
        if (!made.ok) return made;
        target = made.value;
        snapshot = null;
      }
      snapshot ??= await target.materialised.snapshot(signal);
      return serve(snapshot, place);
    },
    serveSafety: async (point, place) => {
      if (safety === null) {
        const made = await materialise(point, { signal });
        if (!made.ok) return made;
        safety = { materialised: made.value, keys: await made.value.keys(signal) };
      }
      return serve(await safety.materialised.snapshot(signal), place);
    },
    reference: (what) =>
      what === 'target'
        ? { keys: target?.keys ?? options.keys, source: target?.materialised ?? null }
        : { keys: safety?.keys ?? null, source: safety?.materialised ?? null },
    progress: () => {
      if (server === null) return null;
      const sentBytes = Math.max(0, ...server.replicas().map((replica) => replica.sentBytes));
      return { contacted: contacted || sentBytes > 0, sentBytes, failure };
    },
    fraction: () => {
      const sentBytes = Math.max(0, ...(server?.replicas() ?? []).map((replica) => replica.sentBytes));
      return totalBytes === 0 ? 0 : Math.min(1, sentBytes / totalBytes);
    },
    stop,
    close: async () => {
      await stop();
      await target?.materialised.close();
      await safety?.materialised.close();
    },
  };
}

const markDeadlineMs = 10_000;

/**
 * Makes the old data set ready to become the present. A catalog in it says that it was put there on purpose and belongs to no process:
 * nothing is given out from it before its readers have begun the next epoch (docs/adr/0011).
 */
export async function prepareTarget(
  materialised: Materialised,
  operation: string,
  signal: AbortSignal,
): Promise<PreparedTarget> {
  const marked = (await materialised.ask(['EXISTS', names.catalogMeta], { signal })) === 1;
  if (marked) {
    const mark = [
      ['HSET', names.catalogMeta, 'restored', operation],
      ['HDEL', names.catalogMeta, 'runId'],
    ];
    await withDeadline(materialised.append(mark, { signal }), markDeadlineMs, 'the mark of the catalog');
  }
  return { materialised, marked, keys: await materialised.keys(signal) };
}

/** Why a point cannot be served any more. */
export function noPoint(detail: string): Result<never> {
  return refuse('not_restorable', detail);
}
