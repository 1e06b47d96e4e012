import * as fc from 'fast-check';
import { emptySnapshot } from '@switchyard/catalog';
import { keys } from '@switchyard/protocol';
import type { LeaseInput } from '@switchyard/protocol';
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createCatalogStore, createLeases, createRedis } from './index.ts';
import type { Leases } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const input = (holder: string, more: Partial<LeaseInput> = {}): LeaseInput => ({ holder, ttl: '10s', ...more });

let server: TestRedis;
let connections: ReturnType<typeof createRedis>;
let redis: ReturnType<typeof connections.connect>;
let leases: Leases;
let store: ReturnType<typeof createCatalogStore>;
/** Somebody goes on with the catalog, as a keeper does. */
const claim = async (seen = { epoch: 0, revision: 0 }): Promise<void> => {
  await store.raiseEpoch(seen, { reason: 'test', snapshot: emptySnapshot });
};
const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
const acquired = async (name: string, holder: string): Promise<number> => {
  const outcome = await leases.acquire(name, input(holder));
  if (!outcome.ok) throw new Error(outcome.error.detail);
  return outcome.value.lease.fencingToken;
};

beforeAll(async () => {
  server = await startRedis();
  connections = createRedis(
    { kind: 'single', endpoint: { host: server.host, port: server.port }, group: 'main' },
    { logger, name: 'test' },
  );
  redis = connections.connect('commands');
  leases = createLeases(redis);
  store = createCatalogStore(redis, 'test');
  await eventually(() => redis.ping());
});
afterAll(async () => {
  await connections.stop();
  await server.stop();
});
beforeEach(async () => {
  await redis.flushall();
  await claim();
});

describe('a lease', () => {
  it('has one holder, who renews it and keeps the token', async () => {
    const first = await leases.acquire('job', input('a', { meta: { pid: '7' } }));
    expect(first).toMatchObject({ ok: true, value: { created: true, lease: { holder: 'a', ttlMs: 10_000 } } });
    const token = first.ok ? first.value.lease.fencingToken : 0;
    expect(await leases.acquire('job', input('b'))).toMatchObject({
      ok: false,
      error: {
        code: 'lease_held',
        detail: expect.stringMatching(/^a holds the lease job for another \d+ ms$/) as unknown,
      },
    });
    const again = await leases.acquire('job', input('a', { ttl: '20s', fencingToken: token }));
    expect(again).toMatchObject({ ok: true, value: { created: false, lease: { fencingToken: token, ttlMs: 20_000 } } });
    expect(await leases.check('job', token)).toMatchObject({ ok: true, value: { holder: 'a' } });
    expect(await leases.check('job', token - 1)).toMatchObject({ ok: false, error: { code: 'stale_token' } });
    expect(await leases.read('job')).toMatchObject({ ok: true, value: { holder: 'a', valid: true } });
    expect(await leases.list()).toMatchObject({ ok: true, value: [{ name: 'job' }] });
  });

  it('ends when its time is over: the next holder has a higher token, and the old one is refused', async () => {
    const first = await leases.acquire('job', input('a', { ttl: '500ms' }));
    const old = first.ok ? first.value.lease.fencingToken : 0;
    await pause(600);
    expect(await leases.list()).toEqual({ ok: true, value: [] });
    expect(await leases.acquire('job', input('a', { fencingToken: old }))).toMatchObject({
      error: { code: 'stale_token' },
    });
    const next = await acquired('job', 'b');
    expect(next).toBeGreaterThan(old);
    expect(await leases.check('job', old)).toMatchObject({ error: { code: 'stale_token' } });
    expect(await leases.release('job', { holder: 'a' })).toMatchObject({ error: { code: 'lease_held' } });
  });

  it('is given back by its holder only, and only under the present token', async () => {
    const token = await acquired('job', 'a');
    expect(await leases.release('job', { holder: 'b' })).toMatchObject({ error: { code: 'lease_held' } });
    expect(await leases.release('job', { holder: 'a', fencingToken: token - 1 })).toMatchObject({
      error: { code: 'stale_token' },
    });
    expect(await leases.release('job', { holder: 'a', fencingToken: token })).toEqual({ ok: true, value: null });
    expect(await leases.release('job', { holder: 'a', fencingToken: token })).toEqual({ ok: true, value: null });
    expect(await leases.read('job')).toMatchObject({ error: { code: 'not_found' } });
  });

  it('does not outlast its time when the clock of Redis steps back', async () => {
    await acquired('job', 'a');
    await redis.zadd(keys.leaseExpiries, Date.now() + 3_600_000, 'job');
    expect(await leases.list()).toMatchObject({ value: [{ expiresInMs: 10_000 }] });
    const refused = await leases.acquire('job', input('b'));
    expect(refused).toMatchObject({ error: { detail: 'a holds the lease job for another 10000 ms' } });
    expect(Number(await redis.zscore(keys.leaseExpiries, 'job'))).toBeLessThanOrEqual(Date.now() + 10_000);
  });

  it('takes the room of those that have run out, and is refused when there is none', async () => {
    const many = redis.pipeline();
    for (let each = 0; each < 10_000; each += 1) {
      many.hset(keys.leaseDocuments, `l${each}`, `1|1|1|{"holder":"a","ttlMs":1000,"meta":{}}`);
      many.zadd(keys.leaseExpiries, Date.now() + 3_600_000, `l${each}`);
    }
    await many.exec();
    expect(await leases.acquire('job', input('a'))).toMatchObject({ error: { code: 'overloaded' } });
    await redis.zadd(keys.leaseExpiries, 1, 'l5', 1, 'l6');
    expect(await leases.acquire('job', input('a'))).toMatchObject({ ok: true });
    expect(await redis.hlen(keys.leaseDocuments)).toBe(9_999);
  });

  it('is not given out by a Redis that may have forgotten some; its holder comes first afterwards, with a new token', async () => {
    const old = await acquired('job', 'a');
    await redis.hset(keys.catalogMeta, 'runId', 'another');
    expect(await leases.check('job', old)).toMatchObject({ error: { code: 'not_ready' } });
    await claim();
    expect(await leases.check('job', old)).toMatchObject({ error: { code: 'stale_token' } });
    expect(await leases.read('job')).toMatchObject({ value: { holder: 'a', valid: false } });
    expect(await leases.acquire('job', input('b'))).toMatchObject({ error: { code: 'lease_held' } });
    expect(await leases.acquire('job', input('a', { fencingToken: old }))).toMatchObject({
      error: { code: 'stale_token' },
    });
    expect(await acquired('job', 'a')).toBeGreaterThan(old);
  });
});

