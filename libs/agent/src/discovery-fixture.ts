// How does a test play registry and instances? A small server that speaks the frames of `/v1/stream`, and servers that answer with
// their id.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server on a free port. */
export interface TestServer {
  readonly url: string;
  /** Ends it and all its connections. */
  stop(): Promise<void>;
}

/** Starts one. */
export async function startServer(answer: RequestListener, port = 0): Promise<TestServer> {
  const server: Server = createServer(answer).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${own}`,
    async stop() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** A registry that says what it is told to say. */
export interface TestStream extends TestServer {
  /** Each time somebody connected: the query and the Last-Event-ID. */
  readonly asked: readonly { readonly services: string; readonly lastId: string | undefined }[];
  /** Said to whoever comes without a Last-Event-ID; undefined for nothing. */
  greeting: string | undefined;
  say(text: string): void;
  /** Ends the streams that are open, and keeps listening. */
  cut(): void;
}

/** Starts one on a free port. */
export async function startStream(greeting?: string): Promise<TestStream> {
  const asked: { services: string; lastId: string | undefined }[] = [];
  const open = new Set<ServerResponse>();
  const server = await startServer((req: IncomingMessage, res) => {
    const url = new URL(req.url ?? '/', 'http://test');
    const lastId = req.headers['last-event-id'];
    asked.push({
      services: url.searchParams.get('service') ?? '',
      lastId: typeof lastId === 'string' ? lastId : undefined,
    });
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write('retry: 1000\n\n');
    open.add(res);
    res.once('close', () => open.delete(res));
    if (lastId === undefined && stream.greeting !== undefined) res.write(stream.greeting);
  });
  const stream: TestStream = {
    ...server,
    asked,
    greeting,
    say: (text) => {
      for (const res of open) res.write(text);
    },
    cut: () => {
      for (const res of open) res.end();
    },
  };
  return stream;
}

const frame = (event: string, data: { readonly epoch: number; readonly revision: number }): string =>
  `id: ${data.epoch}.${data.revision}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

const document = (id: string, more: object = {}) => ({
  service: 'shop',
  id,
  url: 'http://127.0.0.1:1',
  weight: 1,
  meta: {},
  role: 'member',
  intent: 'in-service',
  liveness: 'alive',
  ...more,
});

/** An instance, by whatever is to be unusual about it. */
export type Described = { readonly id: string } & Readonly<Record<string, unknown>>;

/** The snapshot frame; instances as the API shows them, eligible unless said otherwise. */
export const snapshotFrame = (
  instances: readonly Described[],
  at: { readonly epoch?: number; readonly revision?: number; readonly policy?: object; readonly service?: string } = {},
): string => {
  const { epoch = 1, revision = 10, policy = {}, service = 'shop' } = at;
  const views = instances.map(({ id, ...more }) => document(id, { eligible: true, reason: null, revision, ...more }));
  const body = { epoch, revision, services: [{ name: service, policy, instances: views }] };
  return frame('snapshot', body);
};

/** An event about one instance, with the stored document in it. */
export const instanceFrame = (type: string, revision: number, instance: Described): string => {
  const body = { epoch: 1, revision, type, data: { instance: stored(instance) } };
  return frame(type, body);
};

/** A service has another active instance. */
export const activatedFrame = (revision: number, instances: readonly Described[]): string => {
  const type = 'service.activated';
  const body = { epoch: 1, revision, type, data: { service: 'shop', instances: instances.map(stored) } };
  return frame(type, body);
};

const stored = ({ id, ...more }: Described) =>
  document(id, { declaredWeight: 1, ttlMs: 3_000, sinceMs: 0, incarnation: 1, ...more });

/** An event about an instance that leaves. */
export const goneFrame = (revision: number, id: string): string => {
  const body = { epoch: 1, revision, type: 'instance.deregistered', data: { service: 'shop', id } };
  return frame('instance.deregistered', body);
};
