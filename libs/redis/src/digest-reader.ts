// What is the data of one node worth? Hashes of its keys, read in small portions; the same code on a primary and on a replica.
//
// The hash of a key covers name, expiry, type and content (scripts/include/digest_entry.lua). Keys that have expired are left
// out on both sides: a replica says of them what its primary will do to them, by its own clock.
import { hash as hashOf } from 'node:crypto';
import { openDigestConnection, type DigestConnection, type DigestNode } from './digest-connection.ts';
import { createDigestPace, type DigestPace, type DigestPaceOptions, type ReadUnit } from './digest-pace.ts';

/** One key as it was just now; null: it was not there. */
export interface DigestedKey {
  /** 24 hex digits. */
  readonly hash: string;
  /** Ms since 1970; null: never. */
  readonly expiresAtMs: number | null;
}

/** A reader of one node. Each call rejects with a RedisNodeError when the node does not answer or does not allow it. */
export interface DigestReader {
  /** Number of keys by database, of those that have any. */
  databases(): Promise<ReadonlyMap<number, number>>;
  /** Reads everything: `onHashes` gets 36 hex digits a key, 12 of its name and 24 of its entry, in no order. */
  scan(database: number, onHashes: (hashes: string) => void): Promise<void>;
  /** The names of all keys, some maybe twice, until `onNames` answers false. */
  names(database: number, onNames: (names: readonly Buffer[]) => boolean | void): Promise<void>;
  /** These keys as they are now, and the time by the node's clock; `content` leaves the expiry out of the hash. */
  keys(
    database: number,
    names: readonly Buffer[],
    of?: 'all' | 'content',
  ): Promise<{ readonly keys: readonly (DigestedKey | null)[]; readonly nowMs: number }>;
  /** Type and size (bytes of a string, elements of anything else) for people; null when it is not there. */
  describe(database: number, name: Buffer): Promise<{ readonly type: string; readonly size: number | null } | null>;
  /** Position in the replication stream; null when it says none. */
  offset(): Promise<number | null>;
  readonly pace: DigestPace;
  close(): void;
}

/** Bytes of keys and values, and 64 an element, that one call may read. */
const mostWork = 131_072;
const keysAtOnce = 128;
const sizeCommands: Readonly<Record<string, string>> = {
  string: 'STRLEN',
  list: 'LLEN',
  set: 'SCARD',
  hash: 'HLEN',
  zset: 'ZCARD',
  stream: 'XLEN',
};

/** Hash of a key's name, as the scripts have it: 40 hex digits. */
export const nameHash = (name: Buffer): string => hashOf('sha1', name);

