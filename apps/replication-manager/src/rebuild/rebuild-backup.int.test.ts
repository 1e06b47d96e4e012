import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { operationSchema, type Operation } from '@switchyard/protocol';
import { followStream, serveHistory } from '@switchyard/replication-link';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const path = '/v1/redis/groups/main/nodes';
const asks = (method: string, body: unknown = {}): RequestInit => ({
  method,
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json' },
  signal: AbortSignal.timeout(58_000),
});
const nameOf = ({ host, port }: TestRedis): string => `${host}:${String(port)}`;

/** The data set of a node, under the name and offset of its history: what a backup holds. */
const backUp = async ({ host, port }: TestRedis) => {
  const over = new AbortController();
  const followed = await followStream({ host, port, signal: over.signal });
  const { start } = followed;
  if (start.kind !== 'full') throw new Error('a whole data set was asked for');
  const chunks: Buffer[] = [];
  for await (const chunk of start.rdb) chunks.push(chunk as Buffer);
  followed.close();
  over.abort();
  const { replicationId, offset } = start;
  return { replicationId, offset, rdb: Buffer.concat(chunks) };
};

/** Speaks the API of a backup-worker; `restores` says what it does to the node. The real one takes its place in the tests of it. */
const startStandIn = async () => {
  let restore: (node: { readonly host: string; readonly port: number }) => Promise<void> = () => Promise.resolve();
  let refusal: { readonly status: number; readonly body: unknown } | null = null;
  let operation: Operation | null = null;
  const asked: unknown[] = [];
  const at = new Date().toISOString();
  const begin = async (request: IncomingMessage): Promise<Operation> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as { target: { node: string } };
    asked.push(body);
    const common = { id: 'restore-1', kind: 'restore', subject: 'main', createdAt: at, startedAt: at, problem: null };
    const running: Operation = {
      ...common,
      state: 'running',
      percent: 40,
      etaSeconds: 1,
      finishedAt: null,
      steps: [{ name: 'serve', state: 'running', detail: '40 %' }],
      result: null,
    };
    operation = running;
    const [host = '', port = ''] = body.target.node.split(':');
    void restore({ host, port: Number(port) }).then(() => {
      const result = { node: body.target.node, offset: 7, replicationId: 'x', keys: 5 };
      operation = { ...running, state: 'succeeded', percent: 100, finishedAt: at, result };
    });
    return running;
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.url === '/livez') return send(200, {});
    if (request.url === '/v1/restores' && refusal !== null) return send(refusal.status, refusal.body);
    if (request.url === '/v1/restores') return send(202, await begin(request));
    if (request.method === 'DELETE' && operation !== null)
      operation = { ...operation, state: 'cancelled', finishedAt: at };
    return operation === null ? send(404, {}) : send(200, operation);
  };
  const server: Server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    asked,
    restores(how: typeof restore) {
      refusal = null;
      restore = how;
    },
    refuses(status: number, body: unknown) {
      refusal = { status, body };
    },
    operation: () => operation,
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
};

