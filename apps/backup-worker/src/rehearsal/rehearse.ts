// Would a rollback work tonight, and how long would it take? It is done, by the very code that would do it, to a scratch group that has
// the present data; then every key is compared with the moment. What lives is not touched.
import {
  keys as ownKeys,
  ok,
  RefusalError,
  refuse,
  type Refusal,
  type Rehearsal,
  type RehearsalRequest,
  type RestorePoint,
  type Result,
} from '@switchyard/protocol';
import type { PlannedStep } from '@switchyard/backup';
import type { Clock, Logger } from '@switchyard/runtime';
import type { Archive } from '../archive/archive.ts';
import { compareData } from '../compare/compare.ts';
import type { DirectOutcome, DirectWorkTools } from '../operations/operation-runner.ts';
import type { Materialised, Materialiser } from '../restore/materialise.ts';
import { createRoomCheck } from '../restore/room.ts';
import { createAsking } from '../scratch/asking.ts';
import { connectServer } from '../scratch/server-connection.ts';
import { startScratchGroup, type ScratchGroup } from './scratch-group.ts';

/** What was measured of a rollback. */
export interface MeasuredRollback {
  /** From the order until the old data took writes. */
  readonly rtoMs: number;
  readonly phases: Rehearsal['phases'];
  readonly unavailableMs: Rehearsal['unavailableMs'];
}

/** Rolls `scratch`, which has the data of `present`, back to `point`, as POST /v1/rollbacks would do it. */
export type RollBack = (
  scratch: ScratchGroup,
  points: { readonly point: RestorePoint; readonly present: RestorePoint },
  work: Pick<DirectWorkTools, 'id' | 'signal'> & { readonly onFraction: (fraction: number) => void },
) => Promise<Result<MeasuredRollback>>;

