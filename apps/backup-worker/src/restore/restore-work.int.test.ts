import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok, type RestorePoint, type RestoreRequest } from '@switchyard/protocol';
import type { RedisSettings } from '@switchyard/redis';
import { systemClock } from '@switchyard/runtime';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import type { DirectOutcome } from '../operations/operation-runner.ts';
import { createGroupProbe } from '../source/group-probe.ts';
import { quietLogger } from '../test-fixtures.ts';
import type { Materialiser } from './materialise.ts';
import { createNodeLook, nodeAdmins } from './node-look.ts';
import { makeMaterialiser, record, type Recording } from './restore-fixture.ts';
import { createRestoreWork } from './restore-work.ts';

const clock = systemClock;
const never = new AbortController().signal;
let recording: Recording;
let digest: unknown;
let point: RestorePoint;
let materialise: Materialiser;
let root: string;
let end: () => Promise<void>;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'switchyard-test-restores-'));
  recording = await record((redis) =>
    redis.cli('EVAL', "for i = 1, 2000 do redis.call('SET', 'key:' .. i, string.rep('v' .. i, 20)) end", 0),
  );
  await recording.redis.cli('EVAL', "redis.call('SELECT', 3); redis.call('HSET', 'after', 'a', '1')", 0);
  await recording.redis.cli('SET', 'timed', '1', 'PX', '100000');
  point = await recording.now();
  digest = await recording.redis.cli('DEBUG', 'DIGEST');
  await recording.redis.cli('FLUSHALL');
  await recording.redis.cli('SET', 'new', '1');
  ({ materialise, end } = await makeMaterialiser(recording.source));
});
afterAll(async () => {
  await recording.stop();
  await end();
  await rm(root, { recursive: true, force: true });
});

interface Course {
  readonly to?: RestorePoint;
  /** Called once the moment is made real, before anything is done to the target. */
  readonly meanwhile?: () => Promise<unknown>;
  readonly signal?: AbortSignal;
  readonly onStep?: (step: number) => void;
  readonly advertisedHost?: string;
}

async function restore(
  target: Partial<Extract<RestoreRequest['target'], { node: string }>> | { readonly directory: string },
  { to = point, meanwhile, signal = never, onStep, advertisedHost = '127.0.0.1' }: Course = {},
): Promise<DirectOutcome> {
  const { redis } = recording;
  const settings: RedisSettings = { kind: 'single', group: 'main', endpoint: { host: redis.host, port: redis.port } };
  const context = { name: 'test', clock, logger: quietLogger };
  const admin = nodeAdmins(settings, context);
  const work = createRestoreWork({
    locate: () => Promise.resolve(ok(to)),
    materialise: async (moment, wishes) => {
      const made = await materialise(moment, wishes);
      await meanwhile?.();
      return made;
    },
    look: createNodeLook({ settings, probe: createGroupProbe(settings, context), admin }),
    admin,
    bindHost: '127.0.0.1',
    advertisedHost,
    writer: 'switchyard test',
    clock,
  });
  const full = 'directory' in target ? target : { node: '', as: 'primary' as const, overwrite: false, ...target };
  const planned = await work.plan({ group: 'main', to: { time: 'now' }, target: full }, signal);
  if (!planned.ok) return planned;
  return planned.value.run({ id: 'op', signal, report: (step) => onStep?.(step) });
}

