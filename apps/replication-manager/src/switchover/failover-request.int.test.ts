// What can a person do when Sentinel does not? With confirmation, and told what may be lost; never while the primary is well.
import { eventually, startSentinelGroup, type SentinelGroup } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';
import { envOf, isOk, post, primaries } from './switchover-group-fixture.ts';

const path = '/v1/redis/groups/main/failover';

describe('a failover on request', () => {
  let group: SentinelGroup;
  let manager: TestManager;

  beforeAll(async () => {
    group = await startSentinelGroup({ downAfterMs: 3_000 });
    manager = await startManager(envOf(group));
    await isOk(manager);
  }, 60_000);
  afterAll(async () => {
    await cleanUp();
    await group.stop();
  }, 30_000);

  it('is refused while the primary is well, and without the name of the group', async () => {
    const plain = await manager.get(path, post({}));
    expect(plain).toMatchObject({ status: 409, body: { code: 'refused_for_safety' } });
    expect(JSON.stringify(plain.body)).toContain('switch over instead');
    const forced = await manager.get(path, post({ force: true, confirm: 'other' }));
    expect(forced).toMatchObject({ status: 409, body: { next: expect.stringContaining('"confirm": "main"') } });
    expect(await primaries(group)).toEqual([group.nodes[0]?.port]);
  });

  it('goes through a Sentinel when it is forced, and fences the old primary', async () => {
    expect(await manager.get(path, post({ force: true, confirm: 'main', dryRun: true }))).toMatchObject({
      status: 200,
      body: { dryRun: true, way: 'sentinel', from: 'r1' },
    });
    const answer = await manager.get(`${path}?wait=40s`, post({ force: true, confirm: 'main' }));
    expect(answer).toMatchObject({
      status: 200,
      body: { state: 'succeeded', result: { way: 'sentinel', from: { name: 'r1' }, fenced: true, named: true } },
    });
    expect(await primaries(group)).toHaveLength(1);
    expect(await primaries(group)).not.toEqual([group.nodes[0]?.port]);
    await isOk(manager);
  }, 90_000);

  it('promotes by hand of the manager when the primary and all Sentinels are gone', async () => {
    const old = await group.primary();
    await Promise.all(group.sentinels.map(async (sentinel) => sentinel.kill()));
    await old.kill();
    await eventually(
      async () =>
        expect(await manager.get(path, post({}))).toMatchObject({
          status: 409,
          body: { detail: expect.stringContaining('no Sentinel can act') },
        }),
      { timeoutMs: 20_000 },
    );
    const answer = await manager.get(`${path}?wait=40s`, post({ confirm: 'main' }));
    expect(answer).toMatchObject({
      status: 200,
      body: { state: 'succeeded', result: { way: 'assisted', named: false } },
    });
    const { result } = answer.body as { result: { to: { port: number }; next: string } };
    expect(result.next).toContain('SENTINEL MONITOR main');
    const heir = group.nodes.find(({ port }) => port === result.to.port);
    expect(await heir?.cli('SET', 'after', '1')).toBe('OK');
    const other = group.nodes.find((node) => node !== heir && node !== old);
    await eventually(async () => expect(await other?.cli('GET', 'after')).toBe('1'), { timeoutMs: 15_000 });
  }, 90_000);
});
