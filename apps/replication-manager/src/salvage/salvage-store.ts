// Where is what a former primary had alone? A copy of all its data in a file of ours, taken before it becomes a replica.
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { decodeJson, redisSalvageSchema, type RedisSalvage } from '@switchyard/protocol';
import type { Address } from '@switchyard/replication';
import { fetchSnapshot } from '@switchyard/replication-link';
import type { RedisNodeAdmin, RedisAccess } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';
import type { Comparison } from './salvage-compare.ts';

/** What lies beside the copy. */
export const storedSalvageSchema = redisSalvageSchema
  .extend({
    epoch: z.int(),
    /** compared with the primary of that time; null when it was not */
    comparison: z
      .object({
        keys: z.array(
          z.object({
            db: z.int(),
            /** as it is, or in hex when it is no plain text */
            key: z.string(),
            hex: z.string(),
            /** the primary has none of that name, or another content, older or newer */
            kind: z.enum(['only-there', 'different']),
          }),
        ),
        /** more keys differ than are listed */
        truncated: z.boolean(),
        compared: z.int(),
      })
      .nullable(),
  })
  .meta({ id: 'RedisStoredSalvage' });
/** A copy and what is known about it. */
export type StoredSalvage = z.infer<typeof storedSalvageSchema>;

/** The copies of one group. */
export interface SalvageStore {
  /** Newest first. Rejects on I/O errors. */
  list(): Promise<readonly StoredSalvage[]>;
  get(id: string): Promise<StoredSalvage | undefined>;
  /** Copies the data of a node that takes no writes. Rejects when it does not come to an end in time, or is too large. */
  take(request: TakeRequest): Promise<RedisSalvage>;
  /** Keeps what was found out about it. */
  describe(id: string, comparison: Comparison): Promise<void>;
  /** False when there is none. */
  remove(id: string): Promise<boolean>;
}

/** Whose data, and how long it may take. */
export interface TakeRequest {
  readonly node: Address & { readonly name: string };
  readonly epoch: number;
  readonly admin: Pick<RedisNodeAdmin, 'configGet' | 'call'>;
  readonly deadlineMs: number;
}

/** Where, and how much at most. */
export interface SalvageStoreOptions {
  /** A directory of its own; created. */
  readonly directory: string;
  readonly access: RedisAccess;
  /** All copies together; the oldest go. */
  readonly maxBytes: number;
  readonly clock: Clock;
}

const mostKept = 10;
const delaySetting = 'repl-diskless-sync-delay';
const idPattern = /^[A-Za-z0-9._-]{1,128}$/;

/** The copies in `directory`. */
export const createSalvageStore = ({ directory, access, maxBytes, clock }: SalvageStoreOptions): SalvageStore => {
  const fileOf = (id: string): string => join(directory, `${id}.rdb`);
  const factsOf = (id: string): string => join(directory, `${id}.json`);

  const read = async (id: string): Promise<StoredSalvage | undefined> => {
    if (!idPattern.test(id)) return undefined;
    const text = await readFile(factsOf(id), 'utf8').catch(() => null);
    const decoded = text === null ? null : decodeJson(storedSalvageSchema, text);
    return decoded?.ok === true ? decoded.value : undefined;
  };
  const list = async (): Promise<readonly StoredSalvage[]> => {
    const names = await readdir(directory).catch(() => []);
    const ids = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
    const all = await Promise.all(ids.map(read));
    return all.flatMap((one) => one ?? []).sort((a, b) => b.takenAtMs - a.takenAtMs);
  };
  const write = async (salvage: StoredSalvage): Promise<void> => {
    const file = factsOf(salvage.id);
    await writeFile(`${file}.new`, JSON.stringify(salvage), { mode: 0o600 });
    await rename(`${file}.new`, file);
  };
  const remove = async (id: string): Promise<void> => {
    await rm(factsOf(id), { force: true });
    await rm(fileOf(id), { force: true });
  };
  const makeRoom = async (): Promise<void> => {
    let bytes = 0;
    for (const [at, { id, sizeBytes }] of (await list()).entries()) {
      bytes += sizeBytes;
      // The newest stays, whatever its size: it was allowed when it was taken.
      if (at >= mostKept || (at > 0 && bytes > maxBytes)) await remove(id);
    }
  };

  return {
    list,
    get: read,
    describe: async (id, comparison) => {
      const salvage = await read(id);
      if (salvage !== undefined) await write({ ...salvage, comparison: { ...comparison, keys: [...comparison.keys] } });
    },
    async remove(id) {
      if ((await read(id)) === undefined) return false;
      await remove(id);
      return true;
    },
    async take({ node, epoch, admin, deadlineMs }) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const takenAtMs = clock.unixMs();
      const id = `${String(takenAtMs)}-${node.name.replaceAll(/[^A-Za-z0-9._-]/g, '_')}`;
      const file = fileOf(id);
      // Otherwise it waits 5 s for more readers before it begins.
      const delay = await admin.configGet(delaySetting).catch(() => undefined);
      if (delay !== undefined && delay !== '0') await admin.call('CONFIG', 'SET', delaySetting, 0);
      try {
        const { host, port } = node;
        const { tls: _tls, ...user } = access;
        const snapshot = await fetchSnapshot({ host, port, ...user, deadlineMs, idleTimeoutMs: deadlineMs });
        const hash = createHash('sha256');
        let sizeBytes = 0;
        const counted = new Transform({
          transform(chunk: Buffer, _encoding, done) {
            sizeBytes += chunk.length;
            hash.update(chunk);
            if (sizeBytes > maxBytes) done(new Error(`the data set is larger than ${String(maxBytes)} bytes`));
            else done(null, chunk);
          },
        });
        await pipeline(snapshot.rdb, counted, createWriteStream(`${file}.new`, { mode: 0o600, flush: true }));
        await rename(`${file}.new`, file);
        const salvage = { id, node: node.name, file, sizeBytes, sha256: hash.digest('hex'), takenAtMs };
        await write({ ...salvage, epoch, comparison: null });
        await makeRoom();
        return salvage;
      } catch (error) {
        await rm(`${file}.new`, { force: true });
        throw error;
      } finally {
        if (delay !== undefined && delay !== '0') {
          await admin.call('CONFIG', 'SET', delaySetting, delay).catch(() => undefined);
        }
      }
    },
  };
};
