import { operationSchema } from '@switchyard/protocol';
import {
  eventually,
  freePort,
  startRedis,
  startSentinelGroup,
  type SentinelGroup,
  type TestRedis,
} from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const path = '/v1/redis/groups/main/nodes';
const asks = (method: string, body: unknown = {}): RequestInit => ({
  method,
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json' },
  signal: AbortSignal.timeout(58_000),
});
const nameOf = ({ host, port }: { readonly host: string; readonly port: number }): string => `${host}:${String(port)}`;
const listedBy = async (sentinel: TestRedis): Promise<readonly number[]> => {
  const replies = await sentinel.cli('SENTINEL', 'REPLICAS', 'main');
  const ports = Array.isArray(replies) ? replies.map((one) => (Array.isArray(one) ? Number(one[5]) : 0)) : [];
  return ports.sort((a, b) => a - b);
};
/** Something of the manager's own goes on all the time: some moment both have the same. */
const same = (a: TestRedis, b: TestRedis): Promise<unknown> =>
  eventually(
    async () => {
      const [one, two] = await Promise.all([a.cli('DEBUG', 'DIGEST'), b.cli('DEBUG', 'DIGEST')]);
      expect(one).toBe(two);
    },
    { timeoutMs: 15_000 },
  );

describe('a group whose replicas come and go', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let primary: TestRedis;
  let replica: TestRedis;
  let fresh: TestRedis;
  let below: TestRedis;
  const others: TestRedis[] = [];
  const stateOf = async (node: TestRedis): Promise<string | undefined> =>
    (await manager.group()).nodes.find(({ port }) => port === node.port)?.state;
  const calm = (): Promise<unknown> =>
    eventually(async () => expect(await manager.group()).toMatchObject({ state: 'ok' }), { timeoutMs: 30_000 });
  beforeAll(async () => {
    group = await startSentinelGroup({ replicas: 1 });
    [primary, replica] = group.nodes as [TestRedis, TestRedis];
    [fresh, below] = [await startRedis(), await startRedis()];
    others.push(fresh, below);
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
    await primary.cli('SET', 'a', '1');
    await calm();
  }, 60_000);
  afterAll(async () => {
    await Promise.all(others.map((node) => node.stop()));
    await group.stop();
  }, 20_000);

  it.each([
    [{}, 400, 'invalid_input'],
    [{ address: '127.0.0.1:0' }, 400, 'invalid_input'],
    [{ address: '127.0.0.1:70000' }, 400, 'invalid_input'],
    [{ address: 'http://127.0.0.1' }, 400, 'invalid_input'],
    [{ address: '127.0.0.1:1', nonsense: 1 }, 400, 'invalid_input'],
    [{ address: '127.0.0.1:1', of: 'nobody' }, 404, 'not_found'],
    [{ address: '127.0.0.1:1' }, 409, 'conflict'],
  ])('refuses %j: %i %s', async (body, status, code) => {
    expect(await manager.get(path, asks('POST', body))).toMatchObject({ status, body: { code } });
  });

  it('refuses who is a member, a Sentinel, of another group, or has data, and touches none of them', async () => {
    const foreign = await startSentinelGroup({ replicas: 1, sentinels: 1, group: 'other' });
    const full = await startRedis();
    others.push(full);
    try {
      const [theirs, follower] = foreign.nodes as [TestRedis, TestRedis];
      await full.cli('SET', 'mine', '1');
      const sentinel = group.sentinels[0] as TestRedis;
      for (const [node, of, code, why] of [
        [replica, undefined, 'conflict', 'already'],
        [primary, undefined, 'conflict', 'already'],
        [replica, nameOf(replica), 'conflict', 'already'],
        [sentinel, undefined, 'refused_for_safety', 'sentinel'],
        [theirs, undefined, 'refused_for_safety', 'primary of'],
        [follower, undefined, 'refused_for_safety', 'a replica of'],
        [full, undefined, 'refused_for_safety', '1 keys'],
      ] as const) {
        const body = { address: nameOf(node), ...(of === undefined ? {} : { of }) };
        const answer = await manager.get(path, asks('POST', body));
        expect(answer).toMatchObject({ status: 409, body: { code } });
        expect(JSON.stringify(answer.body)).toContain(why);
      }
      expect(await full.cli('GET', 'mine')).toBe('1');
      expect(await full.info('replication', 'role')).toBe('master');
      expect(await follower.info('replication', 'master_port')).toBe(String(theirs.port));
    } finally {
      await foreign.stop();
    }
  }, 60_000);

  it('gets a fresh one: copied, compared, seen by the Sentinels, fit to take over', async () => {
    const dry = await manager.get(path, asks('POST', { address: nameOf(fresh), dryRun: true }));
    expect(dry).toMatchObject({ status: 200, body: { ok: true, cascading: false, refusal: null } });
    expect(await fresh.info('replication', 'role')).toBe('master');
    const answer = await manager.get(`${path}?wait=55s`, asks('POST', { address: nameOf(fresh) }));
    const operation = operationSchema.parse(answer.body);
    expect(operation).toMatchObject({ state: 'succeeded', result: { verified: true, seenBySentinels: true } });
    for (const sentinel of group.sentinels) expect(await listedBy(sentinel)).toContain(fresh.port);
    await eventually(async () => {
      const node = (await manager.group()).nodes.find(({ port }) => port === fresh.port);
      expect(node).toMatchObject({ state: 'ok', eligible: true });
    });
    expect(await fresh.info('replication', 'slave_priority')).toBe('100');
    await same(fresh, primary);
  }, 80_000);

  it('gets a replica of a replica, which is never promoted and no problem', async () => {
    await below.cli('SET', 'old', '1');
    const body = { address: nameOf(below), of: nameOf(fresh), confirm: nameOf(below) };
    const answer = await manager.get(`${path}?wait=55s`, asks('POST', body));
    expect(answer.body).toMatchObject({ state: 'succeeded', result: { cascading: true, verified: true } });
    expect(await below.info('replication', 'master_port')).toBe(String(fresh.port));
    expect(await below.info('replication', 'slave_priority')).toBe('0');
    await calm();
    await same(below, primary);
    // Who would follow a node that follows it: a ring.
    expect(await manager.get(path, asks('POST', { address: nameOf(fresh), of: nameOf(below) }))).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    });
    expect(await manager.get(`${path}/${nameOf(fresh)}`, asks('DELETE'))).toMatchObject({
      status: 409,
      body: { code: 'conflict', detail: expect.stringContaining('would be cut off') },
    });
  }, 80_000);

  it('lets go of one: it takes no writes, no Sentinel remembers it, and it can come back', async () => {
    for (const node of [below, fresh]) {
      const answer = await manager.get(`${path}/${nameOf(node)}?wait=55s`, asks('DELETE'));
      expect(answer.body).toMatchObject({ kind: 'remove-replica', state: 'succeeded' });
      expect(await stateOf(node)).toBeUndefined();
    }
    for (const sentinel of group.sentinels) expect(await listedBy(sentinel)).toEqual([replica.port]);
    await expect(fresh.cli('SET', 'a', '2')).rejects.toThrow('READONLY');
    expect(await fresh.info('replication', 'master_port')).toBe('1');
    expect(await primary.cli('SET', 'a', '3')).toBe('OK');
    await calm();

    const back = await manager.get(
      `${path}?wait=55s`,
      asks('POST', { address: nameOf(fresh), confirm: nameOf(fresh) }),
    );
    expect(back.body).toMatchObject({ state: 'succeeded', result: { verified: true } });
    expect(await fresh.cli('GET', 'a')).toBe('3');
  }, 120_000);

  it('keeps its primary, and its last replica unless that is confirmed', async () => {
    expect(await manager.get(`${path}/${nameOf(primary)}`, asks('DELETE'))).toMatchObject({
      status: 409,
      body: { code: 'conflict', next: expect.stringContaining('switchover') },
    });
    expect(await manager.get(`${path}/nobody`, asks('DELETE'))).toMatchObject({ status: 404 });
    const gone = await manager.get(`${path}/${nameOf(replica)}?wait=55s`, asks('DELETE'));
    expect(gone.body).toMatchObject({ state: 'succeeded' });
    const last = await manager.get(`${path}/${nameOf(fresh)}`, asks('DELETE'));
    expect(last).toMatchObject({ status: 409, body: { code: 'refused_for_safety' } });
    const confirmed = await manager.get(
      `${path}/${nameOf(fresh)}`,
      asks('DELETE', { confirm: nameOf(fresh), dryRun: true }),
    );
    expect(confirmed).toMatchObject({ status: 200, body: { ok: true } });
  }, 80_000);
});

