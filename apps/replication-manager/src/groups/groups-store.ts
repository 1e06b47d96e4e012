// Which groups were added by the API, with what? One file on the manager's disk, for its user alone: passwords are in it.
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { redisGroupInputSchema, redisGroupNameSchema } from '@switchyard/protocol';
import type { Logger } from '@switchyard/runtime';
import { z } from 'zod';

const addresses = z.array(z.object({ host: z.string(), port: z.int() }));

const keptGroupSchema = z.object({
  name: redisGroupNameSchema,
  /** Rises with each change, whichever manager made it; the ETag. */
  revision: z.int(),
  /** The manager that changed it last: settles who wins when two changed it at once. */
  by: z.string().max(128),
  input: redisGroupInputSchema,
  /** Who belonged to it when it was admitted: where to begin after a restart. */
  sentinels: addresses,
  nodes: addresses,
});
/** A group as it is kept. */
export type KeptGroup = z.infer<typeof keptGroupSchema>;

const removedGroupSchema = z.object({ name: redisGroupNameSchema, revision: z.int(), by: z.string().max(128) });
/** A group that was removed: other managers have to learn it, too. */
export type RemovedGroup = z.infer<typeof removedGroupSchema>;

/** Everything that is kept. */
export interface KeptGroups {
  readonly groups: readonly KeptGroup[];
  readonly removed: readonly RemovedGroup[];
}

const fileSchema = z.object({
  version: z.literal(1),
  groups: z.array(z.unknown()),
  removed: z.array(removedGroupSchema).default([]),
});
const nothing: KeptGroups = { groups: [], removed: [] };

/** The file. */
export interface GroupsStore {
  /** What was kept; what cannot be read is left out and logged, and an unreadable file is set aside. Throws what the disk refuses. */
  read(): Promise<KeptGroups>;
  /** Replaces everything; resolves when it is on the disk. */
  write(kept: KeptGroups): Promise<void>;
}

/** The store at `path`; its directory is created. */
export const createGroupsStore = (path: string, logger: Logger): GroupsStore => ({
  async read() {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (text === null) return nothing;
    const file = fileSchema.safeParse(parsed(text));
    if (!file.success) {
      // Never overwritten: passwords that nobody else has may be in it.
      await rename(path, `${path}.unreadable`);
      logger.error({ path, aside: `${path}.unreadable` }, 'groups.file_unreadable');
      return nothing;
    }
    const groups = file.data.groups.flatMap((one) => {
      const group = keptGroupSchema.safeParse(one);
      // Only where it is wrong: what is there may be a password.
      if (!group.success)
        logger.error({ path, at: group.error.issues.map((issue) => issue.path) }, 'groups.group_unreadable');
      return group.success ? [group.data] : [];
    });
    return { groups, removed: file.data.removed };
  },
  async write({ groups, removed }) {
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      // One that was left by a crash keeps its mode when it is opened again.
      await file.chmod(0o600);
      await file.writeFile(`${JSON.stringify({ version: 1, groups, removed }, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const directory = await open(dirname(path), 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
});

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};
