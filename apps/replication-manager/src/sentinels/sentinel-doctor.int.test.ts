import { rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { eventually, startRedis, startSentinel, startSentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

const stops: (() => Promise<void> | void)[] = [];
const own = <T extends { stop(): Promise<void> }>(one: T): T => {
  stops.push(() => one.stop());
  return one;
};

afterEach(async () => {
  await cleanUp();
  await Promise.all(stops.splice(0).map(async (stop) => stop()));
}, 30_000);

const observed = (sentinelAddresses: string): Record<string, string> => ({
  SWITCHYARD_REDIS_SENTINELS: sentinelAddresses,
  SWITCHYARD_REPLICATION_MANAGE: 'observe',
});

const codes = async (manager: TestManager, name = 'main'): Promise<readonly string[]> =>
  (await manager.group(name)).problems.map(({ code }) => code);

const finds = async (manager: TestManager, wanted: readonly string[], name = 'main'): Promise<void> => {
  await eventually(async () => expect(await codes(manager, name)).toEqual(expect.arrayContaining([...wanted])), {
    timeoutMs: 60_000,
    intervalMs: 250,
  });
};

const node = (list: readonly TestRedis[], at: number): TestRedis => {
  const one = list[at];
  if (one === undefined) throw new Error(`there is no ${String(at)}`);
  return one;
};

/** A reader of the replication stream that announces no port, as `redis-cli --rdb` is. */
const ghostOf = async (primary: TestRedis): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(primary.port, primary.host, () => socket.write('SYNC\r\n'));
    socket.on('error', reject).on('data', () => resolve(socket));
  });

describe('Sentinels with seeded faults', () => {
  it('are found out, each with what helps, and nothing of an observed group is changed', async () => {
    const group = own(await startSentinelGroup({ replicas: 2, downAfterMs: 1_000 }));
    const [s1, s2, s3] = [0, 1, 2].map((at) => node(group.sentinels, at));
    const primary = node(group.nodes, 0);
    const manager = await startManager(observed(group.sentinelAddresses));
    await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 15_000 });
    await finds(manager, ['single_host']);

    await s2?.cli('SENTINEL', 'SET', 'main', 'quorum', 3);
    await s1?.cli('SENTINEL', 'SET', 'main', 'down-after-milliseconds', 450);
    await s3?.cli('SENTINEL', 'SET', 'main', 'failover-timeout', 180_000);
    for (const sentinel of group.sentinels) await sentinel.cli('SENTINEL', 'DEBUG', 'INFO-PERIOD', 500);
    for (const replica of group.nodes.slice(1)) await replica.cli('CONFIG', 'SET', 'replica-priority', 0);
    const ghost = await ghostOf(primary);
    stops.push(() => void ghost.destroy());
    // A replica and a Sentinel that join and then are gone for good.
    const brief = own(await startRedis({ replicaOf: primary }));
    const fourth = own(await startSentinel([`sentinel monitor main 127.0.0.1 ${String(primary.port)} 2`]));
    await finds(manager, ['even_sentinels']);
    await eventually(async () => expect((await manager.group()).nodes).toHaveLength(4), { timeoutMs: 20_000 });
    await Promise.all([brief.kill(), fourth.kill()]);

    await finds(manager, [
      'sentinel_settings_differ',
      'down_after_too_short',
      'long_failover_timeout',
      'priority_zero_everywhere',
      'ghost_replica',
      'stale_replica',
      'stale_sentinel',
      'sentinel_unreachable',
    ]);
    const { problems } = await manager.group();
    const differing = problems.filter(({ code }) => code === 'sentinel_settings_differ').map(({ detail }) => detail);
    for (const setting of ['quorum', 'down-after-milliseconds', 'failover-timeout']) {
      expect(differing.some((detail) => detail.includes(setting))).toBe(true);
    }
    await s3?.cli('SENTINEL', 'REMOVE', 'main');
    await finds(manager, ['sentinel_unaware']);
    expect(await s3?.cli('SENTINEL', 'MASTERS')).toEqual([]);
  }, 120_000);

  it('that fail at a failover say until when they wait', async () => {
    const group = own(await startSentinelGroup({ replicas: 1, downAfterMs: 1_000 }));
    await node(group.nodes, 1).cli('CONFIG', 'SET', 'replica-priority', 0);
    for (const sentinel of group.sentinels) await sentinel.cli('SENTINEL', 'DEBUG', 'INFO-PERIOD', 200);
    const manager = await startManager(observed(group.sentinelAddresses));
    await eventually(async () => expect(await codes(manager)).toContain('priority_zero_everywhere'), {
      timeoutMs: 20_000,
    });
    await node(group.nodes, 0).kill();
    await finds(manager, ['failover_blocked']);
    const blocked = (await manager.group()).problems.find(({ code }) => code === 'failover_blocked');
    expect(blocked?.detail).toMatch(
      /failed \(failover-abort-no-good-replica\): it tries again no sooner than in \d+ s/,
    );
  }, 90_000);
});

