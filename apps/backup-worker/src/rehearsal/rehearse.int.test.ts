import { ok, refuse, type Rehearsal, type RestorePoint, type Result } from '@switchyard/protocol';
import { systemClock } from '@switchyard/runtime';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { directoryStore } from '../repository/directory-store.ts';
import { command, makeMaterialiser, record, type Recording } from '../restore/restore-fixture.ts';
import { connectServer } from '../scratch/server-connection.ts';
import { quietLogger } from '../test-fixtures.ts';
import { createRehearsalStore } from './rehearsal-store.ts';
import { rehearse, type RehearsalTools, type RollBack } from './rehearse.ts';

const never = new AbortController().signal;
const clock = systemClock;
const measured = { rtoMs: 1_500, phases: [{ name: 'taken', ms: 5 }], unavailableMs: { writes: 20, reads: 5 } };

describe('rehearse', () => {
  let recording: Recording;
  let directory: string;
  let before: RestorePoint;
  let tools: RehearsalTools;
  let end: () => Promise<void>;
  beforeAll(async () => {
    recording = await record((redis) =>
      redis.cli('EVAL', "for i = 1, 500 do redis.call('SET', 'key:' .. i, i) end", 0),
    );
    before = await recording.now();
    await recording.redis.cli('MSET', 'later:1', 'x', 'later:2', 'y');
    const materialiser = await makeMaterialiser(recording.source, { command });
    end = materialiser.end;
    directory = await mkdtemp(join(tmpdir(), 'switchyard-test-rehearsal-'));
    await directoryStore(join(directory, 'repository')).prepare(never);
    const head = (): ReturnType<RehearsalTools['archive']['head']> => {
      const { timeline, offset, replicationId } = before;
      return { timeline: timeline ?? '', offset, replicationId, atMs: clock.unixMs() - 700 };
    };
    const locate = async (to: unknown): Promise<Result<RestorePoint>> => {
      if (JSON.stringify(to) === '{"time":"-5m"}') return refuse('not_restorable', 'the archive is younger');
      return ok(JSON.stringify(to) === '{"time":"now"}' ? await recording.now() : before);
    };
    const archive = { head, locate, followedUntil: () => null };
    tools = {
      group: 'main',
      archive,
      materialise: materialiser.materialise,
      rollBack: undo(['later:1', 'later:2']),
      keep: (rehearsal, signal) => store().add(rehearsal, signal),
      command,
      scratchDirectory: join(directory, 'scratch'),
      loadDeadlineMs: 30_000,
      clock,
      logger: quietLogger,
    };
  });
  afterAll(async () => {
    await recording.stop();
    await end();
    await rm(directory, { recursive: true, force: true });
  });
  afterEach(async () => {
    expect(await readdir(join(directory, 'scratch')).catch(() => [])).toEqual([]);
  });

  const store = () =>
    createRehearsalStore({ store: directoryStore(join(directory, 'repository')), group: 'main', logger: quietLogger });
  const run = (id: string, more: Partial<RehearsalTools> = {}, request: object = { to: { offset: 1 } }) =>
    rehearse(
      { ...tools, ...more },
      { group: 'main', trigger: 'request', ...request },
      { id, report: () => undefined, signal: never },
    );
  const last = async (): Promise<Rehearsal | undefined> => (await store().list(never))[0];

  /** A rollback of a kind: these keys were not there. */
  function undo(names: readonly string[]): RollBack {
    return async (scratch) => {
      const [primary] = scratch.nodes;
      const connection = await connectServer(primary ?? { socketPath: '' }, { signal: never });
      await connection.ask('UNLINK', ...names);
      connection.close();
      return ok(measured);
    };
  }

  it('rolls a group with the present data back, compares every key, and keeps what it took', async () => {
    expect(await run('op-1')).toMatchObject({ ok: true, value: { ok: true, keys: 502 } });
    expect(await last()).toMatchObject({
      operation: 'op-1',
      ok: true,
      problem: null,
      trigger: 'request',
      keys: 502,
      point: { offset: before.offset },
      ...measured,
    });
    expect((await last())?.rpoMs).toBeGreaterThanOrEqual(700);
    expect(await recording.redis.cli('DBSIZE')).toBe(502);
  });

  it('fails when a key is not what it was, and says which', async () => {
    expect(await run('op-2', { rollBack: undo(['later:1', 'key:7']) })).toMatchObject({
      ok: false,
      error: { code: 'backup_corrupt' },
      result: { ok: false },
    });
    const { ok: isOk, problem } = (await last()) ?? {};
    expect(isOk).toBe(false);
    expect(problem).toMatch(/1 keys are missing, 0 differ, 1 are too many key:7 later:2/);
  });

  it('keeps the reason of a rollback that was refused or broke, with what is known so far', async () => {
    const refused = await run('op-3', { rollBack: () => Promise.resolve(refuse('conflict', 'not today')) });
    expect(refused).toMatchObject({ ok: false, error: { code: 'conflict' } });
    expect(await last()).toMatchObject({ operation: 'op-3', problem: 'not today', keys: 502, rtoMs: null });
    await run('op-4', { rollBack: () => Promise.reject(new Error('a defect')) });
    expect(await last()).toMatchObject({ operation: 'op-4', ok: false });
  });

  it('goes back to the newest moment where the archive is too young, and keeps nothing of one that is cancelled', async () => {
    expect(await run('op-5', { rollBack: () => Promise.resolve(ok(measured)) }, {})).toMatchObject({ ok: true });
    const cancel = new AbortController();
    const rollBack: RollBack = () => {
      cancel.abort(new Error('cancelled'));
      return Promise.reject(new Error('cancelled'));
    };
    const work = { id: 'op-6', report: () => undefined, signal: cancel.signal };
    await expect(rehearse({ ...tools, rollBack }, { group: 'main', trigger: 'schedule' }, work)).rejects.toThrow(
      'cancelled',
    );
    expect((await last())?.operation).toBe('op-5');
  });
});
