// Somebody empties the yard's own Redis, which has the catalog in it, too. What is archived brings everything back to the command before,
// while the traffic goes on; and what is archived does not need Redis.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { askRedis, eventually, startRedis } from '@switchyard/testing';
import type { RespReply } from '@switchyard/testing';
import { ask } from '../src/api.ts';
import { steadyLoad } from '../src/load.ts';
import { itUnless, onCluster } from '../src/redis-kind.ts';
import { startYard } from '../src/yard.ts';
import type { Yard } from '../src/yard.ts';

interface Operation {
  readonly state: string;
  readonly percent: number;
  readonly result: Readonly<Record<string, unknown>> | null;
  readonly problem: unknown;
}
interface Window {
  readonly to: string | null;
  readonly continuous: boolean;
  readonly events: readonly { readonly command: string; readonly to: unknown }[];
  readonly timelines: readonly { readonly end: { readonly offset: number } }[];
}
interface Group {
  readonly state: string;
  readonly primary: { readonly port: number } | null;
  readonly nodes: readonly { readonly role: string; readonly state: string }[];
}

const KEYS = 2_000;
const noCluster = 'a Redis Cluster is not archived';

describe('somebody who has emptied Redis', () => {
  let yard: Yard;
  beforeAll(async () => {
    yard = await startYard();
  });
  afterAll(async () => {
    for (const name of ['r1', 'r2', 'r3']) if (yard) signalled(name, 'SIGCONT');
    await yard?.stop();
    await yard?.remove();
  });

  const signalled = (name: string, signal: NodeJS.Signals): void => {
    try {
      yard.signal(name, signal);
    } catch {
      // it is not there: a cluster has other nodes
    }
  };
  const get = async <T>(path: string): Promise<T> => (await ask<T>(yard.control + path)).body;
  const primaryPort = async (): Promise<number> => {
    const { primary } = await get<Group>('/v1/redis/groups/main');
    if (primary === null || primary === undefined) throw new Error('no primary');
    return primary.port;
  };
  const redis = async (...words: (string | number)[]): Promise<RespReply> =>
    askRedis({ host: '127.0.0.1', port: await primaryPort(), timeoutMs: 10_000 }, words);
  const instancesOf = async (service: string): Promise<string[]> =>
    (
      (await get<{ instances?: { id: string; liveness: string }[] }>(`/v1/services/${service}/instances`)).instances ??
      []
    )
      .filter(({ liveness }) => liveness !== 'dead')
      .map(({ id }) => id)
      .toSorted();
  const epoch = async (): Promise<number> =>
    Number((await ask(`${yard.control}/v1/services`)).headers.get('switchyard-epoch'));
  /** Begins long work at a service and follows it to its end. */
  const done = async (base: string, path: string, body: unknown): Promise<Operation> => {
    const accepted = await ask(base + path, { method: 'POST', body });
    expect(`${accepted.status} ${accepted.text}`).toMatch(/^202 /);
    const location = accepted.headers.get('location') ?? '';
    return eventually(
      async () => {
        const { body: operation } = await ask<Operation>(base + location);
        return ['succeeded', 'failed', 'cancelled'].includes(operation.state) ? operation : null;
      },
      { timeoutMs: 90_000, intervalMs: 100, what: `the end of ${path}` },
    );
  };
  const settled = (): Promise<unknown> =>
    eventually(
      async () => {
        const seen = await get<Group>('/v1/redis/groups/main');
        expect(seen.nodes.filter(({ role, state }) => role === 'replica' && state === 'ok')).toHaveLength(2);
        expect(seen.primary).not.toBeNull();
      },
      { timeoutMs: 60_000 },
    );
  /** On a starved machine the Sentinels may change their minds meanwhile: a rollback refuses that, and is asked for again. */
  const rolledBack = async (body: unknown): Promise<Operation> => {
    for (let attempt = 1; ; attempt += 1) {
      const before = await primaryPort();
      const operation = await done(yard.control, '/v1/rollbacks', body);
      await settled();
      if (operation.state === 'succeeded' || attempt === 3 || (await primaryPort()) === before) return operation;
    }
  };
  /** Everything that was written so far is archived, with a data set before it. */
  const archived = async (): Promise<number> => {
    const offset = Number(/^master_repl_offset:(\d+)/m.exec(String(await redis('INFO', 'replication')))?.[1]);
    await eventually(
      async () => {
        const { timelines, to } = await get<Window>('/v1/backups/window');
        expect(to).not.toBeNull();
        expect(timelines.at(-1)?.end.offset ?? 0).toBeGreaterThanOrEqual(offset);
      },
      { timeoutMs: 60_000, what: 'an archive that has everything' },
    );
    return offset;
  };

  itUnless(onCluster, noCluster)('finds the moment, gets everything back, and no request has failed', async () => {
    await settled();
    const registered = await ask(`${yard.control}/v1/services/ledger/instances/before`, {
      method: 'PUT',
      body: { url: 'http://127.0.0.1:9', ttl: '1h', check: { type: 'none' } },
    });
    expect(registered.status).toBeLessThan(300);
    await redis('EVAL', `for i = 1, ${KEYS} do redis.call('SET', 'shop:' .. i, 'item ' .. i) end`, 0);
    await redis('SADD', 'shop:basket', 'a', 'b', 'c');
    await redis('SET', 'shop:offer', 'cheap', 'PXAT', 4_102_444_800_000);
    await archived();
    const [demos, load] = [await instancesOf('demo-backend'), steadyLoad(`${yard.traffic}/`, 100)];
    expect(demos).toHaveLength(3);

    await redis('FLUSHALL');
    await redis('SET', 'shop:1', 'written since');
    const found = await eventually(
      async () => {
        const { events } = await get<Window>('/v1/backups/window');
        return events.find(({ command }) => command === 'FLUSHALL') ?? null;
      },
      { timeoutMs: 30_000, what: 'a window that names the FLUSHALL' },
    );
    expect(found.to).not.toBeNull();
    await eventually(async () => expect(await instancesOf('demo-backend')).toEqual(demos), { timeoutMs: 30_000 });
    const flushedEpoch = await epoch();

    const { state, result, problem } = await rolledBack({ to: { before: 'FLUSHALL' } });
    expect([state, problem]).toEqual(['succeeded', null]);

    expect(await redis('GET', 'shop:1')).toBe('item 1');
    expect(await redis('EVAL', "return #redis.call('KEYS', 'shop:*')", 0)).toBe(KEYS + 2);
    expect(await redis('SCARD', 'shop:basket')).toBe(3);
    expect(await redis('PEXPIRETIME', 'shop:offer')).toBe(4_102_444_800_000);
    expect(result).toMatchObject({
      diff: { removed: expect.any(Number) },
      safetyPoint: { label: expect.any(String) },
      undo: { command: expect.stringContaining('rollback'), request: { path: '/v1/rollbacks' } },
    });
    await eventually(async () => expect(await epoch()).toBeGreaterThan(flushedEpoch), { timeoutMs: 30_000 });
    await eventually(async () => expect(await instancesOf('demo-backend')).toEqual(demos), { timeoutMs: 30_000 });
    expect(await instancesOf('ledger')).toEqual(['before']);
    await settled();
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect(report.sent).toBeGreaterThan(100);
  });

  itUnless(onCluster, noCluster)('undoes only some keys, while all others go on', async () => {
    await settled();
    const offset = await archived();
    await redis('EVAL', "for i = 1, 100 do redis.call('DEL', 'shop:' .. i) end", 0);
    await redis('SET', 'other', 'goes on');
    const request = { to: { offset }, match: 'shop:*' };
    const { state, result, problem } = await rolledBack(request);
    expect([state, problem]).toEqual(['succeeded', null]);
    expect(result).toMatchObject({ diff: { added: 100, changed: 0, removed: 0 }, restored: 100 });
    expect(await redis('GET', 'shop:100')).toBe('item 100');
    expect(await redis('GET', 'other')).toBe('goes on');
  });

  itUnless(onCluster, noCluster)(
    'knows from a rehearsal how long that takes, without touching what lives',
    async () => {
      await archived();
      const historyOf = async (): Promise<string | undefined> =>
        /^master_replid:(\w+)/m.exec(String(await redis('INFO', 'replication')))?.[1];
      const before = await historyOf();
      const { state, result, problem } = await done(yard.control, '/v1/rehearsals', { to: { before: 'FLUSHALL' } });
      expect([state, problem]).toEqual(['succeeded', null]);
      expect(result).toMatchObject({ ok: true, rtoMs: expect.any(Number), keys: expect.any(Number) });
      const trend = await get<{ rtoMs: { last: number }; rehearsals: unknown[] }>('/v1/rehearsals');
      expect(trend.rtoMs.last).toBe(result?.['rtoMs']);
      expect(trend.rehearsals).toHaveLength(1);
      expect(await historyOf()).toBe(before);
    },
  );

  itUnless(onCluster, noCluster)(
    'restores into a directory that redis-server loads, with all of Redis down',
    async () => {
      await settled();
      await redis('SET', 'shop:last', 'word');
      await archived();
      const worker = `http://127.0.0.1:${yard.ports['backup-worker']}`;
      const directory = join(yard.home, 'restored');
      for (const name of ['r1', 'r2', 'r3']) yard.signal(name, 'SIGSTOP');
      try {
        expect((await ask(`${worker}/v1/backups`)).status).toBe(200);
        const { state, problem } = await done(worker, '/v1/restores', { target: { directory } });
        expect([state, problem]).toEqual(['succeeded', null]);
      } finally {
        for (const name of ['r1', 'r2', 'r3']) signalled(name, 'SIGCONT');
      }
      const restored = await startRedis({ dir: directory, args: ['--appendonly', 'yes'] });
      try {
        expect(await restored.cli('GET', 'shop:last')).toBe('word');
        expect(await restored.cli('GET', 'shop:2000')).toBe('item 2000');
      } finally {
        await restored.stop();
      }
    },
  );
});
