import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { operationSchema } from '@switchyard/protocol';
import {
  eventually,
  freePort,
  startOwned,
  startSentinelGroup,
  type OwnedProcess,
  type SentinelGroup,
  type TestRedis,
} from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

/** Another process, as in the yard: nothing of it is imported. */
const workerMain = fileURLToPath(new URL('../../../backup-worker/src/main.ts', import.meta.url));
const path = '/v1/redis/groups/main/nodes';
const post = (body: unknown): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json' },
  signal: AbortSignal.timeout(58_000),
});

describe('a rebuild by the backup-worker that the catalog lists', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let worker: OwnedProcess;
  let directory: string;
  let url: string;
  let primary: TestRedis;
  let replica: TestRedis;
  const ask = async (route: string, init?: RequestInit): Promise<unknown> =>
    (await fetch(`${url}${route}`, { signal: AbortSignal.timeout(5_000), ...init })).json();

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-test-rebuild-'));
    group = await startSentinelGroup({ replicas: 2, args: ['--appendonly', 'yes', '--repl-backlog-size', '64mb'] });
    [primary, replica] = group.nodes as [TestRedis, TestRedis];
    await primary.cli('EVAL', `for i = 1, 20000 do redis.call('SET', 'key:' .. i, i) end`, 0);
    const port = await freePort();
    url = `http://127.0.0.1:${String(port)}`;
    const env = { PATH: process.env['PATH'], SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses };
    const engine = process.env['SWITCHYARD_REDIS_SERVER'];
    worker = await startOwned({
      command: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', workerMain],
      env: {
        ...env,
        ...(engine === undefined ? {} : { SWITCHYARD_REDIS_SERVER: engine }),
        SWITCHYARD_BACKUP_PORT: String(port),
        SWITCHYARD_BACKUP_REPOSITORY: join(directory, 'backups'),
        SWITCHYARD_STATE_DIR: join(directory, 'state'),
      },
    });
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
    await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 40_000 });
  }, 90_000);
  afterAll(async () => {
    await worker.end(8_000);
    await group.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }, 30_000);

  it('has the data of the backup and, from the primary, only what was written since', async () => {
    const [begun, id] = await eventually(
      async () => {
        const answer = operationSchema.parse(await ask('/v1/backups', post({ group: 'main' })));
        return [answer.kind, answer.id] as const;
      },
      { timeoutMs: 40_000, what: 'A backup' },
    );
    expect(begun).toBe('backup');
    await eventually(
      async () => {
        const operation = operationSchema.parse(await ask(`/v1/operations/${id}`));
        expect(operation).toMatchObject({ state: 'succeeded' });
      },
      { timeoutMs: 60_000, what: 'The backup' },
    );
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'no');
    await replica.cli('SET', 'key:7', 'tampered');
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'yes');
    await primary.cli('SET', 'written', 'since');
    await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 30_000 });
    const node = `${replica.host}:${String(replica.port)}`;
    const before = await primary.info('stats', 'sync_full');
    const answer = await manager.get(`${path}/${node}/rebuild?wait=55s`, post({ from: 'backup' }));
    expect(answer.body).toMatchObject({
      state: 'succeeded',
      result: { verified: true, backup: { worker: url, resync: 'partial' } },
    });
    expect(await primary.info('stats', 'sync_full')).toBe(before);
    expect(await replica.cli('GET', 'written')).toBe('since');
    await eventually(async () =>
      expect(await replica.cli('DEBUG', 'DIGEST')).toBe(await primary.cli('DEBUG', 'DIGEST')),
    );
    expect(await replica.info('replication', 'slave_priority')).toBe('100');
  }, 150_000);
});