/** A catalog lives longer than the tokens that an epoch skips, which are 131 ms. */
const settled = async (given: Record<string, { token: number }[]>): Promise<void> => {
  const highest = Math.max(0, ...Object.values(given).flatMap((all) => all.map(({ token }) => token)));
  await pause(Math.max(0, highest / 1_000 - Date.now() + 2));
};
const steps = fc.array(
  fc.record({
    what: fc.constantFrom(
      ...(['acquire', 'acquire', 'acquire', 'acquire', 'renew', 'renew', 'release', 'expire', 'expire'] as const),
      ...(['step back', 'save', 'lose', 'wipe'] as const),
    ),
    name: fc.constantFrom('x', 'y'),
    holder: fc.constantFrom('a', 'b', 'c'),
  }),
  { minLength: 10, maxLength: 60, size: 'max' },
);

it('never has two valid tokens of a lease, and each new one is the highest, whatever Redis forgets', async () => {
  const kept = [keys.leaseDocuments, keys.leaseExpiries];
  await fc.assert(
    fc.asyncProperty(steps, async (schedule) => {
      await redis.flushall();
      await claim();
      /** every token ever given out, by lease, in order */
      const given: Record<string, { holder: string; token: number }[]> = { x: [], y: [] };
      let saved: { dumps: (Buffer | null)[]; fence: string | null } = { dumps: [null, null], fence: null };
      for (const { what, name, holder } of schedule) {
        const own = given[name] ?? [];
        const mine = own.findLast((each) => each.holder === holder)?.token;
        if (what === 'acquire' || (what === 'renew' && mine !== undefined)) {
          const fencingToken = what === 'renew' ? mine : undefined;
          const outcome = await leases.acquire(name, input(holder, fencingToken === undefined ? {} : { fencingToken }));
          if (outcome.ok) {
            const { lease, created } = outcome.value;
            const highest = Math.max(0, ...own.map(({ token }) => token));
            if (created) {
              expect(lease.fencingToken).toBeGreaterThan(highest);
              own.push({ holder, token: lease.fencingToken });
            } else expect(own.at(-1)).toEqual({ holder, token: lease.fencingToken });
          }
        } else if (what === 'release') {
          await leases.release(name, { holder, ...(mine === undefined ? {} : { fencingToken: mine }) });
        } else if (what === 'expire') await redis.zadd(keys.leaseExpiries, 'XX', 1, name);
        else if (what === 'step back') await redis.zadd(keys.leaseExpiries, 'XX', Date.now() + 3_600_000, name);
        else if (what === 'save') {
          const dumps = await Promise.all(kept.map((key) => redis.dumpBuffer(key)));
          saved = { dumps, fence: await redis.hget(keys.catalogMeta, 'fence') };
        } else if (what === 'lose') {
          // a replica that had not heard everything is promoted, or an old copy is restored
          await settled(given);
          for (const [at, key] of kept.entries()) {
            const dump = saved.dumps[at];
            await (dump ? redis.restore(key, 0, dump, 'REPLACE') : redis.del(key));
          }
          if (saved.fence !== null) await redis.hset(keys.catalogMeta, 'fence', saved.fence);
          await redis.hset(keys.catalogMeta, 'runId', 'another');
          await claim();
        } else if (what === 'wipe') {
          await settled(given);
          await redis.flushall();
          await claim();
        }
        for (const [each, tokens] of Object.entries(given)) {
          const verdicts = await Promise.all(tokens.map(({ token }) => leases.check(each, token)));
          const valid = tokens.filter((_, at) => verdicts[at]?.ok);
          expect(valid.length).toBeLessThanOrEqual(1);
          if (valid[0]) expect(valid[0]).toEqual(tokens.at(-1));
        }
      }
    }),
    { numRuns: 50, interruptAfterTimeLimit: 20_000 },
  );
}, 60_000);