describe('a group with a password', () => {
  const secret = 'a long enough secret';
  it('gives a new replica what it needs to log in, and refuses one that is open', async () => {
    const [primary, closed, open] = [await startRedis(), await startRedis(), await startRedis()];
    await primary.cli('CONFIG', 'SET', 'requirepass', secret);
    await closed.cli('CONFIG', 'SET', 'requirepass', secret);
    try {
      const manager = await startManager({
        SWITCHYARD_REDIS_URL: `redis://:${encodeURIComponent(secret)}@${nameOf(primary)}`,
      });
      await eventually(async () => expect(await manager.group()).toMatchObject({ state: 'ok' }), { timeoutMs: 15_000 });
      const refused = await manager.get(path, asks('POST', { address: nameOf(open) }));
      expect(refused.status).toBe(409);
      const answer = await manager.get(`${path}?wait=55s`, asks('POST', { address: nameOf(closed) }));
      expect(answer.body).toMatchObject({ state: 'succeeded', result: { verified: true, seenBySentinels: null } });
      expect(JSON.stringify(answer.body)).not.toContain(secret);
    } finally {
      await Promise.all([primary, closed, open].map((node) => node.stop()));
    }
  }, 80_000);
});

describe('a server that does not get through to the primary', () => {
  it('is left as it was', async () => {
    const group = await startSentinelGroup({ replicas: 1, sentinels: 1 });
    const lost = await startRedis();
    try {
      const manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
      await eventually(async () => expect(await manager.group()).toMatchObject({ state: 'ok' }), { timeoutMs: 20_000 });
      // Whoever greets the primary as nobody that it knows is refused.
      await lost.cli('CONFIG', 'SET', 'masteruser', `nobody-${String(await freePort())}`);
      await lost.cli('CONFIG', 'SET', 'masterauth', 'wrong');
      const answer = await manager.get(`${path}?wait=55s`, asks('POST', { address: nameOf(lost) }));
      expect(answer.body).toMatchObject({ state: 'failed', problem: { code: 'timed_out' } });
      expect(await lost.info('replication', 'role')).toBe('master');
      expect(await lost.cli('CONFIG', 'GET', 'replica-priority')).toEqual(['replica-priority', '100']);
    } finally {
      await lost.stop();
      await group.stop();
    }
  }, 90_000);
});