const withServers = async (count: number, use: (...servers: TestRedis[]) => Promise<void>): Promise<void> => {
  const servers: TestRedis[] = [];
  try {
    for (let index = 0; index < count; index += 1) servers.push(await startRedis());
    await use(...servers);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
};
const nameOf = ({ host, port }: TestRedis): string => `${host}:${port}`;

describe('a restore into a directory', () => {
  it('brings a moment back: redis-server loads it by itself', async () => {
    const directory = join(root, 'back');
    const outcome = await restore({ directory });
    expect(outcome).toMatchObject({ ok: true, value: { directory, keys: 2_002, digest, point } });
    const told = JSON.parse(await readFile(join(directory, 'switchyard-restore.json'), 'utf8')) as object;
    expect(told).toMatchObject({ point, keys: { total: 2_002 }, types: { string: 2_001, hash: 1 }, digest });
    const redis = await startRedis({ dir: directory, args: ['--appendonly', 'yes'] });
    expect(await redis.cli('DEBUG', 'DIGEST')).toBe(digest);
    await redis.stop();
  });

  it('leaves nothing when it is cancelled, at any step', async () => {
    for (const at of [0, 1, 2]) {
      const cancel = new AbortController();
      const onStep = (step: number): void => {
        if (step === at) cancel.abort(new Error('cancelled'));
      };
      const directory = join(root, `cancelled-${at}`);
      await expect(restore({ directory }, { signal: cancel.signal, onStep })).rejects.toThrow('cancelled');
    }
    expect((await readdir(root)).filter((name) => name.includes('cancelled'))).toEqual([]);
  });

  it('refuses a directory that is not empty before it begins, and one that is filled meanwhile', async () => {
    expect(await restore({ directory: tmpdir() })).toMatchObject({ error: { code: 'refused_for_safety' } });
    const directory = join(root, 'raced');
    const outcome = await restore({ directory }, { meanwhile: () => restore({ directory }) });
    expect(outcome).toMatchObject({ ok: false, error: { code: 'refused_for_safety' } });
    expect(await readdir(directory)).toContain('dump.rdb');
  });
});

describe('a restore into a node', () => {
  it('makes an empty server a primary of its own with the data of the moment', async () => {
    await withServers(1, async (node) => {
      const outcome = await restore({ node: nameOf(node) });
      expect(outcome).toMatchObject({
        ok: true,
        value: { node: nameOf(node), as: 'primary', offset: point.offset, keys: 2_002, compared: 'counts and digest' },
      });
      expect(await node.info('replication', 'role')).toBe('master');
      expect(await node.cli('DEBUG', 'DIGEST')).toBe(digest);
      expect(Number(await node.cli('PTTL', 'timed'))).toBeGreaterThan(0);
      expect(await node.cli('SET', 'writable', '1')).toBe('OK');
    });
  });

  it('makes one a replica that goes on where the moment ends: the primary sends the rest only', async () => {
    await withServers(1, async (node) => {
      const { redis } = recording;
      const before = await redis.info('stats', 'sync_full');
      const partial = Number(await redis.info('stats', 'sync_partial_ok'));
      const outcome = await restore({ node: nameOf(node), as: 'replica' });
      expect(outcome).toMatchObject({
        ok: true,
        value: { as: 'replica', offset: point.offset, replicationId: point.replicationId, keys: 2_002 },
      });
      await node.cli('REPLICAOF', redis.host, redis.port);
      await eventually(async () => (await node.info('replication', 'master_link_status')) === 'up');
      expect(await redis.info('stats', 'sync_full')).toBe(before);
      expect(Number(await redis.info('stats', 'sync_partial_ok'))).toBe(partial + 1);
      await eventually(async () => (await node.cli('DEBUG', 'DIGEST')) === (await redis.cli('DEBUG', 'DIGEST')));
      // A replica of the group may be filled again, but not made a primary.
      expect(await restore({ node: nameOf(node), as: 'primary', overwrite: true })).toMatchObject({
        error: { code: 'refused_for_safety' },
      });
    });
  });

  it('refuses what is in use, and does not touch it', async () => {
    await withServers(2, async (node, follower) => {
      await node.cli('SET', 'mine', '1');
      expect(await restore({ node: nameOf(node) })).toMatchObject({
        error: { code: 'refused_for_safety', why: [expect.stringContaining('1 keys')] },
      });
      await follower.cli('REPLICAOF', node.host, node.port);
      await eventually(async () => (await node.info('replication', 'connected_slaves')) === '1');
      for (const at of [node, follower])
        expect(await restore({ node: nameOf(at), overwrite: true })).toMatchObject({
          error: { code: 'refused_for_safety' },
        });
      const own = `localhost:${recording.redis.port}`;
      expect(await restore({ node: own, overwrite: true })).toMatchObject({
        error: { code: 'refused_for_safety', why: expect.arrayContaining(['it is the primary of main']) },
      });
      expect(await node.cli('GET', 'mine')).toBe('1');
    });
  });

  it('replaces data that may go', async () => {
    await withServers(1, async (node) => {
      await node.cli('SET', 'mine', '1');
      expect(await restore({ node: nameOf(node), overwrite: true })).toMatchObject({ ok: true });
      expect(await node.cli('EXISTS', 'mine')).toBe(0);
      expect(await node.cli('DBSIZE')).toBe(2_001);
    });
  });

  it.each<[string, (node: TestRedis, other: TestRedis) => Promise<unknown>, string]>([
    [
      'a primary with replicas',
      async (node, other) => {
        await other.cli('REPLICAOF', node.host, node.port);
        await eventually(async () => (await node.info('replication', 'connected_slaves')) === '1');
      },
      'replicas',
    ],
    ['a replica', (node, other) => node.cli('REPLICAOF', other.host, other.port), 'role'],
    ['another process', (node) => node.restart(), 'run id'],
    ['a server in use', (node) => node.cli('SET', 'mine', '1'), 'keys'],
  ])('is refused at the last moment when the node has become %s since it was planned', async (_what, change, why) => {
    await withServers(2, async (node, other) => {
      const outcome = await restore({ node: nameOf(node) }, { meanwhile: () => change(node, other) });
      expect(outcome).toMatchObject({ ok: false, error: { code: 'refused_for_safety' } });
      expect(outcome.ok ? '' : outcome.error.why?.join(' ')).toContain(why);
      expect(outcome.ok ? '' : outcome.error.why?.join(' ')).not.toContain('lost');
      expect(Number(await node.cli('DBSIZE'))).toBeLessThan(2);
    });
  });

  it('stops when somebody tells the node to follow another one, and says what is left', async () => {
    await withServers(2, async (node, other) => {
      // Nobody listens there: it has to wait.
      const outcome = restore({ node: nameOf(node) }, { advertisedHost: '127.0.0.2' });
      await eventually(async () => (await node.info('replication', 'master_host')) === '127.0.0.2');
      await node.cli('REPLICAOF', other.host, other.port);
      expect(await outcome).toMatchObject({
        ok: false,
        error: { code: 'refused_for_safety', why: [expect.stringContaining('follows nobody')] },
      });
      expect(await node.info('replication', 'role')).toBe('master');
    });
  });

  it('refuses a node with too few databases, which would end itself, and does not touch it', async () => {
    const small = await startRedis({ args: ['--databases', '2'] });
    expect(await restore({ node: nameOf(small) })).toMatchObject({
      error: { code: 'not_restorable', next: expect.stringContaining('databases 4') },
    });
    expect(await small.cli('PING')).toBe('PONG');
    await small.stop();
  });

  it('refuses addresses that are none, and nodes that do not answer', async () => {
    for (const node of ['nowhere', 'host:0', 'host:99999', ':1'])
      expect(await restore({ node })).toMatchObject({ error: { code: 'invalid_input' } });
    expect(await restore({ node: '127.0.0.1:1' })).toMatchObject({ error: { code: 'redis_unavailable' } });
  });
});