describe('Sentinels that tilt', () => {
  it('are not counted: the quorum is lost, whatever CKQUORUM says, and the view names the assisted way', async () => {
    const group = own(await startSentinelGroup({ replicas: 1, downAfterMs: 1_000 }));
    const manager = await startManager(observed(group.sentinelAddresses));
    await eventually(async () => expect((await manager.group()).quorum.agreeing).toBe(3), { timeoutMs: 15_000 });
    const frozen = group.sentinels.slice(0, 2);
    for (const sentinel of frozen) sentinel.freeze();
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    for (const sentinel of frozen) sentinel.resume();
    const tilted = async (): Promise<boolean> =>
      (await Promise.all(frozen.map((sentinel) => sentinel.info('sentinel', 'sentinel_tilt')))).every(
        (tilt) => tilt === '1',
      );
    await eventually(async () => expect(await tilted()).toBe(true), { timeoutMs: 10_000, intervalMs: 20 });
    await finds(manager, ['sentinel_tilted', 'quorum_lost', 'ckquorum_misleads']);
    // Both are tilted for 30 s: had it been noticed much later, they would agree again.
    expect(await tilted()).toBe(true);
    expect(String(await node(group.sentinels, 2).cli('SENTINEL', 'CKQUORUM', 'main'))).toContain('OK 3 usable');
    const view = await manager.group();
    expect(view.quorum).toMatchObject({ sentinels: 3, reachable: 3, agreeing: 1, needed: 2, ok: false });
    expect(view.problems.find(({ code }) => code === 'quorum_lost')?.next).toContain(
      'POST /v1/redis/groups/{group}/failover',
    );
    await eventually(async () => expect((await manager.group()).quorum.ok).toBe(true), { timeoutMs: 60_000 });
  }, 120_000);
});

describe('Sentinels of a managed group', () => {
  const at = ({ host, port }: TestRedis): string => `${host}:${String(port)}`;

  it('are told again what they forgot, and settings that were asked for are put right', async () => {
    const password = 'sesame-open';
    const primary = own(await startRedis());
    const replica = own(await startRedis({ replicaOf: primary }));
    for (const one of [primary, replica]) {
      await one.cli('CONFIG', 'SET', 'masterauth', password);
      await one.cli('CONFIG', 'SET', 'requirepass', password);
    }
    const sentinels = await Promise.all([0, 1, 2].map(async () => own(await startSentinel([]))));
    const manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: '127.0.0.1:1' });
    const document = {
      seeds: [at(replica), at(primary)],
      sentinels: sentinels.map(at),
      manage: 'manage',
      password,
      downAfter: '2s',
    };
    const made = await manager.get('/v1/redis/groups/shop', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(document),
      signal: AbortSignal.timeout(30_000),
    });
    expect(made).toMatchObject({ status: 201, body: { provisioning: { ok: true } } });
    await eventually(async () => expect((await manager.group('shop')).quorum.ok).toBe(true), { timeoutMs: 15_000 });
    const [s1, s2, s3] = [0, 1, 2].map((index) => node(sentinels, index));
    const setting = async (sentinel: TestRedis | undefined, name: string): Promise<unknown> => {
      const facts = await sentinel?.cli('SENTINEL', 'MASTER', 'shop').catch(() => null);
      const words = Array.isArray(facts) ? facts.map(String) : [];
      return words[words.indexOf(name) + 1];
    };
    // One forgets everything, one is told something else by hand.
    await s1?.cli('SENTINEL', 'REMOVE', 'shop');
    await s2?.cli('SENTINEL', 'SET', 'shop', 'down-after-milliseconds', 9_000);
    await eventually(async () => expect(await setting(s1, 'port')).toBe(String(primary.port)), { timeoutMs: 30_000 });
    await eventually(async () => expect(await setting(s2, 'down-after-milliseconds')).toBe('2000'), {
      timeoutMs: 30_000,
    });
    await eventually(async () => expect((await manager.group('shop')).quorum.agreeing).toBe(3), { timeoutMs: 30_000 });
    // All forget: the nodes say who is primary.
    for (const sentinel of sentinels) await sentinel.cli('SENTINEL', 'REMOVE', 'shop');
    for (const one of [s1, s2, s3]) {
      await eventually(async () => expect(await setting(one, 'down-after-milliseconds')).toBe('2000'), {
        timeoutMs: 60_000,
      });
    }
    await eventually(async () => expect((await manager.group('shop')).quorum.agreeing).toBe(3), { timeoutMs: 60_000 });

    // A wrong password makes one of them blind; another one loses its disk.
    await s3?.cli('SENTINEL', 'SET', 'shop', 'auth-pass', 'wrong');
    await finds(manager, ['sentinel_sees_primary_down'], 'shop');
    await rm(s2?.dir ?? '', { recursive: true, force: true });
    const policy = { ...document, policy: 'consistency' };
    await manager.get('/v1/redis/groups/shop', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(policy),
      signal: AbortSignal.timeout(30_000),
    });
    await finds(manager, ['sentinel_config_unwritable'], 'shop');
    expect(JSON.stringify([await manager.group('shop'), manager.process.output()])).not.toContain(password);
  }, 180_000);
});
