// The worker as a process of its own, seen from outside: what a person does after an accident.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { operationSchema, problemSchema, type Operation } from '@switchyard/protocol';
import { eventually, freePort, startOwned, startRedis, type OwnedProcess, type TestRedis } from '@switchyard/testing';
import { command } from './restore-fixture.ts';

let root: string;
let redis: TestRedis;
let worker: OwnedProcess;
let url: string;

interface Answer {
  readonly status: number;
  readonly location: string | null;
  readonly body: unknown;
}

async function call(method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    signal: AbortSignal.timeout(20_000),
  });
  return { status: response.status, location: response.headers.get('location'), body: await response.json() };
}

async function ended({ status, location, body }: Answer): Promise<Operation> {
  expect({ status, body }).toMatchObject({ status: 202 });
  expect(location).toBe(`/v1/operations/${operationSchema.parse(body).id}`);
  return eventually(
    async () => {
      const operation = operationSchema.parse((await call('GET', location ?? '')).body);
      return operation.finishedAt === null ? null : operation;
    },
    { timeoutMs: 30_000, what: 'The end of the operation' },
  );
}

const restored = async (body: unknown): Promise<Operation> => ended(await call('POST', '/v1/restores', body));
const problem = async (
  body: unknown,
): Promise<{ readonly status: number; readonly code: string; readonly why: string }> => {
  const answer = await call('POST', '/v1/restores', body);
  const { code, detail, why } = problemSchema.parse(answer.body);
  return { status: answer.status, code, why: [detail, ...why].join(' ') };
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'switchyard-test-restore-api-'));
  redis = await startRedis();
  await redis.cli('EVAL', "for i = 1, 2000 do redis.call('SET', 'key:' .. i, i) end", 0);
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  worker = await startOwned({
    command: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', join(dirname(fileURLToPath(import.meta.url)), '..', 'main.ts')],
    env: {
      PATH: process.env['PATH'],
      SWITCHYARD_BACKUP_PORT: String(port),
      SWITCHYARD_BACKUP_REPOSITORY: join(root, 'repository'),
      SWITCHYARD_REDIS_URL: redis.url,
      SWITCHYARD_REDIS_SERVER: command,
      SWITCHYARD_BACKUP_EVERY: '1h',
      SWITCHYARD_BACKUP_SEAL_EVERY: '100ms',
    },
  });
  await eventually(
    async () => {
      const { body } = await call('GET', '/v1/backups/window');
      return (body as { continuous?: boolean }).continuous === true;
    },
    { timeoutMs: 30_000, what: `The first base: ${worker.output()}` },
  );
  await redis.cli('HSET', 'after', 'a', '1');
  await redis.cli('FLUSHALL');
}, 60_000);
afterAll(async () => {
  await worker.end();
  await redis.stop();
  await rm(root, { recursive: true, force: true });
});

describe('POST /v1/restores', () => {
  it('undoes a FLUSHALL into a directory', async () => {
    const directory = join(root, 'undone');
    const operation = await restored({ to: { before: 'FLUSHALL' }, target: { directory } });
    expect(operation).toMatchObject({ state: 'succeeded', percent: 100, kind: 'restore', result: { directory } });
    const back = await startRedis({ dir: directory, args: ['--appendonly', 'yes'] });
    expect(await back.cli('GET', 'key:2000')).toBe('2000');
    expect(await back.cli('HGET', 'after', 'a')).toBe('1');
    await back.stop();
  });

  it('undoes it onto an empty server', async () => {
    const node = await startRedis();
    try {
      const name = `${node.host}:${node.port}`;
      const operation = await restored({ to: { before: 'FLUSHALL' }, target: { node: name } });
      expect(operation).toMatchObject({ state: 'succeeded', result: { node: name, as: 'primary' } });
      expect(await node.cli('GET', 'key:1')).toBe('1');
      const keys = operation.result?.['keys'];
      expect(await node.cli('DBSIZE')).toBe(keys);
      // Now it holds keys: they go only when somebody says so.
      expect(await problem({ target: { node: name } })).toMatchObject({ status: 409, code: 'refused_for_safety' });
    } finally {
      await node.stop();
    }
  });

  it.each<[string, unknown, number, string]>([
    ['nothing', {}, 400, 'invalid_input'],
    ['no target', { to: { time: 'now' } }, 400, 'invalid_input'],
    ['two targets', { target: { directory: '/tmp/x', node: 'a:1' } }, 400, 'invalid_input'],
    ['a relative directory', { target: { directory: 'here' } }, 400, 'invalid_input'],
    ['a directory in use', { target: { directory: '/' } }, 409, 'refused_for_safety'],
    ['a directory below nothing', { target: { directory: '/nowhere/at/all' } }, 400, 'invalid_input'],
    ['a node that is none', { target: { node: 'nowhere' } }, 400, 'invalid_input'],
    ['a node that is not there', { target: { node: '127.0.0.1:1' } }, 503, 'redis_unavailable'],
    ['another group', { group: 'other', target: { directory: '/tmp/x' } }, 404, 'not_found'],
    ['two moments', { to: { time: 'now', offset: 5 }, target: { directory: '/tmp/x' } }, 400, 'invalid_input'],
    ['a command that never was', { to: { before: 'SWAPDB' }, target: { directory: '/tmp/x' } }, 422, 'not_restorable'],
    [
      'a time before everything',
      { to: { time: '2001-01-01T00:00:00Z' }, target: { directory: '/tmp/x' } },
      422,
      'not_restorable',
    ],
  ])('refuses %s before anything begins', async (_what, body, status, code) => {
    expect(await problem(body)).toMatchObject({ status, code });
  });

  it('refuses the server that the group lives on', async () => {
    const refused = await problem({ target: { node: `${redis.host}:${redis.port}`, overwrite: true } });
    expect(refused).toMatchObject({ status: 409, code: 'refused_for_safety' });
    expect(refused.why).toContain('primary of main');
  });

  it('leaves nothing of a restore that is cancelled', async () => {
    const begun = await call('POST', '/v1/restores', { target: { directory: join(root, 'cancelled') } });
    await call('DELETE', begun.location ?? '');
    const operation = await ended(begun);
    expect(['cancelled', 'succeeded']).toContain(operation.state);
    if (operation.state === 'cancelled')
      expect((await readdir(root)).filter((name) => name.includes('cancelled'))).toEqual([]);
  });
});

describe('POST /v1/backups/{label}/verify', () => {
  it('proves that the backup before and the stream lead to it', async () => {
    const taken = await ended(await call('POST', '/v1/backups', {}));
    expect(taken.state).toBe('succeeded');
    const label = String(taken.result?.['label']);
    const operation = await ended(await call('POST', `/v1/backups/${label}/verify`));
    expect(operation).toMatchObject({ state: 'succeeded', result: { ok: true, stream: { ok: true } } });
    expect((await call('GET', `/v1/backups/${label}`)).body).toMatchObject({
      state: 'verified',
      verification: { ok: true, stream: { ok: true, problem: null } },
    });
  });
});
