import { createPruner } from './prune.ts';
import { manualClock } from '@switchyard/testing';
import type { BackupRepository } from '../repository/backup-repository.ts';
import { good, manifestOf, publishSmall, quietLogger, temporaryRepository } from '../test-fixtures.ts';

let repository: BackupRepository;
let end: () => Promise<void>;
beforeEach(async () => {
  ({ repository, end } = await temporaryRepository());
});
afterEach(() => end());

describe('createPruner', () => {
  it('removes from one group what its rules do not keep, and never the last good one', async () => {
    const made: string[] = [];
    for (const atMs of [1_000, 2_000, 3_000, 4_000]) made.push(await publishSmall(repository, atMs));
    const other = await publishSmall(repository, 500, 'other');
    const bad = { ...good, ok: false, problem: 'data.rdb.zst: it is missing' };
    for (const label of made.slice(2)) await repository.recordVerification(manifestOf(label), bad);
    const prune = createPruner({
      repository,
      policy: { keepNewest: 1, keepForMs: 0 },
      clock: manualClock({ unixMs: 9_000 }),
      logger: quietLogger,
    });
    expect(await prune('main')).toEqual([made[3], made[2], made[0]]);
    expect((await repository.list()).backups.map(({ manifest }) => manifest.label)).toEqual([made[1], other]);
  });
});