/** Connects. `signal` ends whatever it does between two calls. */
export const openDigestReader = async (
  node: DigestNode,
  options: Omit<DigestPaceOptions, 'clock'> & { readonly signal?: AbortSignal } = {},
): Promise<DigestReader> => {
  const { clock } = node;
  const { signal } = options;
  const connection = await openDigestConnection(node);
  const pace = createDigestPace({ ...options, emptyCallMs: await emptyCallMs(connection, clock), clock });

  /** Measures and pauses; how many were read, and what that was for the node, is seen in the reply. */
  const paced = async (
    ask: () => Promise<unknown>,
    read: (reply: readonly unknown[]) => { readonly unit: ReadUnit; readonly asked: number; readonly work: number },
  ): Promise<readonly unknown[]> => {
    signal?.throwIfAborted();
    const startedMs = clock.monotonicMs();
    const reply = (await ask()) as readonly unknown[];
    await pace.spent({ ms: clock.monotonicMs() - startedMs, ...read(reply) }, signal);
    return reply;
  };

  const large = async (name: Buffer, expiry: string): Promise<string | null> => {
    const type = String(await connection.call('TYPE', name));
    const letter = letters[type];
    if (letter === undefined) return null;
    const sums: [number, number, number] = [0, 0, 0];
    let cursor = '0';
    pace.nextKey();
    try {
      while (cursor !== '') {
        const count = letter === 'S' ? 1 : pace.count('element');
        const reply = await paced(
          () => connection.run('digest-slice', [name, letter, cursor, count]),
          ([, read, , , work]) => ({ unit: 'element', asked: Number(read), work: Number(work) }),
        );
        cursor = String(reply[0]);
        for (const at of [0, 1, 2] as const) sums[at] = (sums[at] + Number(String(reply[at + 1]))) % 2 ** 52;
      }
    } catch (error) {
      // It is of another type by now, or gone: whoever asked will ask again.
      if (error instanceof Error && /WRONGTYPE|no such key|NOGROUP/.test(error.message)) return null;
      throw error;
    }
    const content = `${String(sums[0])}:${String(sums[1])}:${String(sums[2])}`;
    return hashOf('sha1', `${nameHash(name)}${letter}${expiry}:${content}`).slice(0, 24);
  };

  const keys: DigestReader['keys'] = async (database, names, of = 'all') => {
    await connection.select(database);
    const found: (DigestedKey | null)[] = [];
    let nowMs = 0;
    while (found.length < names.length) {
      const rest = names.slice(found.length, found.length + keysAtOnce);
      const reply = await paced(
        () => connection.run('digest-keys', [mostWork, of, ...rest]),
        ({ length, 1: work }) => ({ unit: 'key', asked: (length - 2) / 2, work: Number(String(work)) }),
      );
      nowMs = Number(String(reply[0]));
      for (let at = 2; at < reply.length; at += 2) {
        const hash = String(reply[at]);
        const expiry = String(reply[at + 1]);
        const name = names[found.length] as Buffer;
        const whole = hash === '' && expiry !== '-2' ? await large(name, of === 'content' ? '' : expiry) : hash;
        found.push(
          expiry === '-2' || whole === null || whole === ''
            ? null
            : { hash: whole, expiresAtMs: expiry === '-1' ? null : Number(expiry) },
        );
      }
    }
    return { keys: found, nowMs };
  };

  return {
    pace,
    keys,
    async databases() {
      const text = String(await connection.call('INFO', 'keyspace'));
      const found = [...text.matchAll(/^db(\d+):keys=(\d+)/gm)];
      return new Map(found.map(([, database, count]) => [Number(database), Number(count)]));
    },
    async scan(database, onHashes) {
      await connection.select(database);
      let cursor = '0';
      do {
        const reply = await paced(
          () => connection.run('digest-scan', [cursor, pace.count('key'), mostWork]),
          ([, hashes, , work]) => ({ unit: 'key', asked: (hashes as Buffer).length / 36, work: Number(work) }),
        );
        cursor = String(reply[0]);
        onHashes((reply[1] as Buffer).toString('latin1'));
        const later = reply[2] as Buffer[];
        if (later.length === 0) continue;
        const read = await keys(database, later);
        onHashes(later.map((name, at) => hashesOf(name, read.keys[at])).join(''));
      } while (cursor !== '0');
    },
    async names(database, onNames) {
      await connection.select(database);
      let cursor = '0';
      do {
        const reply = await paced(
          () => connection.call('SCAN', cursor, 'COUNT', pace.count('name')),
          ([, names]) => ({ unit: 'name', asked: (names as Buffer[]).length, work: 0 }),
        );
        cursor = String(reply[0]);
        if (onNames(reply[1] as Buffer[]) === false) return;
      } while (cursor !== '0');
    },
    async describe(database, name) {
      await connection.select(database);
      const type = String(await connection.call('TYPE', name));
      if (type === 'none') return null;
      const command = sizeCommands[type];
      const size = command === undefined ? null : Number(await connection.call(command, name).catch(() => null));
      return { type, size };
    },
    offset: () => offsetOf(connection),
    close: () => connection.close(),
  };
};

/** The way there and back: the shortest of a few. */
const emptyCallMs = async (connection: DigestConnection, clock: DigestNode['clock']): Promise<number> => {
  const times: number[] = [];
  for (let ping = 0; ping < 5; ping += 1) {
    const startedMs = clock.monotonicMs();
    // A user who may not ask that gets an answer all the same.
    await connection.call('PING').catch(() => undefined);
    times.push(clock.monotonicMs() - startedMs);
  }
  return Math.min(...times);
};

const letters: Readonly<Record<string, string>> = {
  string: 'S',
  list: 'l',
  set: 't',
  hash: 'h',
  zset: 'z',
  stream: 'x',
};

const hashesOf = (name: Buffer, key: DigestedKey | null | undefined): string =>
  key === null || key === undefined ? '' : nameHash(name).slice(0, 12) + key.hash;

const offsetOf = async (connection: DigestConnection): Promise<number | null> => {
  const text = String(await connection.call('INFO', 'replication'));
  const field = /^role:slave/m.test(text) ? 'slave_repl_offset' : 'master_repl_offset';
  const found = new RegExp(`^${field}:(\\d+)`, 'm').exec(text);
  return found === null ? null : Number(found[1]);
};
