import { refuse, type BackupJob, type BackupManifest } from '@switchyard/protocol';
import { manualClock } from '@switchyard/testing';
import type { StoredBackup } from '@switchyard/backup';
import { good, manifestOf, quietLogger } from '../test-fixtures.ts';
import { createBaseOnGrowth } from './base-on-growth.ts';

const timeline = '20260102T030405.678Z';
const head = { timeline, offset: 500, replicationId: 'a'.repeat(40), atMs: 1 };

// Looks once after the first pause; gives what was asked of the queue.
async function asked(facts: {
  readonly backups?: readonly Partial<BackupManifest>[];
  readonly isFollowing?: boolean;
  readonly isProving?: boolean;
}): Promise<BackupJob[]> {
  const clock = manualClock({ unixMs: 10_000_000 });
  const jobs: BackupJob[] = [];
  const backups = (facts.backups ?? []).map((one): StoredBackup => ({
    manifest: manifestOf('20260102T030405.678Z-full', one),
    verification: good,
  }));
  const component = createBaseOnGrowth({
    archive: { group: 'main', head: () => head, isFollowing: () => facts.isFollowing ?? true },
    isProvingBase: () => facts.isProving ?? false,
    repository: { list: () => Promise.resolve({ backups, problems: [] }) },
    operations: { list: () => [] },
    queue: {
      submit: (job) => {
        jobs.push(job);
        return Promise.resolve(refuse('not_ready', 'not yet'));
      },
    },
    mostStreamBytes: 100,
    everyMs: 3_600_000,
    clock,
    logger: quietLogger,
  });
  await component.start?.(new AbortController().signal);
  for (let look = 0; look < 3; look += 1) {
    await clock.advance(15_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await component.stop?.();
  return jobs;
}
const source = { host: '10.0.0.2', port: 6379, role: 'replica', replicationId: 'a'.repeat(40) } as const;
const fresh = { startedAtMs: 9_990_000, timeline };

describe('createBaseOnGrowth', () => {
  it('asks once for a base when the stream behind the newest one of the timeline is long, or there is none', async () => {
    expect(await asked({})).toEqual([{ task: 'backup', group: 'main' }]);
    expect(await asked({ backups: [{ ...fresh, source: { ...source, offset: 399 } }] })).toHaveLength(1);
    expect(await asked({ backups: [{ ...fresh, source: { ...source, offset: 400 } }] })).toEqual([]);
    const elsewhere = { ...fresh, timeline: '20250102T030405.678Z', source: { ...source, offset: 400 } };
    expect(await asked({ backups: [elsewhere] })).toHaveLength(1);
  });

  it('leaves it to the worker that archives, and waits for a base that is being proven', async () => {
    expect(await asked({ isFollowing: false })).toEqual([]);
    expect(await asked({ isProving: true })).toEqual([]);
  });

  it('makes up for a run that was missed', async () => {
    const old = { ...fresh, startedAtMs: 1_000_000, source: { ...source, offset: 450 } };
    expect(await asked({ backups: [old] })).toHaveLength(1);
  });
});
