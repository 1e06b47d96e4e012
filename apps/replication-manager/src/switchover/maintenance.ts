// Is somebody at work on the group by hand? Then nothing is enforced, scheduled or rebuilt, until they are done or their time is over.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ok, refuse, type Result } from '@switchyard/protocol';
import type { Findings } from '@switchyard/replication';
import { z } from 'zod';
import type { GroupPart, GroupTools } from '../group-part.ts';

const storedSchema = z.object({
  node: z.string().nullable(),
  reason: z.string(),
  sinceUnixMs: z.number(),
  untilUnixMs: z.number(),
});
/** One maintenance: of a node, or of the whole group (`node` null). */
export type MaintenanceWindow = z.infer<typeof storedSchema>;

/** The maintenance of one group; each ends by itself. */
export interface Maintenance {
  readonly part: GroupPart;
  /** Of the whole group or any of its nodes; those that have ended are not among them. */
  list(): readonly MaintenanceWindow[];
  /** Why requested work has to wait; null = it has not. */
  why(): string | null;
  /** Begins or prolongs. Refuses an unknown node, and while an operation is under way. Throws what the disk refuses. */
  put(window: {
    readonly node: string | null;
    readonly reason: string;
    readonly forMs: number;
  }): Promise<Result<MaintenanceWindow>>;
  /** Ends it now. Refuses with `not_found` when there is none. */
  end(node: string | null): Promise<Result<MaintenanceWindow>>;
}

const mostWindows = 32;

/** Kept in the group's directory, so that a restart does not end it. By the wall clock: it is a promise to people. */
export const createMaintenance = (tools: GroupTools): Maintenance => {
  const { clock, logger, definition, gate, observer } = tools;
  const path = join(tools.stateDir, 'maintenance.json');
  const group = definition.name;
  let windows: readonly MaintenanceWindow[] = [];
  let gateHeld: { release(): void } | null = null;
  let isTaking = false;

  const list = (): readonly MaintenanceWindow[] => {
    const nowMs = clock.unixMs();
    const open = windows.filter(({ untilUnixMs }) => untilUnixMs > nowMs);
    if (open.length !== windows.length) {
      logger.info({ group, ended: windows.length - open.length }, 'maintenance.over');
      windows = open;
    }
    return open;
  };

  const store = async (next: readonly MaintenanceWindow[]): Promise<void> => {
    await mkdir(dirname(path), { recursive: true });
    if (next.length === 0) await rm(path, { force: true });
    else {
      await writeFile(`${path}.new`, JSON.stringify(next), { mode: 0o600 });
      await rename(`${path}.new`, path);
    }
    windows = next;
    hold();
    tools.wake();
  };

  /** Parts leave the nodes alone that the gate holds: maintenance is work of somebody else. */
  const hold = (): void => {
    const open = list();
    if (open.length === 0) {
      gateHeld?.release();
      gateHeld = null;
      return;
    }
    if (gateHeld !== null || isTaking) return;
    isTaking = true;
    void gate
      .begin(`the maintenance of ${group}`, { takeOver: true })
      .then((begun) => {
        isTaking = false;
        if (!begun.ok) return;
        const now = list();
        const nodes = now.flatMap(({ node }) => observer.observe().nodes.filter(({ name }) => name === node));
        begun.value.holds(now.some(({ node }) => node === null) ? 'all' : nodes);
        gateHeld = begun.value;
        if (now.length === 0) hold();
      })
      .catch((error: unknown) => {
        isTaking = false;
        logger.error({ group, err: error }, 'maintenance.gate_failed');
      });
  };

  const why = (): string | null => {
    const [first] = list();
    return first === undefined ? null : sentence(first, group);
  };

  return {
    list,
    why,
    async put({ node, reason, forMs }) {
      if (node !== null && !observer.observe().nodes.some(({ name }) => name === node)) {
        return refuse('not_found', `there is no node ${node} in the group ${group}`);
      }
      const busy = gate.current();
      if (busy !== null && gateHeld === null) {
        return refuse('conflict', `${busy} is under way`, { next: 'wait for its end: GET /v1/redis/operations' });
      }
      const open = list();
      const others = open.filter((one) => one.node !== node);
      if (others.length >= mostWindows) return refuse('overloaded', `${String(mostWindows)} are kept at most`);
      const nowMs = clock.unixMs();
      const sinceUnixMs = open.find((one) => one.node === node)?.sinceUnixMs ?? nowMs;
      const window = { node, reason, sinceUnixMs, untilUnixMs: nowMs + forMs };
      // Which nodes are held changes with it.
      gateHeld?.release();
      gateHeld = null;
      await store([...others, window]);
      logger.info({ group, ...window }, 'maintenance.began');
      return ok(window);
    },
    async end(node) {
      const found = list().find((one) => one.node === node);
      if (found === undefined) return refuse('not_found', `there is no maintenance of ${node ?? group}`);
      gateHeld?.release();
      gateHeld = null;
      await store(list().filter((one) => one !== found));
      logger.info({ group, node }, 'maintenance.ended');
      return ok(found);
    },
    part: {
      name: 'maintenance',
      async start() {
        try {
          windows = z.array(storedSchema).parse(JSON.parse(await readFile(path, 'utf8')));
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
            logger.warn({ group, err: error }, 'maintenance.unreadable');
        }
        hold();
      },
      look() {
        hold();
      },
      findings: (): Findings => {
        const open = list();
        const nodes = observer.observe().nodes;
        return {
          problems: open.map((one) => ({
            code: 'maintenance',
            detail: sentence(one, group),
            next: `it ends by itself; sooner with DELETE /v1/redis/groups/${group}/maintenance`,
            advice: true,
          })),
          nodes: nodes
            .filter(({ name }) => open.some(({ node }) => node === null || node === name))
            .map(({ host, port }) => ({ host, port, state: 'maintenance' as const })),
        };
      },
    },
  };
};

const sentence = ({ node, reason, untilUnixMs }: MaintenanceWindow, group: string): string =>
  `${node ?? group} is under maintenance until ${new Date(untilUnixMs).toISOString()}: ${reason}; nothing is enforced, scheduled or rebuilt there`;
