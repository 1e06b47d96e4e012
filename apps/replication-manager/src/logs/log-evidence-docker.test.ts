import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDockerLogs } from './log-evidence-docker.ts';

/** As the engine sends it without a terminal. */
const frame = (stream: number, text: string): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt8(stream, 0);
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([head, Buffer.from(text)]);
};
const line = (text: string): string => `1:X 21 Nov 2026 12:00:00.000 # ${text}\n`;

// No engine is at hand where tests run: this one speaks the same API over the same kind of socket. By hand it was tried on
// engine 20.10.24 (API 1.41), with and without a terminal.
describe('logs by the API of the Docker engine', () => {
  let directory: string;
  let socket: string;
  let engine: Server;
  let asked: string[] = [];
  let logs: Buffer;
  const containers = [
    {
      Id: 'aaa',
      Names: ['/switchyard-redis-1-1'],
      Labels: { 'com.docker.compose.service': 'r1' },
      NetworkSettings: { Networks: { default: { IPAddress: '172.30.0.11' } } },
    },
    { Id: 'bbb', Names: ['/sentinel-2'], Labels: null, NetworkSettings: { Networks: { default: {} } } },
    { Id: 'ccc', Names: ['/other'] },
  ];

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-test-docker-'));
    socket = join(directory, 'docker.sock');
    engine = createServer((request, response) => {
      asked.push(`${String(request.method)} ${String(request.url)}`);
      if (request.url === '/containers/json?all=1') response.end(JSON.stringify(containers));
      else if (request.url?.startsWith('/containers/bbb/') === true) response.writeHead(500).end('no');
      else response.end(logs);
    });
    await new Promise<void>((resolve) => engine.listen(socket, resolve));
  });
  afterAll(async () => {
    await new Promise((resolve) => engine.close(resolve));
    await rm(directory, { recursive: true, force: true });
  });
  beforeEach(() => {
    asked = [];
  });

  it('are those of the container with the address, or of the name', async () => {
    const docker = createDockerLogs(socket);
    const find = (name: string, host: string): Promise<unknown> => docker.find({ name, host, port: 6379 });
    expect(await find('anything', '172.30.0.11')).toEqual({ id: 'aaa', name: 'switchyard-redis-1-1' });
    expect(await find('r1', '10.0.0.1')).toMatchObject({ id: 'aaa' });
    expect(await find('s2', 'sentinel-2')).toMatchObject({ id: 'bbb' });
    expect(await find('s9', '10.0.0.9')).toBeUndefined();
  });

  it.each([
    ['in frames', Buffer.concat([frame(1, line('one')), frame(2, line('two'))])],
    ['of a terminal', Buffer.from(line('one') + line('two'))],
  ])('are read %s, from one second to another, by GET alone', async (_how, bytes) => {
    logs = bytes;
    const text = await createDockerLogs(socket).read({ id: 'aaa', name: 'x' }, { fromMs: 1_500, toMs: 9_100 });
    expect(text).toBe(line('one') + line('two'));
    expect(asked).toEqual(['GET /containers/aaa/logs?stdout=1&stderr=1&since=1&until=10&tail=2000']);
  });

  it('end at a megabyte', async () => {
    logs = Buffer.alloc(30_000_000, 'x');
    const text = await createDockerLogs(socket).read({ id: 'aaa', name: 'x' }, { fromMs: 0, toMs: 1 });
    expect(text.length).toBeLessThan(2_000_000);
  });

  it('are refused with what the engine says, and with what the socket says when nobody is there', async () => {
    await expect(createDockerLogs(socket).read({ id: 'bbb', name: 'x' }, { fromMs: 0, toMs: 1 })).rejects.toThrow(
      '500',
    );
    await expect(createDockerLogs(`${socket}.not`).find({ name: 'a', host: 'b', port: 1 })).rejects.toThrow('ENOENT');
  });
});
