// The worker as a process of its own, against a real group with Sentinels, seen from outside.
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, freePort, startOwned, startRedis, startSentinelGroup } from '@switchyard/testing';
import type { OwnedProcess, SentinelGroup, TestRedis } from '@switchyard/testing';
import { backupViewSchema, operationSchema, problemSchema, type Operation } from '@switchyard/protocol';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

interface Worker {
  readonly process: OwnedProcess;
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  /** The operation once it has ended. */
  ended(operation: string, timeoutMs?: number): Promise<Operation>;
}

async function startWorker(repository: string, env: Record<string, string>): Promise<Worker> {
  const port = await freePort();
  const main = join(dirname(fileURLToPath(import.meta.url)), 'main.ts');
  const owned = await startOwned({
    command: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', main],
    env: {
      PATH: process.env['PATH'],
      SWITCHYARD_BACKUP_PORT: String(port),
      SWITCHYARD_BACKUP_REPOSITORY: repository,
      SWITCHYARD_REDIS_SERVER: process.env['SWITCHYARD_REDIS_SERVER'] ?? 'redis-server',
      SWITCHYARD_BACKUP_EVERY: '1h',
      // The archive takes a data set of its own; it has its own tests.
      SWITCHYARD_BACKUP_ARCHIVE: 'false',
      ...env,
    },
  });
  const call = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(5_000),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
  await eventually(async () => (await call('GET', '/readyz')).status === 200, {
    timeoutMs: 15_000,
    what: `The readiness of the worker: ${owned.output()}`,
  });
  const ended = (operation: string, timeoutMs = 20_000): Promise<Operation> =>
    eventually(
      async () => {
        const found = operationSchema.parse((await call('GET', `/v1/operations/${operation}`)).body);
        return ['succeeded', 'failed', 'cancelled'].includes(found.state) ? found : null;
      },
      { timeoutMs, what: `The end of ${operation}` },
    );
  return { process: owned, call, ended };
}

async function backUp(worker: Worker): Promise<Operation> {
  const accepted = await worker.call('POST', '/v1/backups', { group: 'main' });
  expect(accepted.status).toBe(202);
  const { id } = operationSchema.parse(accepted.body);
  expect(accepted.headers.get('location')).toBe(`/v1/operations/${id}`);
  return worker.ended(id);
}

const labelsOf = ({ body }: Answer): string[] =>
  (body as { backups: { label: string }[] }).backups.map((backup) => backup.label);

async function fill(primary: TestRedis, replicas: number): Promise<void> {
  await primary.cli('EVAL', "for i = 1, 5000 do redis.call('SET', 'key:' .. i, 'value-' .. i) end", 0);
  await primary.cli('RPUSH', 'list', ...Array.from({ length: 300 }, (_, index) => `item-${index}`));
  await primary.cli('SET', 'soon', 'gone', 'PX', 1);
  await primary.cli('WAIT', replicas, 2_000);
}

