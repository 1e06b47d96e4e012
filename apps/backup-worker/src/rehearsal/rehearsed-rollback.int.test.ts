import { ok, type Rehearsal, type RestorePoint, type Result } from '@switchyard/protocol';
import { systemClock } from '@switchyard/runtime';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command, makeMaterialiser, record } from '../restore/restore-fixture.ts';
import { quietLogger } from '../test-fixtures.ts';
import { rehearse } from './rehearse.ts';
import { createRehearsedRollback } from './rehearsed-rollback.ts';

const clock = systemClock;
const logger = quietLogger;
const signal = new AbortController().signal;

describe('a rehearsed rollback', () => {
  it('undoes a FLUSHALL on a scratch group, by the code that would do it to the group that lives', async () => {
    const recording = await record((redis) =>
      redis.cli(
        'EVAL',
        "for i = 1, 3000 do redis.call('SET', 'key:' .. i, i) redis.call('SADD', 'set:' .. i, i, 'a', 'b') end " +
          "redis.call('HSET', '{switchyard}:catalog', 'epoch', 1, 'revision', 5)",
        0,
      ),
    );
    const { materialise, end } = await makeMaterialiser(recording.source, { command });
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-test-rehearsed-'));
    try {
      await recording.redis.cli('INCRBY', 'key:1', 41);
      const before = await recording.now();
      await recording.redis.cli('FLUSHALL');
      await recording.redis.cli('SET', 'only', 'this');
      const locate = async (to: unknown): Promise<Result<RestorePoint>> =>
        ok(JSON.stringify(to) === '{"time":"now"}' ? await recording.now() : before);
      const kept: Rehearsal[] = [];
      const common = { group: 'main', materialise, scratchDirectory: directory, clock, logger };
      const outcome = await rehearse(
        {
          ...common,
          archive: { locate, head: () => null, followedUntil: () => null },
          rollBack: createRehearsedRollback({ ...common, instanceId: 'worker-1' }),
          keep: (rehearsal) => {
            kept.push(rehearsal);
            return Promise.resolve();
          },
          command,
          loadDeadlineMs: 60_000,
        },
        { group: 'main', to: { before: 'FLUSHALL' }, trigger: 'request' },
        { id: 'op-1', report: () => undefined, signal },
      );
      expect(outcome).toMatchObject({ ok: true });
      const [rehearsal] = kept;
      expect(rehearsal).toMatchObject({ ok: true, problem: null, keys: 1, point: { offset: before.offset } });
      expect(rehearsal?.phases.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['prepared', 'writes-paused', 'data-taken', 'promoted']),
      );
      expect(rehearsal?.rtoMs).toBeGreaterThan(0);
      expect(rehearsal?.unavailableMs.writes).toBeGreaterThan(0);
      expect(await recording.redis.cli('DBSIZE')).toBe(1);
      expect(await readdir(directory)).toEqual([]);
    } finally {
      await recording.stop();
      await end();
      await rm(directory, { recursive: true, force: true });
    }
  }, 60_000);
});
