// Who owned which slots when the manager last looked? A file on its disk, so that a failover that happened while it did not run is
// not passed over in silence. It decides nothing: the cluster itself says who is primary.
import { open, readFile, rename } from 'node:fs/promises';
import type { KnownShard } from '@switchyard/replication';
import type { Logger } from '@switchyard/runtime';
import { z } from 'zod';

const endpoint = z.object({ name: z.string(), host: z.string(), port: z.int() });
const fileSchema = z.object({
  version: z.literal(1),
  shards: z.array(
    z.object({
      id: z.string(),
      primary: endpoint,
      epoch: z.int(),
      firstSlot: z.int(),
      name: z.string(),
      replicas: z.array(z.object({ id: z.string(), at: endpoint })),
    }),
  ),
});

/** The file. */
export interface ClusterMemory {
  /** As it was kept; nothing when there is no file, or one that cannot be read. */
  read(): Promise<readonly KnownShard[]>;
  /** Keeps them if they changed. Never throws: what the disk refuses is logged, and tried again with the next change. */
  keep(shards: readonly KnownShard[]): void;
  /** Resolves when what was to be kept is on the disk. */
  settled(): Promise<void>;
}

/** The memory at `path`; its directory has to be there. */
export const createClusterMemory = (path: string, logger: Logger): ClusterMemory => {
  let kept = '';
  let writing: Promise<void> = Promise.resolve();

  const write = async (text: string): Promise<void> => {
    const file = await open(`${path}.new`, 'w');
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  };

  return {
    async read() {
      const text = await readFile(path, 'utf8').catch(() => '');
      const file = fileSchema.safeParse(text === '' ? null : parsed(text));
      if (!file.success) return [];
      kept = text;
      return file.data.shards.map((shard) => ({
        ...shard,
        replicas: shard.replicas.map((one) => ({ ...one, offset: null })),
        offset: null,
        lastAckAtMs: null,
        isFresh: false,
      }));
    },
    keep(shards) {
      const plain = shards.map(({ id, primary, epoch, firstSlot, name, replicas }) => ({
        id,
        primary,
        epoch,
        firstSlot,
        name,
        replicas: replicas.map((one) => ({ id: one.id, at: one.at })),
      }));
      const text = `${JSON.stringify({ version: 1, shards: plain })}\n`;
      if (text === kept) return;
      kept = text;
      writing = writing
        .then(async () => write(text))
        .catch((error: unknown) => {
          kept = '';
          logger.warn({ path, err: error }, 'cluster.memory_unwritten');
        });
    },
    settled: async () => writing,
  };
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
