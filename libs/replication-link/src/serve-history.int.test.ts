import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { selfSigned } from './certificate-fixture.ts';
import { createCommandScanner } from './command-scanner.ts';
import { heldHistory, linkUp, offsetOf, record } from './recording-fixture.ts';
import type { ServedHistory, ServedProgress } from './replication-stream.ts';
import { serveHistory } from './serve-history.ts';

const signal = (): AbortSignal => AbortSignal.timeout(60_000);
const host = '127.0.0.1';
const started: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((node) => node.stop()));
});

const start = async (options: Parameters<typeof startRedis>[0] = {}): Promise<TestRedis> => {
  const node = await startRedis(options);
  started.push(node);
  return node;
};

const serve = async (options: Omit<Parameters<typeof serveHistory>[0], 'host'>): ReturnType<typeof serveHistory> => {
  const server = await serveHistory({ host, ...options });
  started.push({ stop: () => server.close() });
  return server;
};

interface Known {
  readonly replicationId: string;
  readonly offset: number;
  readonly rdb: Buffer;
  readonly stream: Buffer;
  readonly digest: unknown;
}

// 5,000 keys in the data set, and as many changes after it, in transactions of 100.
async function knownHistory(): Promise<Known> {
  const source = await startRedis();
  try {
    await source.cli('EVAL', "for i = 1, 5000 do redis.call('SET', 'key:' .. i, string.rep('old', 30)) end", 0);
    const recording = await record(source);
    for (let from = 1; from < 5_000; from += 100)
      await source.cli('EVAL', `for i = ${from}, ${from + 99} do redis.call('SET', 'key:' .. i, 'new') end`, 0);
    await source.cli('SELECT', 3);
    const end = await offsetOf(source);
    await eventually(() => recording.followed.receivedOffset() >= end, { timeoutMs: 30_000 });
    recording.followed.close();
    const digest = await source.cli('DEBUG', 'DIGEST');
    return { ...recording, stream: recording.bytes().subarray(0, end - recording.offset), digest };
  } finally {
    await source.stop();
  }
}

// Gives the beginning of the data set, and the rest after `open`.
function gated(known: Known): { history: ServedHistory; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  async function* slowly(): AsyncGenerator<Buffer> {
    yield known.rdb.subarray(0, 1_000);
    await opened;
    yield known.rdb.subarray(1_000);
  }
  const history: ServedHistory = {
    ...heldHistory(known),
    rdb: () => ({ stream: Readable.from(slowly(), { objectMode: false }), bytes: known.rdb.length }),
  };
  return { history, open };
}

