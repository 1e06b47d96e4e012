import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { eventually, startRedis, startSentinelGroup, type TestRedis } from '@switchyard/testing';
import { fetchSnapshot, type SnapshotRequest } from './fetch-snapshot.ts';

// Each key takes 2 ms to save: a copy of the 20,000 keys is under way for as long as a test needs.
const slowSave = ['--rdb-key-save-delay', '2000'];

const up = (replica: TestRedis): Promise<boolean> =>
  eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up', { timeoutMs: 15_000 });

// Loads a copy as a server would and returns the digest of its content.
async function digestOfCopy(request: SnapshotRequest): Promise<{ digest: unknown; keys: unknown; offset: number }> {
  const dir = await mkdtemp(join(tmpdir(), 'switchyard-test-copy-'));
  try {
    const snapshot = await fetchSnapshot(request);
    await pipeline(snapshot.rdb, createWriteStream(join(dir, 'dump.rdb')));
    const loaded = await startRedis({ dir });
    const facts = { digest: await loaded.cli('DEBUG', 'DIGEST'), keys: await loaded.cli('DBSIZE') };
    await loaded.stop();
    return { ...facts, offset: snapshot.offset };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function fill(primary: TestRedis): Promise<void> {
  await primary.cli('EVAL', "for i = 1, 20000 do redis.call('SET', 'key:' .. i, 'value-' .. i) end", 0);
  await primary.cli('RPUSH', 'list', ...Array.from({ length: 200 }, (_, index) => `item-${index}`));
  await primary.cli('HSET', 'hash', 'a', '1', 'b', '\u00ff\r\n');
}

describe('fetchSnapshot from a real server', () => {
  let primary: TestRedis;
  let replica: TestRedis;

  beforeAll(async () => {
    primary = await startRedis();
    replica = await startRedis({ replicaOf: primary });
    await up(replica);
    await fill(primary);
    const offset = Number(await primary.info('replication', 'master_repl_offset'));
    await eventually(async () => Number(await replica.info('replication', 'slave_repl_offset')) >= offset);
  });

  afterAll(async () => {
    await replica.stop();
    await primary.stop();
  });

  it.each(['yes', 'no'])('copies a replica exactly, diskless %s, and leaves nothing behind on it', async (diskless) => {
    await replica.cli('CONFIG', 'SET', 'repl-diskless-sync', diskless);
    const copy = await digestOfCopy(replica);
    expect(copy).toMatchObject({ digest: await primary.cli('DEBUG', 'DIGEST'), keys: await primary.cli('DBSIZE') });
    expect(copy.offset).toBeLessThanOrEqual(Number(await primary.info('replication', 'master_repl_offset')));
    await eventually(async () => (await replica.info('replication', 'connected_slaves')) === '0');
  });

  it('needs no more rights than replication itself', async () => {
    await replica.cli(
      'ACL',
      'SETUSER',
      'copier',
      'on',
      '>secret',
      'resetkeys',
      '-@all',
      '+psync',
      '+sync',
      '+replconf',
      '+ping',
    );
    const copy = await digestOfCopy({ ...address(replica), username: 'copier', password: 'secret' });
    expect(copy.keys).toBe(await primary.cli('DBSIZE'));
    await expect(fetchSnapshot({ ...address(replica), username: 'copier', password: 'wrong' })).rejects.toMatchObject({
      code: 'auth_failed',
    });
    await replica.cli('ACL', 'SETUSER', 'copier', '-psync');
    await expect(fetchSnapshot({ ...address(replica), username: 'copier', password: 'secret' })).rejects.toMatchObject({
      code: 'no_permission',
      retryable: false,
    });
  });

  it('is told when a password is needed', async () => {
    await replica.cli('CONFIG', 'SET', 'requirepass', 'secret');
    try {
      await expect(fetchSnapshot(address(replica))).rejects.toMatchObject({ code: 'auth_required' });
      const snapshot = await fetchSnapshot({ ...address(replica), password: 'secret' });
      snapshot.close();
    } finally {
      // The test's own client cannot log in: a fresh node is cheaper than teaching it.
      await replica.stop();
      replica = await startRedis({ replicaOf: primary });
      await up(replica);
    }
  });

  it('refuses to copy a replica whose link is down: its data may be old', async () => {
    const orphan = await startRedis({ replicaOf: { host: '127.0.0.1', port: 1 } });
    try {
      await expect(fetchSnapshot(address(orphan))).rejects.toMatchObject({ code: 'no_master_link', retryable: true });
    } finally {
      await orphan.stop();
    }
  });

  it('fails with a name when the source is killed half-way', async () => {
    const victim = await startRedis({ args: slowSave });
    try {
      await fill(victim);
      const snapshot = await fetchSnapshot(address(victim));
      await victim.kill();
      await expect(snapshot.rdb.toArray()).rejects.toMatchObject({ code: 'closed_early' });
    } finally {
      await victim.stop();
    }
  });
});

describe('fetchSnapshot under a Sentinel', () => {
  it('leaves no ghost when it copies a replica; a copy of the primary does', async () => {
    const group = await startSentinelGroup({ replicas: 1, sentinels: 1, args: slowSave });
    try {
      const [sentinel] = group.sentinels;
      const [primary, replica] = group.nodes;
      if (!sentinel || !primary || !replica) throw new Error('The group is incomplete.');
      await fill(primary);
      // Sentinel reads INFO often enough to see every copy.
      await sentinel.cli('SENTINEL', 'DEBUG', 'INFO-PERIOD', 50);
      const replicasAfterCopyOf = async (node: TestRedis): Promise<unknown> => {
        const snapshot = await fetchSnapshot(address(node));
        await new Promise((resolve) => setTimeout(resolve, 400));
        snapshot.close();
        const known = (await sentinel.cli('SENTINEL', 'REPLICAS', group.group)) as string[][];
        return known.map((facts) => facts[1]).toSorted((a = '', b = '') => a.localeCompare(b));
      };
      const real = `127.0.0.1:${replica.port}`;
      expect(await replicasAfterCopyOf(replica)).toEqual([real]);
      expect(await replicasAfterCopyOf(primary)).toEqual(['127.0.0.1:0', real]);
    } finally {
      await group.stop();
    }
  });
});

function address(node: TestRedis): { host: string; port: number } {
  return { host: node.host, port: node.port };
}
