import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RedisGroupView } from '@switchyard/protocol';
import { askRedis, eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const keyCount = 500;
const keysOf = async (node: TestRedis): Promise<number> =>
  Number(await node.cli('EVAL', 'return #redis.call("KEYS", "kept:*")', 0));
const codesOf = (view: RedisGroupView): readonly string[] => view.problems.map(({ code }) => code);
/** Sentinel is slow to judge: what happens, happens before it has missed the primary. */
const slow = { downAfterMs: 8_000 };

const fill = async (group: SentinelGroup): Promise<TestRedis> => {
  const [primary, ...replicas] = group.nodes as [TestRedis, ...TestRedis[]];
  await primary.cli('EVAL', `for i = 1, ${String(keyCount)} do redis.call("SET", "kept:" .. i, i) end`, 0);
  for (const replica of replicas) {
    await eventually(async () => expect(await keysOf(replica)).toBe(keyCount), { timeoutMs: 10_000 });
  }
  return primary;
};
const crashAndReturn = async (node: TestRedis): Promise<void> => {
  await node.kill();
  await node.restart();
};
const ready = async (manager: TestManager): Promise<void> => {
  await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 15_000 });
  // It has looked at each node's settings.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
};
const allThere = async (group: SentinelGroup, manager: TestManager): Promise<void> => {
  await eventually(
    async () => {
      expect(await Promise.all(group.nodes.map(keysOf))).toEqual(group.nodes.map(() => keyCount));
      expect((await manager.group()).state).toBe('ok');
    },
    { timeoutMs: 40_000, intervalMs: 100 },
  );
};

describe('a primary without persistence that is killed and back at once, empty', () => {
  it('loses nothing with the lock: Sentinel is asked for another primary, and it joins as a replica', async () => {
    const group = await startSentinelGroup(slow);
    try {
      const env = { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses, SWITCHYARD_REPLICATION_BOOT_LOCK: 'enforce' };
      const manager = await startManager(env);
      await ready(manager);
      expect(await manager.get('/v1/redis/groups/main/boot-lock')).toMatchObject({
        status: 200,
        body: { bootLock: 'enforce', aclFile: expect.stringContaining('user switchyard-app off') },
      });
      const old = await fill(group);
      await crashAndReturn(old);
      const primary = await group.primaryOtherThan(old, 30_000);
      expect(await keysOf(primary)).toBe(keyCount);
      await allThere(group, manager);
      expect(await old.info('replication', 'role')).toBe('slave');
      for (const node of group.nodes) {
        await eventually(async () => expect(await node.cli('CONFIG', 'GET', 'masterauth')).toEqual(['masterauth', '']));
      }
      // The next one finds it just as ready.
      await crashAndReturn(primary);
      await group.primaryOtherThan(primary, 30_000);
      await allThere(group, manager);
    } finally {
      await group.stop();
    }
  }, 120_000);

  it('loses nothing either when it comes back with an old file', async () => {
    const group = await startSentinelGroup({ ...slow, replicas: 1 });
    try {
      const env = { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses, SWITCHYARD_REPLICATION_BOOT_LOCK: 'enforce' };
      const manager = await startManager(env);
      await ready(manager);
      const [old, replica] = group.nodes as [TestRedis, TestRedis];
      await old.cli('SET', 'kept:old', '1');
      await old.cli('SAVE');
      await old.cli('DEL', 'kept:old');
      await fill(group);
      await crashAndReturn(old);
      await group.primaryOtherThan(old, 40_000);
      expect(await replica.cli('EXISTS', 'kept:old')).toBe(0);
      await allThere(group, manager);
    } finally {
      await group.stop();
    }
  }, 90_000);

  it('is named with what was lost when the lock only advises', async () => {
    const group = await startSentinelGroup({ ...slow, replicas: 1 });
    try {
      const manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
      await ready(manager);
      const old = await fill(group);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      await crashAndReturn(old);
      await eventually(async () => expect(codesOf(await manager.group())).toContain('primary_restarted_behind'), {
        timeoutMs: 25_000,
      });
      const { problems } = await manager.group();
      expect(problems.find(({ code }) => code === 'primary_restarted_behind')?.detail).toMatch(
        /is empty|before its restart has \d+/,
      );
      expect(await group.primary()).toMatchObject({ port: old.port });
    } finally {
      await group.stop();
    }
  }, 60_000);
});

describe('a primary that is killed and back at once with all its data', () => {
  it('stays primary, and its replicas follow it again', async () => {
    const group = await startSentinelGroup({ ...slow, args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    try {
      const env = { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses, SWITCHYARD_REPLICATION_BOOT_LOCK: 'enforce' };
      const manager = await startManager(env);
      await ready(manager);
      const old = await fill(group);
      await crashAndReturn(old);
      await allThere(group, manager);
      expect(await group.primary()).toMatchObject({ port: old.port });
      for (const node of group.nodes) expect(await node.cli('CONFIG', 'GET', 'masterauth')).toEqual(['masterauth', '']);
    } finally {
      await group.stop();
    }
  }, 60_000);
});

describe('nodes whose users are off when they start', () => {
  it('let nobody in before they were compared, and lose nothing although no manager saw the crash', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-test-acl-'));
    const file = join(directory, 'users.acl');
    const users = (state: 'on' | 'off'): Promise<void> =>
      writeFile(
        file,
        [
          'user default on nopass ~* &* +@all',
          `user switchyard-app ${state} >app ~* &* +@all -@admin`,
          `user switchyard-replica ${state} >replica +psync +replconf +ping`,
          '',
        ].join('\n'),
      );
    await users('on');
    const args = ['--aclfile', file, '--masteruser', 'switchyard-replica', '--masterauth', 'replica'];
    const group = await startSentinelGroup({ ...slow, args });
    try {
      await users('off');
      const env = { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses, SWITCHYARD_REPLICATION_BOOT_LOCK: 'enforce' };
      const old = await fill(group);
      await crashAndReturn(old);
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      const survivors = group.nodes.filter((node) => node.port !== old.port);
      expect(await Promise.all(survivors.map(keysOf))).toEqual([keyCount, keyCount]);
      await expect(old.cli('AUTH', 'switchyard-app', 'app')).rejects.toThrow('WRONGPASS');

      const manager = await startManager(env);
      await group.primaryOtherThan(old, 40_000);
      await allThere(group, manager);
      for (const node of group.nodes) {
        await eventually(async () => expect(await node.cli('AUTH', 'switchyard-app', 'app')).toBe('OK'), {
          timeoutMs: 15_000,
        });
      }
      // Nothing of it was saved: the next start is locked again.
      const replica = group.nodes.find((node) => node.port === old.port) as TestRedis;
      await manager.stop();
      await crashAndReturn(replica);
      await expect(askRedis(replica, ['AUTH', 'switchyard-app', 'app'])).rejects.toThrow('WRONGPASS');
    } finally {
      await group.stop();
      await rm(directory, { recursive: true, force: true });
    }
  }, 120_000);
});
