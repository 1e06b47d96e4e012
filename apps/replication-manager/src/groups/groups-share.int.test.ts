import { eventually, startRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const put = async (manager: TestManager, name: string, body: object): Promise<{ status: number; body: unknown }> =>
  manager.get(`/v1/redis/groups/${name}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(20_000),
  });

const statusOf = async (manager: TestManager, name: string): Promise<number> =>
  (await manager.get(`/v1/redis/groups/${name}/settings`)).status;

describe('two managers of one control plane', () => {
  it('look after the same groups; passwords stay where they were put', async () => {
    const [control, open, closed] = await Promise.all([startRedis(), startRedis(), startRedis()]);
    await closed.cli('CONFIG', 'SET', 'requirepass', 'sesame-open');
    try {
      const env = { SWITCHYARD_REDIS_URL: control.url };
      const [a, b] = await Promise.all([startManager(env), startManager(env)]);
      const openly = {
        kind: 'single',
        seeds: [`127.0.0.1:${String(open.port)}`],
        names: { only: `127.0.0.1:${String(open.port)}` },
      };
      const closedly = { kind: 'single', seeds: [`127.0.0.1:${String(closed.port)}`], password: 'sesame-open' };
      expect((await put(a, 'open', openly)).status).toBe(201);
      expect((await put(a, 'closed', closedly)).status).toBe(201);
      await eventually(
        async () => expect(await b.group('open')).toMatchObject({ state: 'ok', primary: { name: 'only' } }),
        { timeoutMs: 20_000 },
      );
      await eventually(
        async () => {
          const { body } = await b.get('/readyz?verbose');
          expect(JSON.stringify(body)).toContain('passwords missing here for closed');
        },
        { timeoutMs: 20_000 },
      );
      expect(await statusOf(b, 'closed')).toBe(404);
      expect(JSON.stringify(await control.cli('HGETALL', '{switchyard}:redis-groups'))).not.toContain('sesame');
      // With the password it is the same group here, under a later revision for both.
      expect(await put(b, 'closed', closedly)).toMatchObject({ status: 201, body: { revision: 2 } });
      await eventually(
        async () => expect(await a.get('/v1/redis/groups/closed/settings')).toMatchObject({ body: { revision: 2 } }),
        { timeoutMs: 20_000 },
      );
      await eventually(async () => expect(await a.group('closed')).toMatchObject({ state: 'ok' }), {
        timeoutMs: 20_000,
      });
      // What one removes, the other forgets; what one changes of the group of the settings holds for both.
      expect((await b.get('/v1/redis/groups/open', { method: 'DELETE' })).status).toBe(204);
      await put(b, 'main', { kind: 'single', seeds: [`127.0.0.1:${String(control.port)}`], manage: 'observe' });
      await eventually(async () => expect(await statusOf(a, 'open')).toBe(404), { timeoutMs: 20_000 });
      await eventually(async () => expect(await a.group()).toMatchObject({ manage: 'observe' }), { timeoutMs: 20_000 });
      // With the control plane's Redis away each goes on with what it knows.
      await control.kill();
      await eventually(async () => expect(await a.group('closed')).toMatchObject({ state: 'ok' }), {
        timeoutMs: 10_000,
      });
    } finally {
      await Promise.all([control, open, closed].map((redis) => redis.stop()));
    }
  }, 90_000);
});
