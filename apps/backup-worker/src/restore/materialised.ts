// What can be done with a throw-away server that holds a moment? Count, digest, ask, add, save, and end it.
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RefusalError, type BackupManifest, type RestorePoint } from '@switchyard/protocol';
import { keyCounts } from '@switchyard/backup';
import { createAsking } from '../scratch/asking.ts';
import { ErrorReply } from '../scratch/reply-reader.ts';
import type { ScratchPlace, ScratchServer } from '../scratch/scratch-server.ts';
import type { ServerConnection } from '../scratch/server-connection.ts';
import type { Materialised, MaterialisedContent, ScratchReply } from './materialise.ts';

// Counts the keys of each type behind one cursor. A few thousand at a time: other questions come in between.
const countTypes = `
local answer = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local counts = {}
for _, key in ipairs(answer[2]) do
  local kind = redis.call('TYPE', key)['ok']
  counts[kind] = (counts[kind] or 0) + 1
end
local flat = { answer[1] }
for kind, count in pairs(counts) do flat[#flat + 1] = kind; flat[#flat + 1] = count end
return flat`;
const keysAtOnce = 5_000;
const longestMs = 3_600_000;

/** The server that has reached `point`. */
export function createMaterialised(options: {
  readonly point: RestorePoint;
  readonly server: BackupManifest['server'];
  readonly place: ScratchPlace;
  readonly running: ScratchServer;
  readonly connection: ServerConnection;
  readonly tookMs: number;
  readonly onClose: () => void;
}): Materialised {
  const { point, server, place, running, connection, tookMs } = options;
  const ask = createAsking(connection);
  let closing: Promise<void> | undefined;

  const keyspace = async (signal: AbortSignal): Promise<string> => String(await ask(['INFO', 'keyspace'], { signal }));

  const typesOf = async (database: number, signal: AbortSignal): Promise<Map<string, number>> => {
    const found = new Map<string, number>();
    let cursor = '0';
    do {
      const reply = await ask(['EVAL_RO', countTypes, '0', cursor, String(keysAtOnce)], {
        database,
        signal,
        deadlineMs: longestMs,
      });
      const [next, ...flat] = Array.isArray(reply) ? (reply as readonly ScratchReply[]) : [];
      cursor = String(next ?? '0');
      for (let at = 0; at + 1 < flat.length; at += 2) {
        const kind = String(flat[at]);
        found.set(kind, (found.get(kind) ?? 0) + Number(flat[at + 1]));
      }
    } while (cursor !== '0');
    return found;
  };

  const content = async (signal: AbortSignal): Promise<MaterialisedContent> => {
    const info = await keyspace(signal);
    const keys = keyCounts(info);
    const digest = String(await ask(['DEBUG', 'DIGEST'], { signal, deadlineMs: longestMs }));
    const types: Record<string, number> = {};
    let seen = 0;
    for (const database of Object.keys(keys.perDatabase))
      for (const [kind, count] of await typesOf(Number(database), signal)) {
        types[kind] = (types[kind] ?? 0) + count;
        seen += count;
      }
    return { keys, digest, expires: expiresIn(info), types, due: Math.max(0, keys.total - seen) };
  };

  const close = async (): Promise<void> => {
    connection.close();
    // What cannot be removed now is removed as a leftover later.
    await place.remove().catch(() => undefined);
    options.onClose();
  };

  return {
    point,
    server,
    socketPath: place.socketPath,
    tookMs,
    ask,
    keys: async (signal) => keyCounts(await keyspace(signal)),
    content,
    append: async (commands, { database = 0, signal }) => {
      signal.throwIfAborted();
      await ask(['CONFIG', 'SET', 'replica-read-only', 'no'], { signal });
      try {
        const answers = [
          ask(['MULTI'], { database, signal }),
          ...commands.map((command) => ask(command, { database, signal })),
          ask(['EXEC'], { database, signal }),
        ];
        const settled = await Promise.allSettled(answers);
        const failed = settled.find((answer) => answer.status === 'rejected');
        if (failed !== undefined) throw failed.reason;
      } finally {
        await ask(['CONFIG', 'SET', 'replica-read-only', 'yes']);
      }
    },
    snapshot: async (signal) => {
      await ask(['SAVE'], { signal, deadlineMs: longestMs }).catch((error: unknown) => {
        if (!(error instanceof ErrorReply)) throw error;
        const reason = running.output().trim().split('\n').at(-1) ?? '';
        throw new RefusalError({
          code: 'refused_for_safety',
          detail: `The data could not be saved in ${dirname(place.dataPath)}.`,
          why: [error.message, reason].filter((text) => text !== ''),
          next: 'Make room there, or set SWITCHYARD_BACKUP_SCRATCH to a directory on another disk.',
        });
      });
      return { path: place.dataPath, bytes: (await stat(place.dataPath)).size };
    },
    close: () => (closing ??= close()),
  };
}

/** Keys with a time to live, of the lines `db0:keys=5,expires=1,...`. */
function expiresIn(infoKeyspace: string): number {
  let total = 0;
  for (const match of infoKeyspace.matchAll(/^db\d+:keys=\d+,expires=(\d+)/gm)) total += Number(match[1]);
  return total;
}
