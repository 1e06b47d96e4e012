import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { selfSigned } from './certificate-fixture.ts';
import { createCommandScanner } from './command-scanner.ts';
import { followStream } from './follow-stream.ts';
import { heldHistory, linkUp, offsetOf, record, type Recording } from './recording-fixture.ts';
import { serveHistory } from './serve-history.ts';

const patience = 60_000;
const failovers = 20;
const signal = (): AbortSignal => AbortSignal.timeout(patience);
const started: TestRedis[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((node) => node.stop()));
});

const start = async (options: Parameters<typeof startRedis>[0] = {}): Promise<TestRedis> => {
  const node = await startRedis(options);
  started.push(node);
  return node;
};

const fill = (node: TestRedis, keys: number, bytes = 10): Promise<unknown> =>
  node.cli('EVAL', `for i = 1, ${keys} do redis.call('SET', 'key:' .. i, string.rep('v', ${bytes})) end`, 0);

const caughtUp = (recording: Recording, node: TestRedis): Promise<unknown> =>
  eventually(async () => recording.followed.receivedOffset() >= (await offsetOf(node)), {
    timeoutMs: patience,
    what: 'The recording',
  });

// What a node holds that has taken the recording over.
async function digestOf(recording: {
  readonly replicationId: string;
  readonly offset: number;
  readonly rdb: Buffer;
  readonly stream: Buffer;
}): Promise<unknown> {
  const node = await start();
  const server = await serveHistory({ host: '127.0.0.1', history: heldHistory(recording) });
  try {
    await node.cli('REPLICAOF', server.host, server.port);
    await server.whenTaken(signal());
    return await node.cli('DEBUG', 'DIGEST');
  } finally {
    await server.close();
  }
}

