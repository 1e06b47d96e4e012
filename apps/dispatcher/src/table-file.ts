// What does a dispatcher start with when Redis is away? The last table of its last run. Written beside and renamed, so
// that a crash leaves the old file or the new one, never half of one.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CatalogSnapshot } from '@switchyard/catalog';
import { decodeJson, storedInstanceSchema, storedRouteSchema, storedServiceSchema } from '@switchyard/protocol';
import { z } from 'zod';

const versioned = <T extends z.ZodType>(document: T) => z.object({ document, revision: z.number() });

const snapshotSchema = z.object({
  format: z.literal(1),
  savedUnixMs: z.number(),
  epoch: z.number(),
  revision: z.number(),
  instances: z.array(storedInstanceSchema.extend({ revision: z.number() })),
  services: z.record(z.string(), versioned(storedServiceSchema)),
  routes: z.record(z.string(), versioned(storedRouteSchema)),
});

/** A table that was saved, and when. */
export interface SavedTable {
  readonly snapshot: CatalogSnapshot;
  readonly savedUnixMs: number;
}

/** The file of one dispatcher. */
export interface TableFile {
  /** undefined when there is none. Rejects with a sentence when there is one that cannot be used. */
  read(): Promise<SavedTable | undefined>;
  write(snapshot: CatalogSnapshot, unixMs: number): Promise<void>;
}

/** The file at `path`; its folder is made when needed. One writer at a time. */
export function createTableFile(path: string): TableFile {
  return {
    async read() {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      if (text === undefined) return undefined;
      const decoded = decodeJson(snapshotSchema, text, path);
      if (!decoded.ok) throw new Error(`${decoded.error.detail}: ${(decoded.error.why ?? []).join('; ')}`);
      const { format: _format, savedUnixMs, ...snapshot } = decoded.value;
      return { snapshot, savedUnixMs };
    },
    async write(snapshot, unixMs) {
      const beside = `${path}.${process.pid}.tmp`;
      await mkdir(dirname(path), { recursive: true });
      try {
        await writeFile(beside, JSON.stringify({ format: 1, savedUnixMs: unixMs, ...snapshot }), { mode: 0o600 });
        await rename(beside, path);
      } catch (error) {
        await rm(beside, { force: true });
        throw error;
      }
    },
  };
}