describe('backup-worker', () => {
  let group: SentinelGroup;
  let repository: string;
  let worker: Worker;

  beforeAll(async () => {
    repository = await mkdtemp(join(tmpdir(), 'switchyard-test-repository-'));
    group = await startSentinelGroup({ replicas: 2, sentinels: 3, args: ['--appendonly', 'no'] });
    await fill(await group.primary(), 2);
    worker = await startWorker(repository, { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
  }, 60_000);

  afterAll(async () => {
    await worker?.process.end();
    await group?.stop();
    await rm(repository, { recursive: true, force: true });
  });

  it('takes a first backup by its schedule, from a replica, verified, without a ghost in Sentinel', async () => {
    const labels = await eventually(
      async () => {
        const found = labelsOf(await worker.call('GET', '/v1/backups'));
        return found.length > 0 && found;
      },
      { timeoutMs: 20_000, what: `The scheduled backup: ${worker.process.output()}` },
    );
    const view = backupViewSchema.parse((await worker.call('GET', `/v1/backups/${labels[0]}`)).body);
    expect(view).toMatchObject({ group: 'main', state: 'verified', manifest: { source: { role: 'replica' } } });
    const primary = await group.primary();
    expect(view.manifest.source.port).not.toBe(primary.port);
    expect(view.keys).toBeGreaterThanOrEqual(5_001);
    for (const sentinel of group.sentinels) {
      const known = (await sentinel.cli('SENTINEL', 'REPLICAS', 'main')) as string[][];
      expect(known).toHaveLength(2);
    }
  });

  it('takes one on demand, tells its steps, and shows it everywhere', async () => {
    const done = await backUp(worker);
    expect(done).toMatchObject({ kind: 'backup', state: 'succeeded', percent: 100, problem: null });
    expect(done.steps.map((step) => step.state)).toEqual(['done', 'done', 'done', 'done', 'done']);
    const label = String(done.result?.['label']);
    expect(labelsOf(await worker.call('GET', '/v1/backups'))[0]).toBe(label);
    const window = (await worker.call('GET', '/v1/backups/window?group=main')).body;
    expect(window).toMatchObject({
      group: 'main',
      points: expect.arrayContaining([expect.objectContaining({ label, state: 'verified' })]),
    });
    expect((await worker.call('GET', '/v1/backups/events?group=main')).body).toMatchObject({
      group: 'main',
      moreEvents: 0,
    });
    const found = (await worker.call('GET', `/v1/backups/locate?label=${label}`)).body;
    expect(found).toMatchObject({ point: { base: label, streamBytes: 0 }, notes: [] });
    const future = new Date(Date.now() + 60_000).toISOString();
    expect(await worker.call('GET', `/v1/backups/locate?time=${future}`)).toMatchObject({
      status: 422,
      body: { code: 'not_restorable', why: expect.arrayContaining([expect.stringMatching(/^Nearest before: 20/)]) },
    });
    expect(await worker.call('GET', '/v1/backups/locate?time=now&offset=1')).toMatchObject({ status: 400 });
    expect(await worker.call('GET', '/v1/backups/window?group=other')).toMatchObject({ status: 404 });
    const metrics = String((await worker.call('GET', '/metrics')).body);
    expect(metrics).toMatch(/^switchyard_backup_last_success_timestamp_seconds\{group="main"\} \d{10}/m);
    expect(metrics).toMatch(/^switchyard_backup_last_verified_timestamp_seconds\{group="main"\} \d{10}/m);
  });

  it('finds a single flipped bit, in the data and in the manifest', async () => {
    const label = String((await backUp(worker)).result?.['label']);
    const verify = async (): Promise<Operation> => {
      const accepted = await worker.call('POST', `/v1/backups/${label}/verify`);
      expect(accepted.status).toBe(202);
      return worker.ended(operationSchema.parse(accepted.body).id);
    };
    expect(await verify()).toMatchObject({ kind: 'verify', state: 'succeeded', result: { ok: true } });
    const data = join(repository, 'main', label, 'data.rdb.zst');
    await flipBit(data, Math.floor((await stat(data)).size / 2));
    expect(await verify()).toMatchObject({
      state: 'failed',
      result: { ok: false, label },
      problem: { code: 'backup_corrupt', why: [expect.stringContaining('data.rdb.zst: its sha256 is')] },
    });
    expect((await worker.call('GET', `/v1/backups/${label}`)).body).toMatchObject({ state: 'corrupt' });
    await flipBit(data, Math.floor((await stat(data)).size / 2));
    expect(await verify()).toMatchObject({ state: 'succeeded' });

    const manifest = join(repository, 'main', label, 'manifest.json');
    await flipBit(manifest, 300);
    expect(await verify()).toMatchObject({ state: 'failed', problem: { code: 'backup_corrupt' } });
    const listing = await worker.call('GET', '/v1/backups');
    expect(labelsOf(listing)).not.toContain(label);
    expect(listing.body).toMatchObject({ problems: [{ path: `main/${label}` }] });
    await flipBit(manifest, 300);
    expect(labelsOf(await worker.call('GET', '/v1/backups'))).toContain(label);
  });

  it.each<[string, string, unknown, number]>([
    ['GET', '/v1/backups/latest', undefined, 400],
    ['GET', '/v1/backups/20200101T000000.000Z-full', undefined, 404],
    ['GET', '/v1/backups/..%2f..%2fetc', undefined, 400],
    ['GET', '/v1/backups?group=../x', undefined, 400],
    ['GET', '/v1/backups/window?group=other', undefined, 404],
    ['POST', '/v1/backups', { group: 'other' }, 404],
    ['POST', '/v1/backups', { group: 5 }, 400],
    ['POST', '/v1/backups', '{"group":', 400],
    ['POST', '/v1/backups', { group: 'main', more: 1 }, 400],
    ['POST', '/v1/backups/x/verify', undefined, 400],
    ['POST', '/v1/backups/20200101T000000.000Z-full/verify', undefined, 404],
    ['GET', '/v1/operations/none', undefined, 404],
    ['DELETE', '/v1/operations/none', undefined, 404],
    ['DELETE', '/v1/operations/%00', undefined, 400],
    ['PUT', '/v1/backups', undefined, 405],
    ['GET', '/v1/nothing', undefined, 404],
  ])('answers %s %s %j with a problem', async (method, path, body, status) => {
    const answer = await worker.call(method, path, body);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(problemSchema.parse(answer.body).next).not.toBe('');
  });

  it('cancels a backup under way and leaves nothing behind', async () => {
    for (const node of group.nodes) await node.cli('CONFIG', 'SET', 'rdb-key-save-delay', '2000');
    try {
      const before = labelsOf(await worker.call('GET', '/v1/backups'));
      const accepted = await worker.call('POST', '/v1/backups');
      const { id } = operationSchema.parse(accepted.body);
      await eventually(async () => (await readdir(join(repository, 'main'))).length > before.length);
      expect(labelsOf(await worker.call('GET', '/v1/backups'))).toEqual(before);
      expect(await worker.call('DELETE', `/v1/operations/${id}`)).toMatchObject({
        status: 200,
        body: { state: 'cancelled' },
      });
      expect((await worker.call('DELETE', `/v1/operations/${id}`)).status).toBe(409);
      await eventually(async () => (await readdir(join(repository, 'main'))).length === before.length);
      await eventually(async () => {
        for (const node of group.nodes)
          if (String(await node.cli('INFO', 'replication')).includes('port=0')) return false;
        return true;
      });
    } finally {
      for (const node of group.nodes) await node.cli('CONFIG', 'SET', 'rdb-key-save-delay', '0');
    }
  });

  it('goes on by itself after the primary was killed', async () => {
    const old = await group.primary();
    await old.kill();
    const accepted = await eventually(
      async () => {
        const answer = await worker.call('POST', '/v1/backups');
        // While Redis is away the worker says so, and nothing else.
        if (answer.status !== 202) expect(answer).toMatchObject({ status: 503, body: { code: 'redis_unavailable' } });
        return answer.status === 202 ? answer : null;
      },
      { timeoutMs: 15_000, what: 'A queue that takes work again' },
    );
    const done = await worker.ended(operationSchema.parse(accepted.body).id, 40_000);
    expect(done).toMatchObject({ state: 'succeeded', problem: null });
    await old.restart();
  }, 90_000);

  it('lists no half backup after it was killed half-way, and remembers the work after its restart', async () => {
    const replicas = await eventually(
      async () => {
        for (const node of group.nodes) {
          if (
            (await node.info('replication', 'role')) === 'slave' &&
            (await node.info('replication', 'master_link_status')) !== 'up'
          )
            return null;
        }
        return group.nodes;
      },
      { timeoutMs: 20_000 },
    );
    for (const node of replicas) await node.cli('CONFIG', 'SET', 'rdb-key-save-delay', '5000');
    const before = await readdir(join(repository, 'main'));
    const { id } = operationSchema.parse((await worker.call('POST', '/v1/backups')).body);
    await eventually(async () => (await readdir(join(repository, 'main'))).length > before.length, {
      timeoutMs: 10_000,
    });
    worker.process.signal('SIGKILL');
    await worker.process.ended();
    for (const node of replicas) await node.cli('CONFIG', 'SET', 'rdb-key-save-delay', '0');
    worker = await startWorker(repository, { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
    const half = (await readdir(join(repository, 'main'))).filter((name) => !before.includes(name));
    expect(half).toHaveLength(1);
    const listing = await worker.call('GET', '/v1/backups');
    expect(labelsOf(listing)).not.toContain(half[0]);
    expect(listing.body).toMatchObject({ problems: [] });
    expect((await worker.call('GET', `/v1/operations/${id}`)).body).toMatchObject({
      id,
      state: expect.stringMatching(/queued|running/),
    });
  }, 90_000);
});

describe('backup-worker without Sentinels', () => {
  it('copies the only node there is, keeps as many as it was told, and leaves nothing when it ends', async () => {
    const root = await mkdtemp(join(tmpdir(), 'switchyard-test-repository-'));
    const redis = await startRedis();
    const worker = await startWorker(root, {
      SWITCHYARD_REDIS_URL: redis.url,
      SWITCHYARD_BACKUP_KEEP_NEWEST: '2',
      SWITCHYARD_BACKUP_KEEP_FOR: '0ms',
    });
    try {
      await eventually(async () => labelsOf(await worker.call('GET', '/v1/backups')).length === 1, {
        timeoutMs: 20_000,
      });
      await backUp(worker);
      const last = await backUp(worker);
      expect(last.result?.['removed']).toHaveLength(1);
      const listing = await worker.call('GET', '/v1/backups');
      expect(listing.body).toMatchObject({
        backups: [{ manifest: { source: { role: 'primary', port: redis.port } } }, {}],
      });
      expect((await readdir(join(root, 'main'))).toSorted((a, b) => (a < b ? 1 : -1))).toEqual(labelsOf(listing));
      await worker.process.end();
      expect(await readdir(join(root, '.scratch'))).toEqual([]);
    } finally {
      await worker.process.end();
      await redis.stop();
      await rm(root, { recursive: true, force: true });
    }
  }, 60_000);
});

async function flipBit(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  byte.writeUInt8(byte.readUInt8(0) ^ 1, 0);
  await file.write(byte, 0, 1, at);
  await file.close();
}