describe('followStream from a real server', () => {
  it('misses nothing of a chained replica, while it is written to, and is acknowledged with true offsets', async () => {
    const primary = await start();
    const replica = await start({ replicaOf: primary });
    await linkUp(replica);
    await fill(primary, 2_000);
    const writing = (async () => {
      for (let count = 0; count < 200; count += 1) await primary.cli('RPUSH', `list:${count % 7}`, count, 'x\r\n');
    })();
    const recording = await record({ ...replica, announce: { host: '10.9.8.7', port: 6_543 } });
    await fill(primary, 3_000, 100);
    await writing;
    await caughtUp(recording, primary);
    const offset = await offsetOf(primary);
    await eventually(
      async () => {
        const row = (await replica.info('replication', 'slave0')) ?? '';
        expect(row).toMatch(/^ip=10\.9\.8\.7,port=6543,state=online,/);
        expect(Number(/offset=(\d+)/.exec(row)?.[1])).toBeGreaterThanOrEqual(offset);
      },
      { timeoutMs: patience, what: 'The acknowledgement' },
    );
    recording.followed.close();
    expect(await recording.ended).toBeUndefined();
    const stream = recording.bytes().subarray(0, offset - recording.offset);
    expect(await digestOf({ ...recording, stream })).toBe(await primary.cli('DEBUG', 'DIGEST'));
  });

  it('goes on under the new id after a failover, without a gap', async () => {
    const primary = await start();
    const replica = await start({ replicaOf: primary });
    await linkUp(replica);
    const before = await record(replica);
    await fill(primary, 100);
    await caughtUp(before, primary);
    await primary.kill();
    await replica.cli('REPLICAOF', 'NO', 'ONE');
    // A promoted node cuts its replicas off, so that they hear of the new id.
    expect(await before.ended).toMatchObject({ code: 'closed_early', retryable: true });
    await replica.cli('SET', 'after', 'failover');
    const position = { replicationId: before.replicationId, offset: before.followed.receivedOffset() };
    const after = await record({ ...replica, position });
    expect(after.followed.start).toMatchObject({ kind: 'continue', offset: position.offset });
    expect(after.replicationId).toBe(await replica.info('replication', 'master_replid'));
    expect(after.replicationId).not.toBe(before.replicationId);
    await caughtUp(after, replica);
    const stream = Buffer.concat([before.bytes(), after.bytes()]);
    expect(await digestOf({ ...before, stream })).toBe(await replica.cli('DEBUG', 'DIGEST'));
  });

  it('misses no byte over twenty failovers, and while it moves from node to node', async () => {
    let primary = await start();
    let replica = await start({ replicaOf: primary });
    await linkUp(replica);
    let recording = await record(replica);
    const first = recording;
    const stream: Buffer[] = [];
    const goOn = async (node: TestRedis): Promise<void> => {
      recording.followed.close();
      await recording.ended;
      stream.push(recording.bytes());
      const { replicationId, followed } = recording;
      const position = { replicationId, offset: followed.receivedOffset() };
      recording = await record({ ...node, position });
      expect(recording.followed.start).toMatchObject({ kind: 'continue', offset: position.offset });
    };
    for (let round = 0; round < failovers; round += 1) {
      await fill(primary, 50, round + 1);
      await caughtUp(recording, primary);
      await replica.cli('REPLICAOF', 'NO', 'ONE');
      await primary.cli('REPLICAOF', replica.host, replica.port);
      // The promoted node cuts us off; on with it, and then with the node that is a replica now.
      await recording.ended;
      await goOn(replica);
      [primary, replica] = [replica, primary];
      await fill(primary, 50, round + 2);
      await linkUp(replica);
      await caughtUp(recording, primary);
      await eventually(async () => (await offsetOf(replica)) >= recording.followed.receivedOffset(), {
        timeoutMs: patience,
      });
      await goOn(replica);
    }
    await primary.cli('SET', 'last', 'one');
    await caughtUp(recording, primary);
    stream.push(recording.bytes());
    expect(await digestOf({ ...first, stream: Buffer.concat(stream) })).toBe(await primary.cli('DEBUG', 'DIGEST'));
  }, 120_000);

  it('is given the whole data set when the position is not known there', async () => {
    const primary = await start();
    await primary.cli('SET', 'a', '1');
    const recording = await record({ ...primary, position: { replicationId: 'f'.repeat(40), offset: 7 } });
    expect(recording.followed.start.kind).toBe('full');
    expect(recording.rdb.subarray(0, 5).toString()).toBe('REDIS');
    recording.followed.close();
  });

  it('loses nothing behind a data set that is read slowly', async () => {
    const primary = await start();
    await fill(primary, 2_000, 1_000);
    const followed = await followStream({ ...primary, signal: signal() });
    if (followed.start.kind !== 'full') throw new Error('A whole data set was asked for.');
    for (let round = 0; round < 4; round += 1) await fill(primary, 2_000, 1_000);
    await primary.cli('SET', 'last', 'one');
    const offset = await offsetOf(primary);
    const rdb: Buffer[] = [];
    for await (const piece of followed.start.rdb) {
      rdb.push(piece as Buffer);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const stream: Buffer[] = [];
    for await (const chunk of followed.bytes()) {
      stream.push(chunk);
      if (followed.receivedOffset() >= offset && bytesOf(stream) >= offset - followed.start.offset) break;
    }
    const recorded = { ...followed.start, rdb: Buffer.concat(rdb), stream: Buffer.concat(stream) };
    expect(await digestOf(recorded)).toBe(await primary.cli('DEBUG', 'DIGEST'));
    // Leaving the loop has ended the link.
    await eventually(async () => (await primary.info('replication', 'connected_slaves')) === '0');
  });

  it('names a source that freezes and one that is killed, in the stream and in the data set', async () => {
    const primary = await start({ args: ['--repl-ping-replica-period', '1'] });
    const recording = await record({ ...primary, idleTimeoutMs: 3_000 });
    const killed = await record(primary);
    await primary.cli('SET', 'a', '1');
    await caughtUp(recording, primary);
    primary.freeze();
    expect(await recording.ended).toMatchObject({ code: 'stalled' });
    await primary.kill();
    expect(await killed.ended).toMatchObject({ code: 'closed_early' });
    // What had arrived is whole all the same.
    const names: string[] = [];
    createCommandScanner({ position: recording.offset }, ({ name }) => names.push(name)).push(recording.bytes());
    expect(names).toContain('SET');

    const slow = await start({ args: ['--rdb-key-save-delay', '200'] });
    await fill(slow, 40_000);
    const half = await followStream({ ...slow, idleTimeoutMs: 2_000, signal: signal() });
    slow.freeze();
    if (half.start.kind !== 'full') throw new Error('A whole data set was asked for.');
    // The child that saves goes on by itself; only what it says to the frozen server is not passed on.
    await expect(half.start.rdb.toArray()).rejects.toMatchObject({ code: 'stalled' });
    await expect(half.bytes()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'stalled' });
  });

  it('speaks TLS and logs in as a user, and names what is wrong with either', async () => {
    const { cert, key } = selfSigned();
    const dir = await mkdtemp(join(tmpdir(), 'switchyard-test-tls-'));
    try {
      await writeFile(join(dir, 'cert.pem'), cert);
      await writeFile(join(dir, 'key.pem'), key);
      const node = await start();
      await node.cli('SET', 'secret', 'value');
      const rights = ['on', '>p w', '+psync', '+replconf', '+ping'];
      await node.cli('ACL', 'SETUSER', 'copier', ...rights);
      const files = ['tls-cert-file', join(dir, 'cert.pem'), 'tls-key-file', join(dir, 'key.pem')];
      await node.cli('CONFIG', 'SET', ...files, 'tls-ca-cert-file', join(dir, 'cert.pem'), 'tls-auth-clients', 'no');
      const port = await freeTlsPort(node);
      const login = { host: node.host, port, username: 'copier', password: 'p w' };
      const recording = await record({ ...login, tls: { ca: cert } });
      await node.cli('SET', 'more', 'value');
      await caughtUp(recording, node);
      expect(recording.rdb.includes('secret')).toBe(true);
      recording.followed.close();
      await expect(record({ ...login, tls: true })).rejects.toMatchObject({ code: 'connect_failed' });
      await expect(record({ ...login, tls: { ca: selfSigned('x').cert } })).rejects.toMatchObject({
        code: 'connect_failed',
      });
      await expect(record({ ...login, password: 'wrong', tls: { ca: cert } })).rejects.toMatchObject({
        code: 'auth_failed',
        retryable: false,
      });
      await expect(record({ ...login, idleTimeoutMs: 5_000 })).rejects.toMatchObject({ code: 'closed_early' });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

function bytesOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

// Lets the server listen for TLS on a free port as well.
async function freeTlsPort(node: TestRedis): Promise<number> {
  return eventually(async () => {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    await node.cli('CONFIG', 'SET', 'tls-port', port);
    return port;
  });
}