describe('a rebuild from a backup', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let worker: Awaited<ReturnType<typeof startStandIn>>;
  let backup: Awaited<ReturnType<typeof backUp>>;
  let primary: TestRedis;
  let replica: TestRedis;

  /** Serves the backup to the node until it has it. */
  const serveBackup = async (): Promise<void> => {
    const { rdb, ...position } = backup;
    const history = {
      ...position,
      end: backup.offset,
      rdb: () => ({ stream: Readable.from([rdb]), bytes: rdb.length }),
    };
    const server = await serveHistory({ host: '127.0.0.1', history });
    try {
      await replica.cli('REPLICAOF', server.host, server.port);
      await server.whenTaken(AbortSignal.timeout(20_000));
    } finally {
      await server.close();
    }
  };
  const calm = (): Promise<unknown> =>
    eventually(
      async () => {
        const view = await manager.group();
        expect([view.state, ...view.nodes.map(({ state }) => state)]).toEqual(['ok', 'ok', 'ok', 'ok']);
      },
      { timeoutMs: 30_000 },
    );
  const same = (): Promise<unknown> =>
    eventually(async () => expect(await replica.cli('DEBUG', 'DIGEST')).toBe(await primary.cli('DEBUG', 'DIGEST')), {
      timeoutMs: 15_000,
    });
  const rebuilt = async (body: unknown): Promise<Operation> => {
    const answer = await manager.get(`${path}/${nameOf(replica)}/rebuild?wait=50s`, asks('POST', body));
    return operationSchema.parse(answer.body);
  };
  const stepsOf = ({ steps }: Operation): readonly string[] => steps.map(({ name, state }) => `${name} ${state}`);

  beforeAll(async () => {
    worker = await startStandIn();
    group = await startSentinelGroup({ replicas: 2, args: ['--appendonly', 'yes'] });
    [primary, replica] = group.nodes as [TestRedis, TestRedis, TestRedis];
    await primary.cli('EVAL', `for i = 1, 20000 do redis.call('SET', 'key:' .. i, i) end`, 0);
    manager = await startManager({
      SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
      SWITCHYARD_REPLICATION_BACKUP_URL: worker.url,
    });
    await eventually(async () => expect((await manager.group()).nodes.length).toBeGreaterThanOrEqual(3), {
      timeoutMs: 20_000,
    });
    await calm();
    backup = await backUp(group.nodes[2] as TestRedis);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([worker.stop(), group.stop()]);
  }, 20_000);

  it('lets the primary add only what was written since, and compares', async () => {
    worker.restores(async ({ host, port }) => {
      expect([host, port]).toEqual([replica.host, replica.port]);
      await serveBackup();
      await primary.cli('SET', 'written', 'since');
    });
    // It is ahead of the backup, and wrong.
    await primary.cli('SET', 'after', 'the backup');
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'no');
    await replica.cli('SET', 'key:7', 'tampered');
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'yes');
    const before = await primary.info('stats', 'sync_full');
    const operation = await rebuilt({ from: 'backup' });
    expect(operation).toMatchObject({
      kind: 'rebuild',
      state: 'succeeded',
      result: { verified: true, backup: { operation: 'restore-1', worker: worker.url, resync: 'partial' } },
    });
    expect(stepsOf(operation)).toEqual([
      'protect done',
      'restore from the backup done',
      'copy done',
      'compare done',
      'back in service done',
    ]);
    expect(worker.asked).toEqual([
      { group: 'main', to: { time: 'now' }, target: { node: nameOf(replica), as: 'replica', overwrite: true } },
    ]);
    expect(await primary.info('stats', 'sync_full')).toBe(before);
    expect(await replica.cli('GET', 'written')).toBe('since');
    expect(await replica.info('replication', 'slave_priority')).toBe('100');
    await same();
    await calm();
  }, 80_000);

  it('copies everything from the primary when its backlog does not reach back to the moment', async () => {
    worker.restores(async () => {
      await replica.cli('REPLICAOF', 'NO', 'ONE');
      await replica.cli('SET', 'only', 'here');
    });
    const operation = await rebuilt({ from: 'backup', to: { before: 'FLUSHALL' } });
    expect(operation).toMatchObject({ state: 'succeeded', result: { verified: true, backup: { resync: 'full' } } });
    expect(worker.asked.at(-1)).toMatchObject({ to: { before: 'FLUSHALL' } });
    await same();
    await calm();
  }, 80_000);

  it('passes on what the worker refuses; the node follows its primary again', async () => {
    worker.refuses(422, {
      type: 'urn:switchyard:error:not_restorable',
      title: 'x',
      status: 422,
      code: 'not_restorable',
      detail: 'no backup is there',
      why: ['the repository is empty'],
      next: 'take one',
    });
    const operation = await rebuilt({ from: 'backup' });
    expect(operation).toMatchObject({
      state: 'failed',
      problem: { code: 'not_restorable', detail: 'backup-worker: no backup is there', next: 'take one' },
    });
    expect(operation.problem?.why).toEqual(['the repository is empty', expect.stringContaining('follow')]);
    await calm();
    await same();
    await eventually(async () => expect(await replica.info('replication', 'slave_priority')).toBe('100'), {
      timeoutMs: 20_000,
    });
  }, 80_000);

  it('is cancelled at the worker, too', async () => {
    worker.restores(() => new Promise(() => undefined));
    const begun = operationSchema.parse(
      (await manager.get(`${path}/${nameOf(replica)}/rebuild`, asks('POST', { from: 'backup' }))).body,
    );
    await eventually(async () => {
      const { steps } = operationSchema.parse((await manager.get(`/v1/operations/${begun.id}`)).body);
      expect(steps.find(({ name }) => name.includes('backup'))?.detail).toContain('40 %');
    });
    await manager.get(`/v1/operations/${begun.id}`, { method: 'DELETE' });
    await eventually(async () => {
      expect(await manager.get(`/v1/operations/${begun.id}`)).toMatchObject({ body: { state: 'cancelled' } });
    });
    expect(worker.operation()?.state).toBe('cancelled');
    await calm();
  }, 60_000);
});
