// How are only some keys of a running group brought back? The moment and the present are made real side by side, what differs is shown,
// and only that is written, through the primary like any client's writes: replicas follow, the archive goes on, nobody waits.
import {
  keys as ownKeys,
  ok,
  refuse,
  type DataDiff,
  type RestorePoint,
  type Result,
  type RollbackRequest,
} from '@switchyard/protocol';
import { whyNotReadable, type PlannedStep } from '@switchyard/backup';
import { withDeadline, type Clock, type Logger } from '@switchyard/runtime';
import type { Archive, ArchiveHead } from '../archive/archive.ts';
import { compareData } from '../compare/compare.ts';
import type { DirectOutcome, DirectWorkTools } from '../operations/operation-runner.ts';
import type { Materialised, Materialiser } from '../restore/materialise.ts';
import { ErrorReply } from '../scratch/reply-reader.ts';
import { ConnectionLostError } from '../scratch/server-connection.ts';
import { bringBack, tooLarge, type BroughtBack } from './bring-back.ts';
import { findPrimary, PrimaryMovedError, type LivePrimary, type PrimarySearch } from './live-primary.ts';

/** A request for some keys. */
export type SelectiveRequest = RollbackRequest & { readonly match: string };

/** What it works with. */
export interface SelectiveTools extends PrimarySearch {
  readonly archive: Pick<Archive, 'flush' | 'locate'>;
  readonly materialise: Materialiser;
  /** Keeps a moment under a name, which `to: { label }` understands. */
  readonly keepPoint: (
    head: ArchiveHead,
    operation: string,
    detail: string,
    signal: AbortSignal,
  ) => Promise<{ readonly label: string }>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A key whose DUMP is longer is refused by name; 64 MiB. */
  readonly largestKeyBytes?: number;
  /** How long a primary is waited for after a failover; 30 s. */
  readonly patienceMs?: number;
}

/** Steps of a selective rollback. */
export const selectivePlan: readonly PlannedStep[] = Object.freeze([
  { name: 'keep the present as safety point', weight: 5 },
  { name: 'make the moment real', weight: 35 },
  { name: 'compare', weight: 20 },
  { name: 'bring the keys back', weight: 40 },
]);

const largestKeyBytes = 64 * 1024 * 1024;
const patienceMs = 30_000;
const lookEveryMs = 250;
const mostAttempts = 5;
const mostNamed = 10;
/** Keys of the control plane have revisions that must never go back: only a rollback of the whole group raises its epoch. */
const except = ownKeys.catalogMeta.slice(0, ownKeys.catalogMeta.indexOf(':') + 1);

/** Brings the keys that match back; with `dryRun` it only says what that would change. */
export async function selectiveRollback(
  tools: SelectiveTools,
  request: SelectiveRequest,
  work: DirectWorkTools,
): Promise<DirectOutcome> {
  const { group, match, to, dryRun } = request;
  const { archive, materialise } = tools;
  const { signal, report } = work;

  const point = await archive.locate(to, signal);
  if (!point.ok) return point;
  const primary = await findPrimary(tools, signal);
  if (!primary.ok) return primary;
  primary.value.close();
  report(0, { detail: `everything up to ${primary.value.offset}` });
  const present = await presentPoint(archive, primary.value, signal);
  if (!present.ok) return present;

  report(1, { detail: `${point.value.at}, ${point.value.streamBytes} bytes after ${point.value.base}` });
  const half = (part: 0 | 1) => (progress: { fraction: number; detail: string }) =>
    report(1, { fraction: (part + progress.fraction) / 2, detail: progress.detail });
  const target = await materialise(point.value, { signal, report: half(0) });
  if (!target.ok) return target;
  try {
    const unfit = whyNotReadable(target.value.server, primary.value.server);
    if (unfit !== null)
      return refuse('not_restorable', `The primary cannot read single keys of a throw-away server: ${unfit}`, {
        next: 'Set SWITCHYARD_REDIS_SERVER to a redis-server of the version of the group.',
      });
    const now = await materialise(present.value.point, { signal, report: half(1) });
    if (!now.ok) return now;
    try {
      const sides = { target: target.value, now: now.value };
      const found = await compare(tools, { ...sides, match, work });
      if (!found.ok) return found;
      const facts = { group, match, point: point.value, dryRun, diff: found.value };
      const isSame = numberOf(found.value) === 0;
      if (dryRun || isSame) return ok({ ...facts, ...(dryRun ? {} : nothingDone()), safetyPoint: null, undo: null });
      const why = `the present before keys like ${match} were brought back`;
      const { label } = await tools.keepPoint(present.value.head, work.id, why, signal);
      const undo = undoOf(group, label, match);
      return await bringAllBack(tools, { ...sides, match, work, result: { ...facts, safetyPoint: label, undo } });
    } finally {
      await now.value.close();
    }
  } finally {
    await target.value.close();
  }
}

/** As long as a rollback in place waits for the same. */
const flushDeadlineMs = 30_000;

