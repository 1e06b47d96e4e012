// Has the primary taken what was served? Numbers of keys by database, and a sample of keys with their types, times to live and contents.
import { keyCounts } from '@switchyard/backup';
import { ok, refuse, type BackupManifest, type Result } from '@switchyard/protocol';
import type { RollbackAddress } from '@switchyard/backup';
import type { Materialised, ScratchReply } from '../restore/materialise.ts';
import type { GroupContacts } from './group-contacts.ts';
import { keyName } from '../compare/key-name.ts';

/** What was compared. */
export interface DataProof {
  readonly keys: number;
  readonly sampled: number;
}

const mostSampled = 48;
const largestElements = 512;
const askDeadlineMs = 5_000;

/** Compares; refuses with what differs first. Rejects when the node does not answer. */
export async function proveData(options: {
  readonly contacts: GroupContacts;
  readonly at: RollbackAddress;
  readonly runId: string;
  readonly keys: BackupManifest['keys'];
  /** Null: the throw-away server is gone, only numbers are compared. */
  readonly source: Materialised | null;
  readonly signal: AbortSignal;
}): Promise<Result<DataProof>> {
  const { contacts, at, runId, keys, source, signal } = options;
  const info = await contacts.node(at, ['INFO', 'keyspace'], { runId, deadlineMs: askDeadlineMs });
  const found = keyCounts(String(info));
  const databases = new Set([...Object.keys(keys.perDatabase), ...Object.keys(found.perDatabase)]);
  for (const database of databases) {
    const [wanted, there] = [keys.perDatabase[database] ?? 0, found.perDatabase[database] ?? 0];
    if (wanted !== there)
      return refuse('backup_corrupt', `The primary has ${there} keys in database ${database} instead of ${wanted}.`);
  }
  if (source === null) return ok({ keys: found.total, sampled: 0 });
  let sampled = 0;
  // One after the other: the connection has one selected database.
  for (const [database, count] of Object.entries(keys.perDatabase)) {
    const share = Math.min(count, Math.ceil((mostSampled * count) / Math.max(1, keys.total)));
    const select = { database: Number(database), signal };
    await contacts.node(at, ['SELECT', database], { runId });
    const live = (...words: readonly string[]): Promise<ScratchReply> =>
      contacts.node(at, words, { runId, deadlineMs: askDeadlineMs });
    for (let turn = 0; turn < share; turn += 1) {
      const name = await source.ask(['RANDOMKEY'], select);
      // Names that are no text would not survive the way through a string.
      if (!Buffer.isBuffer(name) || !isText(name)) continue;
      const key = name.toString('utf8');
      const aside = (...words: readonly string[]): Promise<ScratchReply> => source.ask(words, select);
      const [here, there] = await Promise.all([worth(aside, key), worth(live, key)]);
      if (here !== there)
        return refuse('backup_corrupt', `The key ${keyName(name, Number(database))} differs at the primary.`);
      sampled += 1;
    }
  }
  await contacts.node(at, ['SELECT', '0'], { runId });
  return ok({ keys: found.total, sampled });
}

type Ask = (...words: readonly string[]) => Promise<ScratchReply>;

/** Type, time of expiry and content as text, whatever its encoding. Large ones by their size alone. */
async function worth(ask: Ask, key: string): Promise<string> {
  const type = String(await ask('TYPE', key));
  const expiry = String(await ask('PEXPIRETIME', key));
  const read = readers[type];
  if (read === undefined) return `${type} ${expiry}`;
  const size = Number(await ask(read.size, key));
  const content = size > read.most ? null : await ask(...read.words(key));
  return `${type} ${expiry} ${size} ${content === null ? '' : flat(content, read.unordered).join(' ')}`;
}

interface Reader {
  readonly size: string;
  readonly most: number;
  /** Elements that belong together, when their order says nothing; 0 = it does. */
  readonly unordered: 0 | 1 | 2;
  readonly words: (key: string) => readonly string[];
}

const readers: Readonly<Record<string, Reader>> = {
  string: { size: 'STRLEN', most: 262_144, unordered: 0, words: (key) => ['GET', key] },
  list: { size: 'LLEN', most: largestElements, unordered: 0, words: (key) => ['LRANGE', key, '0', '-1'] },
  set: { size: 'SCARD', most: largestElements, unordered: 1, words: (key) => ['SMEMBERS', key] },
  hash: { size: 'HLEN', most: largestElements, unordered: 2, words: (key) => ['HGETALL', key] },
  zset: {
    size: 'ZCARD',
    most: largestElements,
    unordered: 0,
    words: (key) => ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
  },
  stream: { size: 'XLEN', most: largestElements, unordered: 0, words: (key) => ['XRANGE', key, '-', '+'] },
};

function flat(reply: ScratchReply, unordered: 0 | 1 | 2): readonly string[] {
  if (!Array.isArray(reply)) return [Buffer.isBuffer(reply) ? reply.toString('base64') : String(reply)];
  const items = (reply as readonly ScratchReply[]).map((item) => flat(item, 0).join(','));
  if (unordered === 0) return items;
  if (unordered === 1) return items.toSorted();
  return Array.from({ length: items.length / 2 }, (_, at) => `${items[2 * at]}=${items[2 * at + 1]}`).toSorted();
}

function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes);
}
