import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import type { RedisSalvage } from '@switchyard/protocol';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { z } from 'zod';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';
import { storedSalvageSchema, type StoredSalvage } from '../salvage/salvage-store.ts';
import { mergedSchema, type Merged } from '../salvage/salvages.ts';

afterAll(cleanUp, 20_000);

/** A client whose commands lie in the node's socket before the node can read them, and the number of `+OK` it got. */
const openClient = async (node: TestRedis): Promise<{ readonly socket: Socket; acked(): number }> => {
  const socket = connect(node.port, node.host);
  let text = '';
  socket.on('error', () => undefined);
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await new Promise((resolve) => {
    socket.once('connect', resolve);
  });
  return { socket, acked: () => text.split('+OK').length - 1 };
};
const fencedBy = async (manager: TestManager): Promise<number> => {
  const text = String((await manager.get('/metrics')).body);
  return Number(/switchyard_redis_fenced_total\{group="main"\} (\d+)/.exec(text)?.[1] ?? 0);
};
const roleOf = (node: TestRedis): Promise<string | undefined> => node.info('replication', 'role');
const writes = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_none, at) => `SET lost:${String(from + at)} x\r\n`).join('');

const listedSchema = z.object({ salvages: z.array(storedSalvageSchema) });
/** The manager that took a copy, and the copy. */
const salvageOf = (managers: readonly TestManager[]): Promise<{ manager: TestManager; salvage: StoredSalvage }> =>
  eventually(
    async () => {
      for (const manager of managers) {
        const { body } = await manager.get('/v1/redis/groups/main/salvages');
        const [salvage] = listedSchema.parse(body).salvages;
        if (salvage !== undefined) return { manager, salvage };
      }
      return null;
    },
    { timeoutMs: 10_000 },
  );

describe('a primary that froze, was replaced, and wakes', () => {
  let group: SentinelGroup;
  let managers: readonly TestManager[];
  let old: TestRedis;

  beforeAll(async () => {
    group = await startSentinelGroup({ downAfterMs: 1_500 });
    const env = { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses };
    managers = await Promise.all([startManager(env), startManager(env)]);
    old = group.nodes[0] as TestRedis;
  }, 60_000);
  afterAll(() => group.stop(), 20_000);

  it('is fenced at first sight by two managers at once, and what it alone has is copied first', async () => {
    for (const manager of managers) {
      await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 10_000 });
    }
    const client = await openClient(old);
    old.freeze();
    const primary = await group.primaryOtherThan(old);
    // Longer than a silent connection is kept: the question that waits has been renewed.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    // They lie in its socket and are carried out when it wakes, before anybody can say anything to it.
    client.socket.write(writes(0, 200));
    old.resume();
    await eventually(async () => expect(await roleOf(old)).toBe('slave'), { timeoutMs: 8_000 });
    expect(client.acked()).toBe(200);
    await eventually(async () =>
      expect((await Promise.all(managers.map(fencedBy))).reduce((sum, one) => sum + one)).toBeGreaterThan(0),
    );

    await eventually(async () => expect((await managers[0]?.group())?.state).toBe('ok'), { timeoutMs: 20_000 });
    expect(await roleOf(primary)).toBe('master');
    expect(await primary.cli('EXISTS', 'lost:0')).toBe(0);
    const told = await eventually(
      async () => {
        const all = await Promise.all(managers.map((manager) => manager.history()));
        return all.flat().find(({ salvage }) => salvage !== undefined) ?? null;
      },
      { timeoutMs: 20_000 },
    );
    expect(told.divergence?.bytes).toBeGreaterThan(200 * 20);
    expect(told.notes?.join()).toContain('was fenced');
    const { file, sizeBytes, sha256 } = told.salvage as RedisSalvage;
    const bytes = await readFile(file);
    expect(bytes.length).toBe(sizeBytes);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    client.socket.destroy();
  }, 60_000);

  it('has exactly its 200 keys listed, in the history and with the copy', async () => {
    const expected = Array.from({ length: 200 }, (_none, at) => `lost:${String(at)}`).sort();
    const { manager, salvage } = await salvageOf(managers);
    const entry = await eventually(
      async () => (await manager.history()).find(({ divergence }) => (divergence?.keys.length ?? 0) > 0) ?? null,
      { timeoutMs: 20_000 },
    );
    expect(entry.divergence?.keys.filter((key) => key.startsWith('lost:')).toSorted()).toEqual(expected);
    expect(entry.divergence?.truncated).toBe(false);
    // The manager's own probe and the group's own keys are all that may be there besides.
    expect(entry.divergence?.keys.filter((key) => !/^lost:|switchyard/.test(key))).toEqual([]);
    const { body } = await manager.get(`/v1/redis/groups/main/salvages/${salvage.id}`);
    const { comparison } = storedSalvageSchema.parse(body);
    const there = comparison?.keys.filter(({ kind }) => kind === 'only-there').map(({ key }) => key);
    expect(there?.filter((key) => key.startsWith('lost:')).toSorted()).toEqual(expected);
  }, 40_000);

  it('gets them back on request: those that are gone, and with overwrite those that are there', async () => {
    const { manager, salvage } = await salvageOf(managers);
    const primary = await group.primary();
    await primary.cli('SET', 'lost:7', 'newer');
    const merge = async (body: object): Promise<Merged> => {
      const answer = await manager.get(`/v1/redis/groups/main/salvages/${salvage.id}/merge`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(30_000),
      });
      expect(answer).toMatchObject({ status: 200 });
      return mergedSchema.parse(answer.body);
    };
    const keys = ['lost:7', 'lost:8', 'lost:9', 'nobody'];
    expect(await merge({ keys, dryRun: true })).toMatchObject({ merged: ['lost:8', 'lost:9'], kept: ['lost:7'] });
    expect(await primary.cli('EXISTS', 'lost:8')).toBe(0);
    expect(await merge({ keys })).toMatchObject({
      merged: ['lost:8', 'lost:9'],
      kept: ['lost:7'],
      failed: [{ key: 'nobody' }],
    });
    expect(await primary.cli('GET', 'lost:8')).toBe('x');
    expect(await primary.cli('GET', 'lost:7')).toBe('newer');
    expect(await merge({ keys, overwrite: true })).toMatchObject({ merged: ['lost:7'], kept: [] });
    expect(await primary.cli('GET', 'lost:7')).toBe('x');
    const removed = await manager.get(`/v1/redis/groups/main/salvages/${salvage.id}`, { method: 'DELETE' });
    expect(removed.status).toBe(204);
    await expect(stat(salvage.file)).rejects.toThrow('ENOENT');
  }, 40_000);

  it('takes no further writes, and its clients are sent away', async () => {
    await expect(old.cli('SET', 'a', 'b')).rejects.toThrow('READONLY');
    // Nobody waits for the end of a pause any more.
    expect(Number(await old.info('clients', 'blocked_clients'))).toBe(0);
  });
});

describe('a group that is only observed', () => {
  it('is left to Sentinel', async () => {
    const group = await startSentinelGroup({ downAfterMs: 1_000, replicas: 1 });
    try {
      const manager = await startManager({
        SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
        SWITCHYARD_REPLICATION_MANAGE: 'observe',
      });
      const old = group.nodes[0] as TestRedis;
      await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 10_000 });
      old.freeze();
      await group.primaryOtherThan(old);
      old.resume();
      await eventually(async () => {
        expect((await manager.group()).problems.map(({ code }) => code)).toContain('stray_primary');
      });
      expect(await roleOf(old)).toBe('master');
      expect(await fencedBy(manager)).toBe(0);
    } finally {
      await group.stop();
    }
  }, 60_000);
});
