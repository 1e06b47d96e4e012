import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { manualClock } from '@switchyard/testing';
import { ReplicationLinkError, type FullResync } from '@switchyard/replication-link';
import type { GroupSurvey, SurveyedNode } from '../source/group-survey.ts';
import { nothingSaid } from '../source/node-facts.ts';
import type { Prover } from '../scratch/prover.ts';
import { createBaseStore, type BaseStore } from './store-base.ts';
import { createBackupTaker, type BackupTakerOptions } from './take-backup.ts';
import { temporaryRepository, type TestRepository } from '../test-fixtures.ts';

let repository: TestRepository;
let end: () => Promise<void>;
beforeEach(async () => {
  ({ repository, end } = await temporaryRepository());
});
afterEach(() => end());

const replica: SurveyedNode = {
  ...nothingSaid,
  name: 'r2',
  host: '10.0.0.2',
  port: 6379,
  role: 'replica',
  state: 'ok',
  offset: 5,
  lagBytes: 0,
  link: 'up',
  server: { kind: 'redis', version: '7.0.15' },
};
const content = { keys: { total: 2, perDatabase: { '0': 2 } }, digest: 'c'.repeat(40) };
const prover: Prover = {
  version: () => Promise.resolve('redis 7.0.15'),
  load: () => Promise.resolve({ kind: 'loaded', content }),
};
const never = new AbortController().signal;
const silent = { report: () => undefined, signal: never };
const snapshotOf = (rdb: Readable): FullResync => ({
  replicationId: 'd'.repeat(40),
  offset: 5,
  rdb,
  close: () => rdb.destroy(),
});

const fixedClock = manualClock({ unixMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) });
const basesOf = (by: Prover): BaseStore =>
  createBaseStore({ repository, prover: by, clock: fixedClock, writer: 'switchyard test' });

function options(facts: Partial<BackupTakerOptions> = {}): BackupTakerOptions {
  return {
    survey: () => Promise.resolve({ nodes: [replica], problems: [], isInFailover: false }),
    fetchSnapshot: () =>
      Promise.resolve(snapshotOf(Readable.from([Buffer.from('REDIS0010 '), Buffer.from('content')]))),
    credentials: {},
    repository,
    bases: basesOf(prover),
    clock: fixedClock,
    rules: { maxLagBytes: 10, primaryAllowed: false },
    patienceMs: 0,
    copyDeadlineMs: 1_000,
    ...facts,
  };
}

const nothingIsLeft = async (): Promise<void> => {
  expect(await repository.list()).toEqual({ backups: [], problems: [] });
  expect(await readdir(join(repository.root, 'main')).catch(() => [])).toEqual([]);
};

describe('createBackupTaker', () => {
  it('publishes what was copied and proven, under the moment of the snapshot', async () => {
    const steps = new Set<number>();
    const taken = await createBackupTaker(options())('main', { report: (step) => void steps.add(step), signal: never });
    const { backups } = await repository.list();
    expect(taken).toEqual({ ok: true, value: backups[0] });
    expect(backups[0]).toMatchObject({
      manifest: {
        label: '20260102T030405.678Z-full',
        source: { host: '10.0.0.2', role: 'replica', replicationId: 'd'.repeat(40), offset: 5 },
        files: [{ path: 'data.rdb.zst', rawBytes: 17, compression: 'zstd' }],
        ...content,
        writer: 'switchyard test, proven by redis 7.0.15',
      },
      verification: { ok: true, keys: 2, digest: content.digest },
    });
    expect([...steps]).toEqual([0, 1, 2, 3, 4]);
  });

  it('waits for a fit replica and says on what, then gives up with the reasons', async () => {
    const clock = manualClock();
    let asked = 0;
    const survey = (): Promise<GroupSurvey> => {
      asked += 1;
      return Promise.resolve({
        nodes: [{ ...replica, link: asked > 3 ? 'up' : 'down' }],
        problems: ['nobody is primary'],
        isInFailover: false,
      });
    };
    const details: (string | undefined)[] = [];
    const report = (_step: number, { detail }: { detail?: string }): void => void details.push(detail);
    const taking = createBackupTaker(options({ clock, survey, patienceMs: 5_000 }))('main', { report, signal: never });
    for (let second = 0; second < 3; second += 1) await clock.advance(1_000);
    expect(await taking).toMatchObject({ ok: true });
    expect(details).toContain(
      'waiting for a fit replica: r2: its link to the primary is down, so its data may be old; nobody is primary',
    );

    asked = -100;
    const refused = createBackupTaker(options({ clock, survey, patienceMs: 2_000 }))('main', silent);
    for (let second = 0; second < 3; second += 1) await clock.advance(1_000);
    expect(await refused).toMatchObject({
      ok: false,
      error: { code: 'no_replica', why: [expect.stringMatching(/^r2: /), 'nobody is primary'] },
    });
  });

  it('copies nothing when there is no server to prove it with', async () => {
    let copied = false;
    const noServer: Prover = { ...prover, version: () => Promise.reject(new Error('no redis-server')) };
    const fetchSnapshot = (): never => {
      copied = true;
      throw new Error('not reached');
    };
    await expect(
      createBackupTaker(options({ bases: basesOf(noServer), fetchSnapshot }))('main', silent),
    ).rejects.toThrow('no redis-server');
    expect(copied).toBe(false);
  });

  it('leaves no trace when the source breaks off', async () => {
    const rdb = Readable.from(
      (async function* broken() {
        yield Buffer.from('REDIS');
        await Promise.resolve();
        throw new ReplicationLinkError('closed_early', 'The source went away.');
      })(),
    );
    const fetchSnapshot = (): Promise<FullResync> => Promise.resolve(snapshotOf(rdb));
    await expect(createBackupTaker(options({ fetchSnapshot }))('main', silent)).rejects.toMatchObject({
      code: 'closed_early',
    });
    await nothingIsLeft();
  });

  it('leaves no trace when what was copied does not load', async () => {
    const failing: Prover = { ...prover, load: () => Promise.resolve({ kind: 'broken', problem: 'Short read' }) };
    expect(await createBackupTaker(options({ bases: basesOf(failing) }))('main', silent)).toMatchObject({
      ok: false,
      error: { code: 'backup_failed', why: ['Short read'] },
    });
    await nothingIsLeft();
  });

  it('leaves no trace when it is cancelled, also at the last moment', async () => {
    for (const cancelAt of [2, 3, 4]) {
      const cancel = new AbortController();
      const report = (step: number): void => {
        if (step === cancelAt) cancel.abort(new Error('cancelled'));
      };
      await expect(createBackupTaker(options())('main', { report, signal: cancel.signal })).rejects.toThrow();
      await nothingIsLeft();
    }
  });
});
