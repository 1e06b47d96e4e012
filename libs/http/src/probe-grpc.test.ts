// Does a gRPC server that others wrote understand the probe, and does the probe understand it?
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { Http2Server, ServerHttp2Stream } from 'node:http2';
import { createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { loadPackageDefinition, Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { handleUnaryCall, ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { Instance } from '@switchyard/protocol';
import { freePort } from '@switchyard/testing';
import { probe } from './probe.ts';

const file = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
const loaded = loadPackageDefinition(loadSync(file('health.proto'), { enums: String, defaults: true })) as unknown as {
  grpc: { health: { v1: { Health: ServiceClientConstructor } } };
};
const health = loaded.grpc.health.v1.Health.service;

type Check = handleUnaryCall<{ service: string }, { status: string }>;
const fault = (code: status, details = '') => Object.assign(new Error(details), { code, details });
/** As the health services of gRPC do: one status for each service, '' for the server. */
const knows =
  (statuses: Readonly<Record<string, string>>): Check =>
  (call, answer) => {
    const found = statuses[call.request.service];
    if (found === undefined) answer(fault(status.NOT_FOUND, 'unknown service'));
    else answer(null, { status: found });
  };

const instanceAt = (port: number, check: Partial<Instance['check']> = {}, scheme = 'http'): Instance => ({
  service: 'shop',
  id: 'a',
  url: `${scheme}://127.0.0.1:${port}`,
  weight: 1,
  declaredWeight: 1,
  meta: {},
  ttlMs: 500,
  check: { type: 'grpc', ...check },
  role: 'member',
  intent: 'in-service',
  liveness: 'suspect',
  sinceMs: 0,
  incarnation: 1,
  revision: 1,
});

describe('a gRPC probe', () => {
  const ends: (() => void)[] = [];
  const usual = getCACertificates('default');
  afterEach(() => {
    for (const end of ends.splice(0)) end();
    setDefaultCACertificates(usual);
  });

  const serve = async (check: Check | undefined, credentials = ServerCredentials.createInsecure()): Promise<number> => {
    const server = new Server();
    if (check) server.addService(health, { Check: check, Watch: () => undefined });
    ends.push(() => server.forceShutdown());
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port)));
    });
  };
  const listen = async (server: NetServer | Http2Server): Promise<number> => {
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)));
    ends.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return (server.address() as AddressInfo).port;
  };
  const answering = (answer: (stream: ServerHttp2Stream) => void): Promise<number> =>
    listen(
      createHttp2Server().on('stream', (stream) => {
        stream.on('error', () => undefined);
        answer(stream);
      }),
    );

  it('believes a server that says SERVING', async () => {
    const port = await serve(knows({ '': 'SERVING', 'shop.v1.Shop': 'SERVING', 'shop.v1.Till': 'NOT_SERVING' }));

    expect(await probe(instanceAt(port), 5_000)).toMatchObject({
      kind: 'grpc',
      outcome: 'answered',
      detail: 'its health service says SERVING',
    });
    expect(await probe(instanceAt(port, { grpcService: 'shop.v1.Shop' }), 5_000)).toMatchObject({
      outcome: 'answered',
    });
  });

  it.each([
    [{ grpcService: 'shop.v1.Till' }, 'its health service says NOT_SERVING'],
    [{ grpcService: 'shop.v1.Gone' }, 'its health service answered NOT_FOUND'],
    [{}, 'its health service says UNKNOWN'],
  ])('of %j has failed, and says how', async (check, detail) => {
    const port = await serve(knows({ '': 'UNKNOWN', 'shop.v1.Till': 'NOT_SERVING' }));

    expect(await probe(instanceAt(port, check), 5_000)).toMatchObject({ outcome: 'failed', detail, heard: true });
  });

  it('says so when a server has no health service', async () => {
    const port = await serve(undefined);

    expect(await probe(instanceAt(port), 5_000)).toMatchObject({
      outcome: 'failed',
      detail: 'it has no gRPC health service',
    });
  });

  it('knows the instance by its name, whatever it answers', async () => {
    const named =
      (id: string): Check =>
      (call, answer) => {
        const metadata = new Metadata();
        metadata.set('switchyard-instance', id);
        call.sendMetadata(metadata);
        answer(null, { status: 'SERVING' });
      };

    expect(await probe(instanceAt(await serve(named('a'))), 5_000)).toMatchObject({ outcome: 'answered' });
    expect(await probe(instanceAt(await serve(named('b'))), 5_000)).toMatchObject({
      outcome: 'other',
      detail: 'its address answers as b',
    });
  });

  it('speaks TLS, and believes only a certificate that is believed', async () => {
    const [key, certificate] = [readFileSync(file('tls/key.pem')), readFileSync(file('tls/certificate.pem'))];
    const credentials = ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }]);
    const port = await serve(knows({ '': 'SERVING' }), credentials);

    expect(await probe(instanceAt(port, {}, 'https'), 5_000)).toMatchObject({ outcome: 'failed' });
    setDefaultCACertificates([...usual, certificate.toString()]);
    expect(await probe(instanceAt(port, {}, 'https'), 5_000)).toMatchObject({ outcome: 'answered' });
    expect(await probe(instanceAt(port), 5_000)).toMatchObject({ outcome: 'failed' });
  });

  it('tells the server how long it waits, and ends then', async () => {
    const waits: number[] = [];
    const port = await serve((call) => {
      const deadline = call.getDeadline();
      waits.push(Number(deadline) - Date.now());
    });

    const end = await probe(instanceAt(port), 300);

    expect(end.tookMs).toBeLessThan(1_300);
    expect(waits[0]).toBeGreaterThan(0);
    expect(waits[0]).toBeLessThanOrEqual(300);
    // the server keeps the deadline as well, and may be the first to say so
    expect([end.outcome, end.detail]).toEqual(
      end.outcome === 'timeout'
        ? ['timeout', 'its address gave no answer in 300 ms']
        : ['failed', 'its health service answered DEADLINE_EXCEEDED'],
    );
  });

  it('of somebody who accepts and never answers ends at its deadline', async () => {
    const port = await listen(createServer(() => undefined));

    expect(await probe(instanceAt(port), 200)).toMatchObject({ kind: 'grpc', outcome: 'timeout' });
  });

  it('of a port that nobody listens on is refused at once', async () => {
    const end = await probe(instanceAt(await freePort()), 5_000);

    expect(end).toMatchObject({ kind: 'grpc', outcome: 'refused', detail: 'its address refuses connections' });
    expect(end.tookMs).toBeLessThan(1_000);
  });

  it.each([
    ['closes at once', (socket: Socket) => socket.destroy()],
    ['resets', (socket: Socket) => socket.resetAndDestroy()],
    ['speaks something else', (socket: Socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')],
  ])('of somebody who %s has failed at once', async (_what, onConnection) => {
    const end = await probe(instanceAt(await listen(createServer(onConnection))), 5_000);

    expect(end).toMatchObject({ outcome: 'failed' });
    expect(end.tookMs).toBeLessThan(2_000);
  });

  it('says so when an HTTP/1 server is there', async () => {
    const port = await listen(createHttpServer((_req, res) => res.end()));

    expect(await probe(instanceAt(port), 5_000)).toMatchObject({
      outcome: 'failed',
      detail: 'its address does not speak HTTP/2',
    });
  });

  const serving = Buffer.of(0, 0, 0, 0, 2, 8, 1);
  const ok = { ':status': 200, 'content-type': 'application/grpc' };
  it.each<[string, (stream: ServerHttp2Stream) => void, string]>([
    [
      'answers with another HTTP status',
      (stream) => stream.respond({ ':status': 503 }, { endStream: true }),
      'its health service answered HTTP 503',
    ],
    [
      'says SERVING and breaks off before its trailers',
      (stream) => {
        stream.respond(ok);
        stream.end(serving);
      },
      'its health service broke off',
    ],
    ['resets the stream', (stream) => stream.close(2), 'does not speak HTTP/2'],
    [
      'says more than a status',
      (stream) => {
        stream.respond(ok);
        stream.write(Buffer.alloc(65_536));
      },
      'with more than a status',
    ],
    [
      'fails at once, without a body',
      (stream) => stream.respond({ ...ok, 'grpc-status': '14' }, { endStream: true }),
      'its health service answered UNAVAILABLE',
    ],
  ])('of somebody who %s has failed at once', async (_what, answer, detail) => {
    const end = await probe(instanceAt(await answering(answer)), 5_000);

    expect(end).toMatchObject({ outcome: 'failed', detail: expect.stringContaining(detail) });
    expect(end.tookMs).toBeLessThan(2_000);
  });

  it('takes an answer that comes byte by byte', async () => {
    const port = await answering((stream) => {
      stream.respond(ok, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      for (const byte of serving) stream.write(Buffer.of(byte));
      stream.end();
    });

    expect(await probe(instanceAt(port), 5_000)).toMatchObject({ outcome: 'answered' });
  });
});
