// The program as people start it, against a real dispatcher and a real backup-worker that follows a real Redis.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, freePort, startOwned, startRedis, type OwnedProcess, type TestRedis } from '@switchyard/testing';

const here = dirname(fileURLToPath(import.meta.url));
const program = join(here, '..', 'bin', 'switchyard.mjs');
const mainOf = (app: string): string => join(here, '..', '..', app, 'src', 'main.ts');

let redis: TestRedis;
const processes: OwnedProcess[] = [];
let home: string;
let url: string;
let control: string;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function switchyard(...args: string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      env: { PATH: process.env['PATH'], SWITCHYARD_URL: url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [out, err]: [string[], string[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout: out.join(''), stderr: err.join('') }));
  });
}

const windowNow = async (): Promise<{
  continuous: boolean;
  events: { command: string; to: { offset: number } | null }[];
}> => {
  const { stdout } = await switchyard('backup', 'window', '-o', 'json');
  return JSON.parse(stdout) as Awaited<ReturnType<typeof windowNow>>;
};

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'switchyard-test-cli-'));
  redis = await startRedis();
  await redis.cli('EVAL', "for i = 1, 1000 do redis.call('SET', 'key:' .. i, i) end", 0);
  const [worker = 0, own = 0, traffic = 0, listener = 0] = await Promise.all([1, 2, 3, 4].map(() => freePort()));
  url = `http://127.0.0.1:${worker}`;
  control = `http://127.0.0.1:${listener}`;
  const start = async (app: string, env: Record<string, string>): Promise<void> => {
    const args = ['--disable-warning=ExperimentalWarning', mainOf(app)];
    const common = { PATH: process.env['PATH'], SWITCHYARD_REDIS_URL: redis.url };
    processes.push(await startOwned({ command: process.execPath, args, env: { ...common, ...env } }));
  };
  await start('backup-worker', {
    SWITCHYARD_BACKUP_PORT: String(worker),
    SWITCHYARD_BACKUP_REPOSITORY: join(home, 'repository'),
    SWITCHYARD_BACKUP_EVERY: '1h',
  });
  await start('dispatcher', {
    SWITCHYARD_STATE_DIR: join(home, 'dispatcher'),
    SWITCHYARD_DISPATCHER_PORT: String(own),
    SWITCHYARD_DISPATCHER_TRAFFIC_PORT: String(traffic),
    SWITCHYARD_DISPATCHER_CONTROL_PORT: String(listener),
  });
  const isThere = async (at: string): Promise<boolean> => (await fetch(`${at}/v1/backups`)).ok;
  await eventually(async () => (await isThere(url)) && (await isThere(control)), { timeoutMs: 60_000, what: 'Both' });
}, 90_000);
afterAll(async () => {
  await Promise.all(processes.map(async (one) => one.end()));
  await redis?.stop();
  await rm(home, { recursive: true, force: true });
}, 90_000);

describe('switchyard', () => {
  it('takes a backup through the control listener, with progress, shows it, and proves it again', async () => {
    const created = await switchyard('backup', 'create', '-o', 'json', '--url', control);
    expect(created).toMatchObject({ code: 0, stderr: expect.stringMatching(/\d+ % {2}\w/) });
    const { label, state } = JSON.parse(created.stdout) as { label: string; state: string };
    expect(state).toBe('verified');
    expect(await switchyard('backup', 'list')).toMatchObject({ code: 0, stdout: expect.stringContaining(label) });
    expect(await switchyard('backup', 'show', label)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/keys +1\d{3}\n/),
    });
    expect(await switchyard('backup', 'verify', label)).toMatchObject({
      code: 0,
      stdout: `${label} holds what it says.\n`,
    });
    expect(await switchyard('backup', 'show', '20260102T030405.678Z-full')).toMatchObject({ code: 3, stdout: '' });
    expect(await switchyard('ops', 'list')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/verify .*succeeded/),
    });
  }, 90_000);

  it('finds the accident in the window, and restores the moment before it', async () => {
    await eventually(async () => (await windowNow()).continuous, {
      timeoutMs: 30_000,
      intervalMs: 250,
      what: 'The archive',
    });
    await redis.cli('SET', 'last', 'words');
    await redis.cli('FLUSHALL');
    const event = await eventually(
      async () => (await windowNow()).events.find(({ command, to }) => command === 'FLUSHALL' && to !== null),
      { timeoutMs: 30_000, intervalMs: 250, what: 'The FLUSHALL in the window' },
    );
    expect(event?.to).toMatchObject({ offset: expect.any(Number) });
    const look = await switchyard('backup', 'restore', '--to', 'before:FLUSHALL', '--directory', '/none', '--dry-run');
    expect(look).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`offset ${event?.to?.offset} `),
    });
    const directory = join(home, 'restored');
    const restored = await switchyard('backup', 'restore', '--to', 'before:FLUSHALL', '--directory', directory);
    expect(restored).toMatchObject({ code: 0, stdout: expect.stringContaining(directory) });
    const copy = await startRedis({ dir: directory });
    try {
      // The worker's own keys lie in the same server.
      expect([await copy.cli('GET', 'key:1000'), await copy.cli('GET', 'last')]).toEqual(['1000', 'words']);
    } finally {
      await copy.stop();
    }
    const future = new Date(Date.now() + 3_600_000).toISOString();
    expect(await switchyard('backup', 'restore', '--to', future, '--directory', join(home, 'never'))).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/in the future[^]*Nearest before: 20/),
    });
  }, 90_000);

  it('shows what a rollback would do, brings the running server back, and undoes that', async () => {
    await redis.cli('SET', 'precious', 'thing');
    await redis.cli('FLUSHALL');
    await redis.cli('SET', 'after', 'the accident');
    const rollback = ['backup', 'rollback', '--to', 'before:FLUSHALL'];
    const look = await switchyard(...rollback, '--dry-run');
    expect(look).toMatchObject({ code: 0, stdout: expect.stringMatching(/^moment .*\nkeys .* now, .* then\n/) });
    expect(await switchyard(...rollback)).toMatchObject({ code: 8 });
    expect(await redis.cli('GET', 'precious')).toBeNull();
    const done = await switchyard(...rollback, '--yes');
    expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/safety +\S+-safety /) });
    expect([await redis.cli('GET', 'precious'), await redis.cli('GET', 'after')]).toEqual(['thing', null]);
    const undo = /^undo +switchyard (.*)$/m.exec(done.stdout)?.[1]?.split(' ') ?? [];
    const undone = await eventually(
      async () => {
        const ran = await switchyard(...undo);
        return ran.code === 0 && ran;
      },
      { timeoutMs: 60_000, intervalMs: 1_000, what: `The undo: ${undo.join(' ')}` },
    );
    expect(undone.stdout).toContain('undo ');
    expect([await redis.cli('GET', 'precious'), await redis.cli('GET', 'after')]).toEqual([null, 'the accident']);
  }, 150_000);
});