/** What it works with. */
export interface RehearsalTools {
  readonly group: string;
  readonly archive: Pick<Archive, 'locate' | 'head' | 'followedUntil'>;
  readonly materialise: Materialiser;
  readonly rollBack: RollBack;
  /** Keeps the outcome. */
  readonly keep: (rehearsal: Rehearsal, signal: AbortSignal) => Promise<void>;
  /** The redis-server to run. */
  readonly command: string;
  readonly scratchDirectory: string;
  /** Longest time until the scratch group has loaded everything. */
  readonly loadDeadlineMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Steps of a rehearsal. */
export const rehearsalPlan: readonly PlannedStep[] = Object.freeze([
  { name: 'make the present real', weight: 20 },
  { name: 'start a scratch group with it', weight: 20 },
  { name: 'roll it back', weight: 40 },
  { name: 'compare every key', weight: 20 },
]);

/** A primary with two data sets while it loads, its replica, and what they need besides. */
const copiesInGroup = 3.5;
/** By default one goes back this far: what happened since has to go. */
const usualTarget = { time: '-5m' } as const;
const catalogPrefix = ownKeys.catalogMeta.slice(0, ownKeys.catalogMeta.indexOf(':') + 1);

/** Rehearses; the outcome is kept in the repository, whatever it is, unless it was cancelled. */
export async function rehearse(
  tools: RehearsalTools,
  request: RehearsalRequest & { readonly trigger: Rehearsal['trigger'] },
  work: DirectWorkTools,
): Promise<DirectOutcome> {
  const { group, clock, logger } = tools;
  const draft: Draft = {
    formatVersion: 1,
    operation: work.id,
    group,
    atMs: clock.unixMs(),
    trigger: request.trigger,
    point: null,
    rtoMs: null,
    phases: [],
    unavailableMs: { writes: null, reads: null },
    rpoMs: null,
    keys: null,
    bytes: null,
  };
  const outcome = await carryOut(tools, request, { ...work, draft }).catch((error: unknown): Result<null> => {
    work.signal.throwIfAborted();
    if (error instanceof RefusalError) return { ok: false, error: error.refusal };
    logger.error({ group, operation: work.id, err: error }, 'rehearsal.defect');
    return refuse('internal', 'The rehearsal failed for a reason that is in the log.');
  });
  work.signal.throwIfAborted();
  const rehearsal: Rehearsal = { ...draft, ok: outcome.ok, problem: outcome.ok ? null : problemOf(outcome.error) };
  await tools.keep(rehearsal, work.signal);
  return outcome.ok ? ok({ ...rehearsal }) : { ...outcome, result: { ...rehearsal } };
}

type Draft = { -readonly [name in keyof Omit<Rehearsal, 'ok' | 'problem'>]: Rehearsal[name] };

interface Rehearsing extends DirectWorkTools {
  readonly draft: Draft;
}

async function carryOut(tools: RehearsalTools, request: RehearsalRequest, work: Rehearsing): Promise<Result<null>> {
  const { archive, clock } = tools;
  const { signal, report, draft } = work;
  draft.rpoMs = rpoOf(archive, clock);
  const point = await locate(archive, request, signal);
  if (!point.ok) return point;
  draft.point = point.value;
  const present = await archive.locate({ time: 'now' }, signal);
  if (!present.ok) return present;
  const group = await startPresent(tools, present.value, work);
  if (!group.ok) return group;
  try {
    report(2, { detail: `to ${point.value.at}` });
    const points = { point: point.value, present: present.value };
    const rolledBack = await tools.rollBack(group.value, points, {
      id: work.id,
      signal,
      onFraction: (fraction) => report(2, { fraction }),
    });
    if (!rolledBack.ok) return rolledBack;
    Object.assign(draft, rolledBack.value);
    return await compareWith(tools, group.value, { point: point.value, work });
  } finally {
    await group.value.close();
  }
}

/** How much of the present the archive may not have, in ms. */
function rpoOf(archive: RehearsalTools['archive'], clock: Clock): number | null {
  const head = archive.head();
  const followed = archive.followedUntil();
  if (head === null) return null;
  const isQuiet = followed !== null && followed.timeline === head.timeline && followed.offset <= head.offset;
  return Math.max(0, Math.round(clock.unixMs() - (isQuiet ? Math.max(followed.untilMs, head.atMs) : head.atMs)));
}

async function locate(
  archive: RehearsalTools['archive'],
  request: RehearsalRequest,
  signal: AbortSignal,
): Promise<Result<RestorePoint>> {
  if (request.to !== undefined) return archive.locate(request.to, signal);
  const usual = await archive.locate(usualTarget, signal);
  // An archive that is younger than that is rehearsed with what it has.
  return usual.ok ? usual : archive.locate({ time: 'now' }, signal);
}

async function startPresent(
  tools: RehearsalTools,
  present: RestorePoint,
  work: Rehearsing,
): Promise<Result<ScratchGroup>> {
  const { materialise, command, scratchDirectory: directory, loadDeadlineMs: deadlineMs, clock } = tools;
  const { signal, report, draft } = work;
  const made = await materialise(present, {
    signal,
    background: draft.trigger === 'schedule',
    report: ({ fraction, detail }) => report(0, { fraction, detail }),
  });
  if (!made.ok) return made;
  try {
    const now = made.value;
    const usedBytes = await usedMemoryOf(now, signal);
    const none = await createRoomCheck(directory)({ memoryBytes: usedBytes * copiesInGroup, diskBytes: usedBytes });
    if (none !== null) return none;
    draft.keys = (await now.keys(signal)).total;
    const snapshot = await now.snapshot(signal);
    draft.bytes = snapshot.bytes;
    report(1, { detail: `${draft.keys} keys` });
    const { group } = tools;
    return ok(
      await startScratchGroup({ group, command, directory, dataPath: snapshot.path, clock, signal, deadlineMs }),
    );
  } finally {
    await made.value.close();
  }
}

async function usedMemoryOf(server: Materialised, signal: AbortSignal): Promise<number> {
  const info = String(await server.ask(['INFO', 'memory'], { signal }));
  return Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0);
}

async function compareWith(
  tools: RehearsalTools,
  scratch: ScratchGroup,
  { point, work }: { readonly point: RestorePoint; readonly work: Rehearsing },
): Promise<Result<null>> {
  const { signal, report } = work;
  report(3, {});
  const target = await tools.materialise(point, { signal });
  if (!target.ok) return target;
  const [address] = scratch.nodes;
  if (address === undefined) throw new Error('a scratch group without a node');
  const connection = await connectServer(address, { signal, deadlineMs: tools.loadDeadlineMs });
  try {
    const { added, changed, removed, samples } = await compareData({
      now: { ask: createAsking(connection) },
      target: target.value,
      mode: 'all',
      // A rollback marks the catalog, so that its readers know.
      except: catalogPrefix,
      signal,
      onFraction: (fraction) => report(3, { fraction }),
    });
    if (added === 0 && changed === 0 && removed === 0) return ok(null);
    return refuse('backup_corrupt', `The data after the rollback are not those of ${point.at}.`, {
      why: [`${added} keys are missing, ${changed} differ, ${removed} are too many`, ...Object.values(samples).flat()],
      next: 'Verify the backups (POST /v1/backups/{label}/verify), and report this.',
    });
  } finally {
    connection.close();
    await target.value.close();
  }
}

function problemOf({ detail, why = [] }: Refusal): string {
  return [detail, ...why].join(' ').slice(0, 1_000);
}
