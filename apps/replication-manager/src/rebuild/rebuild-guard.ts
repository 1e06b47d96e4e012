// Who must not be promoted while it copies? Its replica-priority is 0 for that time, and what it was before is in a file: a manager that
// dies meanwhile puts it back when it is there again and the node is in sync.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isLeaving, isSeen, defaultLimits, sameAddress, type Address, type Endpoint } from '@switchyard/replication';
import { z } from 'zod';
import type { GroupLook, GroupTools } from '../group-part.ts';

const guardSchema = z.object({
  operation: z.string(),
  kind: z.string(),
  node: z.object({ name: z.string(), host: z.string(), port: z.int() }),
  priority: z.string(),
  startedAtMs: z.number(),
});

/** One node that is protected, and by whom. */
export type Guard = z.infer<typeof guardSchema>;

/** The guards of a group. */
export interface Guards {
  /** What an earlier process left behind; to be called once. */
  load(): Promise<readonly Guard[]>;
  /** Makes it one that is not promoted; `finalPriority` is what it gets back, by default what it has now. */
  protect(guard: Omit<Guard, 'priority' | 'startedAtMs'>, finalPriority?: number): Promise<void>;
  /** Puts its priority back. */
  release(node: Address): Promise<void>;
  /** From now on it is put back as soon as the node is in sync, whoever sees to that. */
  leave(node: Address): void;
  /** Forgets it; the priority stays as it is. Its value before, for people. */
  drop(node: Address): string | null;
  /** With each look: puts back what was left. */
  look(look: GroupLook): void;
}

const mostGuards = 32;
const questionMs = 2_000;
const retryMs = 2_000;

/** Guards kept at `path`. */
export const createGuards = (tools: GroupTools, path: string): Guards => {
  const { clock, logger, definition } = tools;
  let guards: readonly Guard[] = [];
  const owned = new Set<Guard>();
  let triedAtMs = -Infinity;
  let busy = false;
  let saving: Promise<void> = Promise.resolve();

  const save = (next: readonly Guard[]): Promise<void> => {
    guards = next.slice(-mostGuards);
    const text = JSON.stringify(guards);
    const write = async (): Promise<void> => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    };
    saving = saving.then(write).catch((error: unknown) => {
      logger.error({ group: definition.name, path, err: error }, 'rebuild.guards_not_saved');
    });
    return saving;
  };
  const find = (node: Address): Guard | undefined => guards.find((one) => sameAddress(one.node, node));
  const setPriority = async (node: Endpoint, priority: string): Promise<string> => {
    const admin = tools.connect(node, { deadlineMs: questionMs, name: 'switchyard-rebuild' });
    try {
      const before = (await admin.configGet('replica-priority')) ?? '100';
      if (before !== priority) await admin.call('CONFIG', 'SET', 'replica-priority', priority);
      return before;
    } finally {
      admin.close();
    }
  };
  const putBack = async (guard: Guard): Promise<void> => {
    await setPriority(guard.node, guard.priority);
    owned.delete(guard);
    await save(guards.filter((one) => one !== guard));
    logger.info(
      { group: definition.name, node: guard.node.name, priority: guard.priority },
      'rebuild.priority_restored',
    );
  };

  return {
    async load() {
      const text = await readFile(path, 'utf8').catch(() => '[]');
      const parsed = z.array(guardSchema).safeParse(jsonOf(text));
      guards = parsed.success ? parsed.data : [];
      return guards;
    },
    async protect(guard, finalPriority) {
      const left = find(guard.node);
      const admin = tools.connect(guard.node, { deadlineMs: questionMs, name: 'switchyard-rebuild' });
      const now = await admin.configGet('replica-priority').finally(() => admin.close());
      const priority = finalPriority === undefined ? (left?.priority ?? now ?? '100') : String(finalPriority);
      const mine: Guard = { ...guard, priority, startedAtMs: clock.unixMs() };
      owned.add(mine);
      // First written down, then done: what is never written would stay 0 for ever.
      await save([...guards.filter((one) => one !== left), mine]);
      await setPriority(guard.node, '0');
    },
    async release(node) {
      const guard = find(node);
      if (guard !== undefined) await putBack(guard);
    },
    leave(node) {
      const guard = find(node);
      if (guard !== undefined) owned.delete(guard);
    },
    drop(node) {
      const guard = find(node);
      if (guard === undefined) return null;
      owned.delete(guard);
      void save(guards.filter((one) => one !== guard));
      return guard.priority;
    },
    look({ observation, nowMs }) {
      if (busy || nowMs - triedAtMs < retryMs) return;
      const left = guards.filter((one) => !owned.has(one));
      const due = left.find((guard) => {
        const node = observation.nodes.find((one) => sameAddress(one, guard.node));
        if (node === undefined || node.info === null || !isSeen(node, nowMs, defaultLimits.staleAfterMs)) return false;
        return !isLeaving(node) && !node.info.loading && (node.info.role === 'primary' || node.info.link === 'up');
      });
      if (due === undefined) return;
      busy = true;
      triedAtMs = nowMs;
      void putBack(due)
        .catch((error: unknown) =>
          logger.warn({ group: definition.name, node: due.node.name, err: error }, 'rebuild.priority_not_restored'),
        )
        .finally(() => {
          busy = false;
        });
    },
  };
};

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return [];
  }
};