describe('serveHistory to real servers', () => {
  let known: Known;

  beforeAll(async () => {
    known = await knownHistory();
  });

  it('serves several replicas at once, and tells how far each is', async () => {
    const told: ServedProgress[] = [];
    const server = await serve({ history: heldHistory(known), onProgress: (progress) => told.push(progress) });
    const replicas = await Promise.all([1, 2, 3].map(() => start({ replicaOf: server })));
    const end = known.offset + known.stream.length;
    await eventually(
      () => {
        expect(server.replicas()).toHaveLength(3);
        expect(server.replicas().every(({ phase, acknowledged }) => phase === 'done' && acknowledged === end)).toBe(
          true,
        );
      },
      { timeoutMs: 30_000 },
    );
    for (const replica of replicas) {
      expect(await replica.cli('DEBUG', 'DIGEST')).toBe(known.digest);
      expect(Number(await replica.info('replication', 'slave_repl_offset'))).toBe(end);
    }
    const phases = told.filter(({ replica }) => replica === told[0]?.replica).map(({ phase }) => phase);
    expect([...new Set(phases)]).toEqual(['data-set', 'loading', 'stream', 'done']);
    expect(await server.whenTaken(signal())).toMatchObject({
      sentBytes: known.rdb.length + known.stream.length,
      totalBytes: known.rdb.length + known.stream.length,
    });
  });

  it('goes on where a replica of the same history stands, without a data set', async () => {
    const half = known.stream.subarray(0, cutNearMiddle(known.stream));
    const first = await serve({ history: heldHistory({ ...known, stream: half }) });
    const replica = await start({ replicaOf: first });
    await first.whenTaken(signal());
    const phases: string[] = [];
    const second = await serve({ history: heldHistory(known), onProgress: ({ phase }) => phases.push(phase) });
    await replica.cli('REPLICAOF', second.host, second.port);
    expect(await second.whenTaken(signal())).toMatchObject({ sentBytes: known.stream.length - half.length });
    expect(await replica.cli('DEBUG', 'DIGEST')).toBe(known.digest);
    expect(phases).not.toContain('data-set');
  });

  it('serves a replica again that was killed half-way', async () => {
    const { history, open } = gated(known);
    const server = await serve({ history });
    const replica = await start({ replicaOf: server });
    await eventually(() => server.replicas()[0]?.phase === 'data-set', { timeoutMs: 30_000 });
    await replica.kill();
    await eventually(() => server.replicas().length === 0, { timeoutMs: 30_000 });
    open();
    await replica.restart();
    await server.whenTaken(signal());
    expect(await replica.cli('DEBUG', 'DIGEST')).toBe(known.digest);
  });

  it('lets a node answer with its old data while it takes a history under its own id', async () => {
    const node = await start({
      args: ['--repl-diskless-load', 'swapdb', '--loading-process-events-interval-bytes', '1024'],
    });
    await node.cli('SET', 'key:1', 'live');
    const replicationId = (await node.info('replication', 'master_replid')) ?? '';
    const far = (await offsetOf(node)) + 1_000_000_000;
    // The node waits for each piece and looks at its clients in between: a data set that stops would stop them, too.
    async function* paced(): AsyncGenerator<Buffer> {
      for (let from = 0; from < known.rdb.length; from += 1_024) {
        yield known.rdb.subarray(from, from + 1_024);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    const rdb = (): { stream: Readable; bytes: number } => ({
      stream: Readable.from(paced(), { objectMode: false }),
      bytes: known.rdb.length,
    });
    const server = await serve({ history: { replicationId, offset: far, end: far, rdb } });
    await node.cli('REPLICAOF', server.host, server.port);
    let answers = 0;
    await eventually(
      async () => {
        const value = await node.cli('GET', 'key:1');
        if (value === 'live' && (await node.info('persistence', 'async_loading')) === '1') answers += 1;
        return value !== 'live';
      },
      { timeoutMs: 30_000 },
    );
    expect(answers).toBeGreaterThan(0);
    expect(await server.whenTaken(signal())).toMatchObject({ phase: 'done', acknowledged: far });
    expect(await node.cli('GET', 'key:1')).toBe('old'.repeat(30));
    await node.cli('REPLICAOF', 'NO', 'ONE');
    expect(Number(await node.info('replication', 'master_repl_offset'))).toBe(far);
  });

  it('gives nothing to a replica without the right password, and everything to one with it', async () => {
    const server = await serve({
      history: heldHistory(known),
      credentials: { username: 'switchyard', password: 'p w' },
    });
    const stranger = await start({ replicaOf: server, args: ['--masterauth', 'p w'] });
    await eventually(() => stranger.output().includes('Unable to AUTH'), { timeoutMs: 30_000 });
    expect(server.replicas()).toEqual([]);
    await stranger.cli('CONFIG', 'SET', 'masteruser', 'switchyard');
    await server.whenTaken(signal());
    expect(await stranger.cli('DEBUG', 'DIGEST')).toBe(known.digest);
  });

  it('accepts whatever password a node is told to use when it asks for none', async () => {
    const server = await serve({ history: heldHistory(known) });
    const node = await start({ replicaOf: server, args: ['--masterauth', 'of the group', '--masteruser', 'app'] });
    await linkUp(node);
    expect(await server.whenTaken(signal())).toMatchObject({ phase: 'done' });
  });

  it('serves over TLS to a node that knows its authority, and to no other', async () => {
    const { cert, key } = selfSigned();
    const dir = await mkdtemp(join(tmpdir(), 'switchyard-test-tls-'));
    try {
      const foreign = selfSigned('foreign');
      await writeFile(join(dir, 'ca.pem'), cert);
      await writeFile(join(dir, 'foreign.pem'), foreign.cert);
      const server = await serve({ history: heldHistory(known), tls: { cert, key } });
      await writeFile(join(dir, 'key.pem'), key);
      const own = ['--tls-cert-file', join(dir, 'ca.pem'), '--tls-key-file', join(dir, 'key.pem')];
      const args = [...own, '--tls-replication', 'yes', '--tls-ca-cert-file'];
      const node = await start({ args: [...args, join(dir, 'ca.pem')] });
      const other = await start({ args: [...args, join(dir, 'foreign.pem')] });
      await other.cli('REPLICAOF', server.host, server.port);
      await eventually(() => other.output().includes('certificate verify failed'), { timeoutMs: 30_000 });
      expect(server.replicas()).toEqual([]);
      await node.cli('REPLICAOF', server.host, server.port);
      await server.whenTaken(signal());
      expect(await node.cli('DEBUG', 'DIGEST')).toBe(known.digest);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

// Where a stream may be cut, near its middle.
function cutNearMiddle(stream: Buffer): number {
  const scanner = createCommandScanner({ position: 0 }, () => undefined);
  scanner.push(stream.subarray(0, stream.length / 2));
  return scanner.boundary();
}