async function presentPoint(
  archive: SelectiveTools['archive'],
  primary: LivePrimary,
  signal: AbortSignal,
): Promise<Result<{ readonly head: ArchiveHead; readonly point: RestorePoint }>> {
  const head = await withDeadline(
    (inTime) => archive.flush({ untilOffset: primary.offset, signal: inTime }),
    flushDeadlineMs,
    { what: 'archiving what was written last', signal },
  );
  if (!head.ok) return head;
  const { offset, timeline } = head.value;
  const point = await archive.locate({ offset, timeline }, signal);
  return point.ok ? ok({ head: head.value, point: point.value }) : point;
}

interface Sides {
  readonly target: Materialised;
  readonly now: Materialised;
  readonly match: string;
  readonly work: DirectWorkTools;
}

async function compare(tools: SelectiveTools, { target, now, match, work }: Sides): Promise<Result<DataDiff>> {
  const { signal, report } = work;
  const bytes = tools.largestKeyBytes ?? largestKeyBytes;
  const large: string[] = [];
  report(2, {});
  const diff = await compareData({
    now,
    target,
    mode: 'all',
    match,
    except,
    signal,
    onFraction: (fraction) => report(2, { fraction }),
    onKeys: async (keys) => {
      if (keys.kind !== 'removed') large.push(...(await tooLarge(target, keys, { bytes, signal })).slice(0, mostNamed));
    },
  });
  if (large.length === 0) return ok(diff);
  return refuse('too_large', `Some of these keys have more than ${bytes} bytes: they would hold up the primary.`, {
    why: large.slice(0, mostNamed),
    next: 'Choose a pattern without them, or roll the whole group back.',
  });
}

async function bringAllBack(
  tools: SelectiveTools,
  job: Sides & { readonly result: Readonly<Record<string, unknown>> & { readonly diff: DataDiff } },
): Promise<DirectOutcome> {
  const { target, now, match, work, result } = job;
  const { clock, logger } = tools;
  const { signal, report } = work;
  const total = numberOf(result.diff);
  const startedMs = clock.monotonicMs();
  let done = nothingDone();
  let attempts = 0;
  try {
    for (;;) {
      attempts += 1;
      const primary = await waitForPrimary(tools, signal);
      if (!primary.ok) return { ...primary, result: { ...result, ...done } };
      done = nothingDone();
      try {
        report(3, { detail: `to ${primary.value.name}` });
        const to = { target, bench: now, primary: primary.value, signal };
        await compareData({
          now,
          target,
          mode: 'all',
          match,
          except,
          signal,
          onKeys: async (keys) => {
            await bringBack(to, keys, done);
            report(3, { fraction: (done.restored + done.removed) / Math.max(1, total) });
          },
        });
        await primary.value.check();
        const tookMs = Math.round(clock.monotonicMs() - startedMs);
        logger.info({ operation: work.id, match, ...done, tookMs }, 'selective_rollback.done');
        return ok({ ...result, ...done, primary: primary.value.name, attempts, tookMs });
      } catch (error) {
        if (!isMove(error) || attempts === mostAttempts) throw error;
        logger.warn({ operation: work.id, err: error, attempts }, 'selective_rollback.primary_moved');
      } finally {
        primary.value.close();
      }
    }
  } catch (error) {
    const refusal = explained(error, signal);
    if (refusal === undefined) throw error;
    return { ok: false, error: refusal, result: { ...result, ...done } };
  }
}

async function waitForPrimary(tools: SelectiveTools, signal: AbortSignal): Promise<Result<LivePrimary>> {
  const { clock } = tools;
  const untilMs = clock.monotonicMs() + (tools.patienceMs ?? patienceMs);
  for (;;) {
    const found = await findPrimary(tools, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (!isMove(error)) throw error;
      return refuse('no_primary', (error as Error).message);
    });
    if (found.ok || clock.monotonicMs() >= untilMs) return found;
    await clock.sleep(lookEveryMs, signal);
  }
}

/** The next attempt may find the next primary. */
function isMove(error: unknown): boolean {
  if (error instanceof PrimaryMovedError || error instanceof ConnectionLostError) return true;
  return error instanceof ErrorReply && /^(?:READONLY|LOADING|MASTERDOWN|UNBLOCKED)\b/.test(error.message);
}

const runAgain = 'What was brought back stays. Send the request again: keys that are right already are left alone.';

function explained(error: unknown, signal: AbortSignal): Extract<DirectOutcome, { ok: false }>['error'] | undefined {
  if (signal.aborted) return { code: 'cancelled', detail: 'It was cancelled on the way.', next: runAgain };
  if (isMove(error))
    return {
      code: 'no_primary',
      detail: `The primary changed ${mostAttempts} times.`,
      why: [textOf(error)],
      next: runAgain,
    };
  if (!(error instanceof ErrorReply)) return undefined;
  return {
    code: 'conflict',
    detail: 'The primary refused a key.',
    why: [textOf(error)],
    next: `Mend that. ${runAgain}`,
  };
}

function undoOf(group: string, label: string, match: string): Readonly<Record<string, unknown>> {
  return {
    command: `switchyard backup rollback --group ${group} --to label:${label} --match ${quoted(match)} --yes`,
    request: { method: 'POST', path: '/v1/rollbacks', body: { group, to: { label }, match } },
  };
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function numberOf({ added, changed, removed }: DataDiff): number {
  return (added ?? 0) + (changed ?? 0) + (removed ?? 0);
}

function nothingDone(): BroughtBack {
  return { restored: 0, removed: 0, writtenSince: 0, writtenSinceSamples: [] };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
