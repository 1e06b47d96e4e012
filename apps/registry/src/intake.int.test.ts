import { channels, keys } from '@switchyard/protocol';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

describe('registration without any library, by PUBLISH', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  beforeAll(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
    await eventually(async () => expect(await redis.cli('PUBSUB', 'NUMSUB', channels.register)).toContain(1));
  });
  afterAll(async () => {
    await registry.stop();
    await redis.stop();
  });
  const register = (message: unknown): Promise<unknown> =>
    redis.cli('PUBLISH', channels.register, typeof message === 'string' ? message : JSON.stringify(message));
  const beat = (message: unknown): Promise<unknown> =>
    redis.cli('PUBLISH', channels.heartbeat, typeof message === 'string' ? message : JSON.stringify(message));
  const seen = async (id: string): Promise<unknown> => {
    const { status, body } = await registry.api.get(`/v1/services/shop/instances/${id}`);
    return status === 200 && body;
  };
  const deadline = async (id: string): Promise<number> =>
    Number(await redis.cli('ZSCORE', keys.deadlines, `shop/${id}`));

  it('takes what the contract shows, and keeps it alive by heartbeats', async () => {
    await register({ service: 'shop', id: 'a', url: 'http://10.0.0.5:3000', ttl: '10s' });
    expect(await eventually(() => seen('a'))).toMatchObject({ url: 'http://10.0.0.5:3000', ttl: '10s', weight: 1 });
    const first = await deadline('a');

    await eventually(async () => {
      await beat({ service: 'shop', id: 'a' });
      return (await deadline('a')) > first;
    });
  });

  it('takes a description changed, and the same one again as a sign of life', async () => {
    const message = { service: 'shop', id: 'b', url: 'http://10.0.0.5:3000' };
    await register(message);
    const { revision } = (await eventually(() => seen('b'))) as { revision: number };
    await register(message);
    await register({ ...message, weight: 5 });

    await eventually(async () => expect(await seen('b')).toMatchObject({ weight: 5, revision: revision + 1 }));
  });

  it('survives garbage of every kind, says what was wrong with it, and takes what comes after', async () => {
    const garbage = [
      '',
      'hello',
      '{',
      'null',
      '[]',
      '7',
      '{}',
      '{"service":"shop"}',
      '{"service":"Shop!","id":"x","url":"http://a:1"}',
      '{"service":"shop","id":"x","url":"ftp://a"}',
      '{"service":"shop","id":"x","url":"http://a:1","colour":"red"}',
      '{"service":"shop","id":"__proto__","url":"http://a:1"}',
      '[['.repeat(10_000),
      '\u0000\u0001\ud83d',
      'x'.repeat(70_000),
    ];
    const before = registry.logged.length;

    for (const text of garbage) {
      await register(text);
      await beat(text);
    }
    await beat({ service: 'shop', id: 'ghost' });
    await register({ service: 'shop', id: 'after', url: 'http://10.0.0.5:3000' });

    await eventually(() => seen('after'));
    const { body } = await registry.api.get('/v1/services/shop/instances');
    expect(body.instances.map(({ id }: { id: string }) => id)).not.toContain('x');
    const said = registry.logged.slice(before).filter((event) => event.startsWith('intake.'));
    expect(said.filter((event) => event === 'intake.refused')).toHaveLength(2 * (garbage.length - 1) + 1);
    expect(said.filter((event) => event === 'intake.dropped')).toHaveLength(2);
  });

  it('does not fill the log for somebody who repeats his nonsense', async () => {
    const before = registry.logged.length;
    for (let n = 0; n < 300; n += 1) await register('nonsense');
    await register({ service: 'shop', id: 'patient', url: 'http://10.0.0.5:3000' });

    await eventually(() => seen('patient'));
    const lines = registry.logged.slice(before).filter((event) => event.startsWith('intake.'));
    expect(lines.length).toBeGreaterThan(10);
    // a hundred for each ten seconds, of which two may have been touched
    expect(lines.length).toBeLessThanOrEqual(200);
  });

  it('works through two registries at once: one revision for one registration', async () => {
    const other = await startRegistry(redis.port);
    try {
      await eventually(async () => expect(await redis.cli('PUBSUB', 'NUMSUB', channels.register)).toContain(2));
      const before = Number((await registry.api.get('/v1/services')).headers['switchyard-revision']);
      for (let n = 0; n < 10; n += 1) {
        await register({ service: 'twice', id: `i${n}`, url: 'http://10.0.0.5:3000' });
      }

      await eventually(async () => {
        const { headers, body } = await registry.api.get('/v1/services/twice');
        expect(body.instances.total).toBe(10);
        expect(Number(headers['switchyard-revision'])).toBe(before + 10);
      });
    } finally {
      await other.stop();
    }
  });

  it('goes on after Redis was killed and came back', async () => {
    await redis.restart();

    await eventually(
      async () => {
        await register({ service: 'shop', id: 'again', url: 'http://10.0.0.5:3000' });
        return seen('again');
      },
      { timeoutMs: 8_000 },
    );
  });
});
