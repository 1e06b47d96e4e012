import type { RedisFailover } from '@switchyard/protocol';
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { createRedis, type RedisConnections } from './connection.ts';
import { createRedisHistory } from './redis-history.ts';

const entryOf = (epoch: number): RedisFailover => ({
  id: `main-${String(epoch)}`,
  group: 'main',
  kind: 'failover',
  startedAtMs: 1_000 * epoch,
  from: null,
  to: { name: 'r2', host: '127.0.0.1', port: 4732 },
  epoch,
  phases: [{ name: 'switched', atMs: 10 }],
  cause: 'a test',
  evidence: [],
  writesUnavailableMs: null,
  dataLoss: { verdict: 'unknown', detail: 'a test' },
});

describe('the shared history of a group', () => {
  let server: TestRedis;
  let connections: RedisConnections;
  beforeAll(async () => {
    server = await startRedis();
    connections = createRedis(
      { kind: 'single', endpoint: { host: server.host, port: server.port }, group: 'main' },
      { logger: createLogger('test', { level: 'silent' }), name: 'test' },
    );
  });
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });

  it('keeps the latest entries, leaves out what it cannot read, and gives an announcement to one claimant', async () => {
    const redis = connections.connect('commands');
    await eventually(() => redis.ping());
    const a = createRedisHistory({ redis, group: 'main', holder: 'a' });
    const b = createRedisHistory({ redis, group: 'main', holder: 'b' });
    for (let epoch = 1; epoch <= 205; epoch += 1) await a.add(entryOf(epoch));
    const [list] = (await server.cli('KEYS', '*redis-history*')) as string[];
    await server.cli('LPUSH', String(list), 'no JSON');
    const listed = await b.list();
    expect(listed).toHaveLength(199);
    expect(listed.map(({ epoch }) => epoch)).toContain(205);
    expect(listed.map(({ epoch }) => epoch)).not.toContain(5);

    expect(await a.claim('main-1', 200)).toBe(true);
    expect(await b.claim('main-1', 200)).toBe(false);
    expect(await a.claim('main-1', 200)).toBe(true);
    await eventually(async () => expect(await b.claim('main-1', 200)).toBe(true));
  });
});
