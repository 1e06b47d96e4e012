// How is a scratch group rolled back by the very code that rolls back what lives? It is given the group's settings, and an archive that
// knows of the group what the real one knows of its own. What it writes down goes with the group.
import { join } from 'node:path';
import { ok, refuse, type RestorePoint, type Result } from '@switchyard/protocol';
import type { Clock, Logger } from '@switchyard/runtime';
import type { Archive, ArchiveHead } from '../archive/archive.ts';
import { directoryStore } from '../repository/directory-store.ts';
import type { Materialiser } from '../restore/materialise.ts';
import { createRollbackJournal } from '../rollback/rollback-journal.ts';
import { rollbackSteps, type RollbackTools } from '../rollback/rollback-tools.ts';
import { runRollback } from '../rollback/run-rollback.ts';
import { createSafetyPoints } from '../rollback/safety-points.ts';
import { connectServer } from '../scratch/server-connection.ts';
import type { RollBack } from './rehearse.ts';
import type { ScratchGroup } from './scratch-group.ts';

/** What it is rolled back with. */
export interface RehearsedRollbackOptions {
  readonly group: string;
  readonly materialise: Materialiser;
  readonly scratchDirectory: string;
  readonly instanceId: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const loopback = '127.0.0.1';
const targetLabel = 'rehearsal';
/** Steps after the old data has taken writes. */
const afterwards: ReadonlySet<string> = new Set(['replicas-level', 'settings-restored', 'ended']);

/** The rollback for rehearsals. */
export function createRehearsedRollback(options: RehearsedRollbackOptions): RollBack {
  const { group, materialise, scratchDirectory, instanceId, clock, logger } = options;
  return async (scratch, points, work) => {
    const store = directoryStore(join(scratch.home, 'journal'));
    await store.prepare(work.signal);
    const tools: RollbackTools = {
      group,
      settings: scratch.settings,
      archive: await archiveOf(scratch, { ...points, clock, signal: work.signal }),
      materialise,
      journal: createRollbackJournal({ store, group, logger }),
      keepPoint: createSafetyPoints({ store, group, clock }),
      managers: {
        busy: () => Promise.resolve(null),
        announce: () => Promise.resolve({ told: [], refused: null }),
        end: () => Promise.resolve(),
      },
      lease: { take: () => Promise.resolve(null), give: () => Promise.resolve() },
      scratchDirectory,
      bindHost: loopback,
      advertisedHost: loopback,
      instanceId,
      clock,
      logger,
    };
    const startedMs = clock.monotonicMs();
    const request = { group, to: { label: targetLabel }, dryRun: false };
    const outcome = await runRollback(tools, request, {
      id: work.id,
      signal: work.signal,
      report: (step, { fraction = 0 }) => work.onFraction((step + fraction) / rollbackSteps.length),
    });
    if (!outcome.ok) return { ok: false, error: outcome.error };
    const tookMs = Math.round(clock.monotonicMs() - startedMs);
    const { phases, unavailable } = outcome.value as {
      readonly phases: Readonly<Record<string, number>>;
      readonly unavailable: { readonly writesMs: number | null; readonly readsMs: number | null };
    };
    const named = Object.entries(phases).map(([name, ms]) => ({ name, ms }));
    const inCourse = named.reduce((sum, { ms }) => sum + ms, 0);
    const after = named.reduce((sum, { name, ms }) => (afterwards.has(name) ? sum + ms : sum), 0);
    return ok({
      rtoMs: Math.max(0, tookMs - after),
      phases: [{ name: 'prepared', ms: Math.max(0, tookMs - inCourse) }, ...named],
      unavailableMs: { writes: unavailable.writesMs, reads: unavailable.readsMs },
    });
  };
}

/** Everything that the scratch group has is archived: it is the present of the group that lives. */
async function archiveOf(
  scratch: ScratchGroup,
  facts: {
    readonly point: RestorePoint;
    readonly present: RestorePoint;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<RollbackTools['archive']> {
  const { point, present, clock, signal } = facts;
  const { offset, replicationId } = await historyOf(scratch, signal);
  const timeline = present.timeline ?? point.timeline ?? '';
  const headAt = (at: number): ArchiveHead => ({ timeline, offset: at, replicationId, atMs: clock.unixMs() });
  const locate: Archive['locate'] = (to): Promise<Result<RestorePoint>> => {
    if ('label' in to) return Promise.resolve(ok(to.label === targetLabel ? point : present));
    if ('offset' in to) return Promise.resolve(ok(present));
    return Promise.resolve(refuse('not_restorable', 'A rehearsal goes to the moment that it was given.'));
  };
  return {
    head: () => headAt(offset),
    isFollowing: () => true,
    flush: ({ untilOffset = offset }) => Promise.resolve(ok(headAt(untilOffset))),
    locate,
    beginNewTimeline: () => undefined,
  };
}

async function historyOf(
  scratch: ScratchGroup,
  signal: AbortSignal,
): Promise<{ readonly offset: number; readonly replicationId: string }> {
  const [primary] = scratch.nodes;
  if (primary === undefined) throw new Error('a scratch group without a node');
  const connection = await connectServer(primary, { signal });
  try {
    const info = String(await connection.ask('INFO', 'replication'));
    return {
      offset: Number(/^master_repl_offset:(\d+)/m.exec(info)?.[1] ?? 0),
      replicationId: /^master_replid:(\w+)/m.exec(info)?.[1] ?? '',
    };
  } finally {
    connection.close();
  }
}
