import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { operationSchema, type Operation } from '@switchyard/protocol';
import { advanceOperation, queuedOperation, startOperation, succeedOperation } from '@switchyard/backup';
import { createApi, httpServer, type HttpServer } from '@switchyard/http';
import { createHealth, createMetrics, systemClock } from '@switchyard/runtime';
import { quietLogger } from '../test-fixtures.ts';
import { operationRoutes } from './operation-routes.ts';
import { createOperations, type Operations } from './operations.ts';

let directory: string;
let operations: Operations;
let server: HttpServer;
let url: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-test-operations-'));
  operations = createOperations(directory, quietLogger);
  await operations.load();
  const cancel = (): never => {
    throw new Error('nobody cancels');
  };
  server = httpServer({
    name: 'api',
    host: '127.0.0.1',
    port: 0,
    app: createApi({
      title: 'test',
      version: '1',
      routes: operationRoutes({ operations, cancel, clock: systemClock }),
      health: createHealth({ clock: systemClock }),
      metrics: createMetrics(),
      logger: quietLogger,
    }),
  });
  await server.start();
  url = `http://127.0.0.1:${server.address().port}/v1/operations/one`;
  const plan = [{ name: 'copy', weight: 1 }];
  await operations.add(queuedOperation({ id: 'one', kind: 'backup', subject: 'main', plan }, 1));
  operations.change('one', (record) => startOperation(record, systemClock.unixMs()));
});
afterEach(async () => {
  await server.stop();
  await operations.settled();
  await rm(directory, { recursive: true, force: true });
});

const advance = (fraction: number): unknown =>
  operations.change('one', (record) => advanceOperation(record, 0, { fraction, atMs: systemClock.unixMs() }));
const finish = (): unknown =>
  operations.change('one', (record) => succeedOperation(record, { label: 'x' }, systemClock.unixMs()));

interface Seen {
  readonly id: string | undefined;
  readonly operation: Operation;
}

async function* events(response: Response): AsyncGenerator<Seen> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const frame = text.slice(0, end);
      text = text.slice(end + 2);
      const data = /^data: (.*)$/m.exec(frame)?.[1];
      if (data === undefined) continue;
      yield { id: /^id: (.*)$/m.exec(frame)?.[1], operation: operationSchema.parse(JSON.parse(data)) };
    }
  }
}

describe('a stream of an operation', () => {
  it('brings the document now, at changes, and at the end, with which it ends', async () => {
    const response = await fetch(url, { headers: { accept: 'text/event-stream' } });
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const seen: Seen[] = [];
    for await (const event of events(response)) {
      seen.push(event);
      if (event.operation.percent === 0) advance(0.5);
      else if (event.operation.percent === 50) finish();
    }
    expect(seen.map(({ id, operation }) => [id, operation.percent, operation.state])).toEqual([
      [undefined, 0, 'running'],
      [undefined, 50, 'running'],
      ['end', 100, 'succeeded'],
    ]);
    const again = await fetch(url, { headers: { accept: 'text/event-stream', 'last-event-id': 'end' } });
    expect(again.status).toBe(204);
  });

  it('sends a burst of changes as a few documents, the newest last', async () => {
    const response = await fetch(url, { headers: { accept: 'text/event-stream' } });
    const seen: number[] = [];
    for await (const { operation } of events(response)) {
      seen.push(operation.percent);
      if (seen.length > 1) continue;
      for (let step = 1; step < 100; step += 1) advance(step / 100);
      finish();
    }
    expect(seen.at(-1)).toBe(100);
    expect(seen.length).toBeLessThanOrEqual(3);
  });

  it('of one that has ended is its last document', async () => {
    finish();
    const seen: Seen[] = [];
    for await (const event of events(await fetch(url, { headers: { accept: 'text/event-stream' } }))) seen.push(event);
    expect(seen).toMatchObject([{ id: 'end', operation: { state: 'succeeded', result: { label: 'x' } } }]);
  });
});

describe('waiting for an operation', () => {
  it('answers when it has ended, or after the time with how far it is', async () => {
    const read = async (query: string): Promise<Operation> =>
      operationSchema.parse(await (await fetch(`${url}${query}`)).json());
    advance(0.25);
    expect(await read('?wait=50ms')).toMatchObject({ state: 'running', percent: 25 });
    const waiting = read('?wait=30s');
    finish();
    expect(await waiting).toMatchObject({ state: 'succeeded' });
    expect(await read('?wait=30s')).toMatchObject({ state: 'succeeded' });
    expect((await fetch(`${url}?wait=2h`)).status).toBe(400);
  });
});
