import { eventually, startSentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const acknowledge = (manager: TestManager, body: object): ReturnType<TestManager['get']> =>
  manager.get('/v1/redis/groups/main/acknowledge', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const flaps = async (manager: TestManager): Promise<boolean> =>
  (await manager.group()).problems.some(({ code }) => code === 'flapping');

it('says that a group flaps until somebody has looked; all managers and a restarted one know who has', async () => {
  const group = await startSentinelGroup({ downAfterMs: 1_000 });
  try {
    const env = { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses, SWITCHYARD_REPLICATION_FLAPPING_FAILOVERS: '1' };
    const [one, two] = await Promise.all([startManager(env), startManager(env)]);
    for (const manager of [one, two]) {
      await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 10_000 });
    }
    expect(await acknowledge(one, { reason: 'nothing' })).toMatchObject({ status: 409, body: { code: 'conflict' } });
    const first = group.nodes[0] as TestRedis;
    await first.kill();
    const second = await group.primaryOtherThan(first);
    expect(await flaps(one)).toBe(false);
    // With its last replica away nothing could take over.
    await first.restart();
    await eventually(async () => expect((await one.group()).state).toBe('ok'), { timeoutMs: 25_000 });
    await second.kill();
    await group.primaryOtherThan(second, 30_000);
    for (const manager of [one, two]) {
      await eventually(async () => expect(await flaps(manager)).toBe(true), { timeoutMs: 25_000 });
    }
    expect(await acknowledge(one, {})).toMatchObject({ status: 400 });
    const given = await acknowledge(one, { by: 'ann', reason: 'the switch was rebooted twice' });
    expect(given).toMatchObject({ status: 200, body: { by: 'ann', failovers: expect.any(Array) } });
    for (const manager of [one, two]) {
      await eventually(async () => expect(await flaps(manager)).toBe(false), { timeoutMs: 15_000 });
    }
    const listed = { body: { acknowledgements: [{ by: 'ann', reason: 'the switch was rebooted twice' }] } };
    expect(await two.get('/v1/redis/groups/main/acknowledge')).toMatchObject(listed);
    await one.stop();
    const again = await startManager(env, one.stateDir);
    expect(await again.get('/v1/redis/groups/main/acknowledge')).toMatchObject(listed);
    expect(await flaps(again)).toBe(false);
  } finally {
    await group.stop();
  }
}, 120_000);
