import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { eventually } from '@switchyard/testing';
import { fetchSnapshot, type SnapshotRequest } from './fetch-snapshot.ts';

const history = '0123456789abcdef0123456789abcdef01234567';
const started: Server[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of started.splice(0)) await new Promise((resolve) => server.close(resolve));
});

// A source that answers everything with +OK and PSYNC with what the test says.
async function source(onPsync: (socket: Socket) => void): Promise<SnapshotRequest> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => (chunk.includes('PSYNC') ? onPsync(socket) : socket.write('+OK\r\n')));
  });
  started.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, deadlineMs: 5_000, idleTimeoutMs: 2_000 };
}

const full = `+FULLRESYNC ${history} 42\r\n`;

async function read(request: SnapshotRequest): Promise<string> {
  const snapshot = await fetchSnapshot(request);
  const chunks: Buffer[] = [];
  for await (const chunk of snapshot.rdb) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const clientIsGone = (): Promise<boolean> =>
  eventually(() => sockets.length > 0 && sockets.every((socket) => socket.destroyed), {
    what: 'The end of the connection',
  });

describe('fetchSnapshot', () => {
  it('hands over position, content and progress, and ends the connection by itself', async () => {
    const progress: unknown[] = [];
    const request = await source((socket) => socket.write(`${full}\n\n$5\r\nREDIS`));
    const snapshot = await fetchSnapshot({ ...request, onProgress: (at) => progress.push(at) });
    expect(snapshot).toMatchObject({ replicationId: history, offset: 42 });
    const chunks = await snapshot.rdb.toArray();
    expect(Buffer.concat(chunks as Buffer[]).toString()).toBe('REDIS');
    expect(progress).toEqual([{ receivedBytes: 5, totalBytes: 5 }]);
    await clientIsGone();
  });

  it('never lets a cut-off data set look whole', async () => {
    for (const payload of ['', '$9\r\nREDIS', `$EOF:${history}\r\nREDIS${history.slice(1)}`]) {
      const request = await source((socket) => socket.end(`${full}${payload}`));
      await expect(read(request)).rejects.toMatchObject({ code: 'closed_early', retryable: true });
    }
  });

  it('says which answer was due when the source goes away', async () => {
    const request = await source((socket) => socket.destroy());
    await expect(fetchSnapshot(request)).rejects.toThrow(/closed the connection.*It owed us the answer to sync/);
  });

  it('gives up on silence, but not while newlines say that the source is still preparing', async () => {
    const alive = await source((socket) => {
      socket.write(full);
      let ticks = 0;
      const timer = setInterval(() => {
        ticks += 1;
        socket.write(ticks < 6 ? '\n' : '$2\r\nok');
        if (ticks === 6) clearInterval(timer);
      }, 50);
    });
    expect(await read({ ...alive, idleTimeoutMs: 200 })).toBe('ok');
    const silent = await source((socket) => socket.write(full));
    await expect(read({ ...silent, idleTimeoutMs: 100 })).rejects.toMatchObject({ code: 'stalled' });
    await clientIsGone();
  });

  it('ends at the deadline although bytes still arrive', async () => {
    const request = await source((socket) => {
      socket.write(`${full}$1000000\r\n`);
      const timer = setInterval(() => socket.write('x'), 10);
      socket.on('close', () => clearInterval(timer));
    });
    await expect(read({ ...request, deadlineMs: 200 })).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await clientIsGone();
  });

  it('ends when the caller aborts: before, during the handshake, and while reading', async () => {
    const request = await source((socket) => socket.write(`${full}$10\r\nhalf.`));
    await expect(fetchSnapshot({ ...request, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
    const silent = await source(() => undefined);
    await expect(fetchSnapshot({ ...silent, signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      code: 'aborted',
    });
    const control = new AbortController();
    const reading = read({ ...request, signal: control.signal });
    setTimeout(() => control.abort(), 50);
    await expect(reading).rejects.toMatchObject({ code: 'aborted' });
    await clientIsGone();
  });

  it('ends when the reader is destroyed or closed', async () => {
    const request = await source((socket) => socket.write(`${full}$10\r\nhalf.`));
    (await fetchSnapshot(request)).rdb.destroy();
    await clientIsGone();
    const snapshot = await fetchSnapshot(request);
    snapshot.close();
    snapshot.close();
    await expect(snapshot.rdb.toArray()).rejects.toMatchObject({ code: 'aborted' });
    await clientIsGone();
  });

  it('reads no faster than its reader, and waits for a slow one longer than the idle limit', async () => {
    const totalBytes = 32 * 1024 * 1024;
    // Made before anybody's silence is measured: it takes a while on a busy machine.
    const answer = Buffer.concat([Buffer.from(`${full}$${totalBytes}\r\n`), Buffer.alloc(totalBytes)]);
    const request = await source((socket) => socket.end(answer));
    let receivedBytes = 0;
    const snapshot = await fetchSnapshot({
      ...request,
      idleTimeoutMs: 250,
      onProgress: (progress) => {
        receivedBytes = progress.receivedBytes;
      },
    });
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(receivedBytes).toBeLessThan(1024 * 1024);
    let readBytes = 0;
    for await (const chunk of snapshot.rdb) readBytes += (chunk as Buffer).length;
    expect(readBytes).toBe(totalBytes);
  });

  it('names an address where nobody listens, with what to do next', async () => {
    const request = await source(() => undefined);
    const server = started.pop();
    await new Promise((resolve) => server?.close(resolve));
    await expect(fetchSnapshot(request)).rejects.toMatchObject({
      code: 'connect_failed',
      next: expect.stringContaining('reachable'),
    });
  });
});
