// How is a backup taken? Copy a replica over the network, store it, load what was stored, and only then call it a backup.
import { refuse, type Result } from '@switchyard/protocol';
import { chooseSource } from '@switchyard/backup';
import type { SourceChoice, SourceRules, StoredBackup } from '@switchyard/backup';
import type { FullResync, SnapshotRequest, StreamPosition } from '@switchyard/replication-link';
import type { Clock } from '@switchyard/runtime';
import type { BackupRepository } from '../repository/backup-repository.ts';
import type { GroupSurvey, SurveyedNode } from '../source/group-survey.ts';
import type { BaseGate } from './base-gate.ts';
import { paced } from './paced.ts';
import type { BaseStore } from './store-base.ts';

/** Says how far work is: the step's index in its plan. */
export type Report = (step: number, progress: { readonly fraction?: number; readonly detail?: string }) => void;

/** Everything that taking a backup needs. */
export interface BackupTakerOptions {
  readonly survey: () => Promise<GroupSurvey>;
  readonly fetchSnapshot: (request: SnapshotRequest) => Promise<FullResync>;
  readonly credentials: Pick<SnapshotRequest, 'username' | 'password'>;
  readonly repository: BackupRepository;
  readonly bases: BaseStore;
  readonly clock: Clock;
  readonly rules: SourceRules;
  /** Why the source is not to be copied just now; absent = it always may. */
  readonly whyNotNow?: BaseGate;
  /** Bytes a second that the copy may take; 0 or absent = all there are. */
  readonly copyBytesPerSecond?: number;
  /** How long to wait for a fit replica. */
  readonly patienceMs: number;
  readonly copyDeadlineMs: number;
  /** On which timeline of the archive a place lies; may wait until it is archived. */
  readonly timelineOf?: (place: StreamPosition, signal: AbortSignal) => Promise<string | undefined>;
}

/** Takes one full backup of `group`. Refusals are expected outcomes; I/O errors and the signal's reason reject. Leaves no trace unless it succeeds. */
export type BackupTaker = (
  group: string,
  work: { readonly report: Report; readonly signal: AbortSignal },
) => Promise<Result<StoredBackup>>;

/** Indices of `backupPlan`. */
const steps = { choose: 0, wait: 1, copy: 2, prove: 3, write: 4 } as const;
const askAgainMs = 1_000;

/** A taker of backups. */
export function createBackupTaker(options: BackupTakerOptions): BackupTaker {
  const { repository, bases } = options;

  return async (group, { report, signal }) => {
    report(steps.choose, {});
    // Asked first: without a server to prove it with, the copy would be for nothing.
    const provenBy = await bases.provenBy(signal);
    const choice = await chooseWithPatience(options, { report, signal });
    if (!choice.ok) return choice;
    const { source } = choice.value;
    report(steps.choose, { detail: `${source.name}, ${source.role}, ${source.lagBytes ?? 0} bytes behind` });

    const expectedBytes = await usualSize(repository, group);
    report(steps.wait, { detail: `${source.name} prepares its snapshot` });
    const { host, port } = source;
    const { credentials, copyDeadlineMs: deadlineMs } = options;
    const snapshot = await options.fetchSnapshot({ host, port, ...credentials, deadlineMs, signal });
    try {
      const { replicationId, offset } = snapshot;
      const bytesPerSecond = options.copyBytesPerSecond ?? 0;
      const rdb = paced(snapshot.rdb, { bytesPerSecond, clock: options.clock, signal });
      const drafted = await bases.draft(
        { group, source, replicationId, offset, rdb },
        { signal, onBytes: copyReport(report, expectedBytes) },
      );
      report(steps.prove, { detail: `${provenBy} loads it` });
      return await drafted.publish({
        signal,
        timeline: () => options.timelineOf?.({ replicationId, offset }, signal) ?? Promise.resolve(undefined),
        onProof: (fraction) => report(steps.prove, { fraction }),
        onWrite: (label) => report(steps.write, { detail: label }),
      });
    } finally {
      snapshot.close();
    }
  };
}

async function chooseWithPatience(
  { survey, clock, rules, patienceMs, whyNotNow }: BackupTakerOptions,
  { report, signal }: { readonly report: Report; readonly signal: AbortSignal },
): Promise<Result<SourceChoice<SurveyedNode>>> {
  const giveUpAtMs = clock.monotonicMs() + patienceMs;
  for (;;) {
    const found = await survey();
    const { nodes, problems } = found;
    signal.throwIfAborted();
    const fit = chooseSource(nodes, rules);
    const notNow = fit.ok ? ((await whyNotNow?.(fit.value.source, found)) ?? []) : [];
    if (fit.ok && notNow.length === 0) return fit;
    const choice = fit.ok ? refuse('no_replica', 'The group cannot be copied at this moment.', { why: notNow }) : fit;
    const why = [...(choice.error.why ?? []), ...problems];
    if (clock.monotonicMs() + askAgainMs > giveUpAtMs) return { ok: false, error: { ...choice.error, why } };
    report(steps.choose, { detail: `waiting for a fit replica: ${why.join('; ')}`.slice(0, 300) });
    await clock.sleep(askAgainMs, signal);
  }
}

function copyReport(report: Report, expectedBytes: number): (rawBytes: number) => void {
  return (rawBytes) =>
    report(steps.copy, {
      fraction: expectedBytes === 0 ? 0 : Math.min(0.99, rawBytes / expectedBytes),
      detail: `${(rawBytes / 1_000_000).toFixed(1)} MB copied`,
    });
}

// The size of the next backup is guessed by that of the last one: a streamed data set does not announce its length.
async function usualSize(repository: BackupRepository, group: string): Promise<number> {
  const { backups } = await repository.list(group);
  return backups[0]?.manifest.files[0]?.rawBytes ?? 0;
}
