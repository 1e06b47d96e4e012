import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@switchyard/testing';
import { ask } from '../src/api.ts';
import { steadyLoad } from '../src/load.ts';
import { itUnless, nodeCount, onCluster } from '../src/redis-kind.ts';
import { startYard } from '../src/yard.ts';
import type { Yard } from '../src/yard.ts';

interface Group {
  readonly state: string;
  readonly primary: { readonly name: string; readonly port: number } | null;
  readonly nodes: readonly { readonly port: number; readonly role: string; readonly state: string }[];
  readonly shards?: readonly {
    readonly state: string;
    readonly slots: readonly { readonly from: number; readonly to: number }[];
  }[];
}
interface History {
  readonly history: readonly {
    readonly epoch: number;
    readonly shard?: string;
    readonly to: { readonly port: number };
  }[];
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('the Redis under the yard', () => {
  let yard: Yard;
  beforeAll(async () => {
    yard = await startYard();
  });
  afterAll(async () => {
    await yard?.stop();
    await yard?.remove();
  });

  const group = async (): Promise<Group> => (await ask<Group>(`${yard.control}/v1/redis/groups/main`)).body;
  const register = (id: string) =>
    ask(`${yard.control}/v1/services/ledger/instances/${id}`, {
      method: 'PUT',
      body: { url: 'http://127.0.0.1:9', ttl: '1h', check: { type: 'none' } },
    });
  const nodeAt = (port: number): string => {
    const name = Object.keys(yard.ports).find((each) => yard.ports[each] === port);
    if (name === undefined) throw new Error(`no process of the yard has port ${port}`);
    return name;
  };
  const settled = () =>
    eventually(
      async () => {
        const seen = await group();
        expect(seen.state).toBe('ok');
        const replicas = seen.nodes.filter(({ role, state }) => role === 'replica' && state === 'ok');
        expect(replicas).toHaveLength(onCluster ? 3 : 2);
        if (onCluster) expect(seen.shards?.map(({ state }) => state)).toEqual(['ok', 'ok', 'ok']);
      },
      { timeoutMs: 40_000 },
    );
  /** Of a cluster: only the shard of Switchyard's own keys. */
  const history = async (): Promise<History['history']> => {
    const { body } = await ask<History>(`${yard.control}/v1/redis/groups/main/history`);
    return body.history.filter(({ shard }) => shard === undefined || ownsOurKeys(shard));
  };
  const ownsOurKeys = (shard: string): boolean => {
    const [from, to] = shard.split('-').map(Number);
    return 12_385 >= (from ?? 0) && 12_385 <= (to ?? 0);
  };
  const operation = async (location: string): Promise<Record<string, unknown>> => {
    let last: Record<string, unknown> = {};
    await eventually(
      async () => {
        last = (await ask(yard.control + location)).body;
        expect(['succeeded', 'failed']).toContain(last['state']);
      },
      { timeoutMs: 60_000 },
    );
    return last;
  };

  it('loses its primary: traffic goes on, writes are back in seconds, the old one returns as replica', async () => {
    await settled();
    const before = (await group()).primary;
    if (!before) throw new Error('no primary');
    expect((await register('before')).status).toBe(201);
    const load = steadyLoad(`${yard.traffic}/`, 200);
    await pause(500);

    yard.signal(nodeAt(before.port), 'SIGKILL');
    const diedMs = performance.now();
    await eventually(
      async () => {
        expect((await register('after')).status).toBeLessThan(300);
      },
      { timeoutMs: 20_000, intervalMs: 50 },
    );
    const writableMs = performance.now() - diedMs;
    await eventually(
      async () => {
        const now = (await group()).primary;
        expect(now?.port).toBeDefined();
        expect(now?.port).not.toBe(before.port);
      },
      { timeoutMs: 20_000 },
    );
    const report = await load.stop();

    expect(report.failures).toEqual([]);
    expect(writableMs).toBeLessThan(5_000);
    await eventually(
      async () => {
        const told = await history();
        // on a busy machine the Sentinels may change their minds again: one entry for each time, the newest first
        expect(told.length).toBeGreaterThan(0);
        expect(new Set(told.map(({ epoch }) => epoch)).size).toBe(told.length);
        expect(told[0]?.to.port).toBe((await group()).primary?.port);
      },
      { timeoutMs: 20_000 },
    );
    await settled();
    expect((await group()).nodes.find(({ port }) => port === before.port)?.role).toBe('replica');
    expect((await ask(`${yard.control}/v1/services/ledger/instances/before`)).status).toBe(200);
    const evicted = await ask<{ events: { type: string; subject: string }[] }>(
      `${yard.control}/v1/events?topics=instance,redis`,
    );
    expect(evicted.body.events.filter(({ type }) => type === 'instance.evicted')).toEqual([]);
    expect(evicted.body.events.some(({ type }) => type === 'redis.failover')).toBe(true);
  });

  const sentinelsThaw = 'a frozen primary under Sentinels is a test of libs/redis and replication-manager';
  itUnless(!onCluster, sentinelsThaw)(
    'has its primary frozen: its replica takes over, and the old one follows when it wakes up',
    async () => {
      await settled();
      const before = (await group()).primary;
      if (!before) throw new Error('no primary');
      const load = steadyLoad(`${yard.traffic}/`, 200);
      yard.signal(nodeAt(before.port), 'SIGSTOP');
      try {
        await eventually(async () => expect((await register('thawed')).status).toBeLessThan(300), {
          timeoutMs: 20_000,
          intervalMs: 50,
        });
      } finally {
        yard.signal(nodeAt(before.port), 'SIGCONT');
      }
      await settled();
      const report = await load.stop();

      expect(report.failures).toEqual([]);
      const now = await group();
      expect(now.primary?.port).not.toBe(before.port);
      expect(now.nodes.find(({ port }) => port === before.port)?.role).toBe('replica');
      expect((await ask(`${yard.control}/v1/services/ledger/instances/thawed`)).status).toBe(200);
    },
  );

  itUnless(!onCluster, 'the next test takes one')(
    'is refused a backup that it cannot have yet, with the reason',
    async () => {
      const refused = await ask<{ detail: string; next: string }>(`${yard.control}/v1/backups`, {
        method: 'POST',
        body: { group: 'main' },
      });
      expect(refused.status).toBe(501);
      expect(refused.body.detail).toMatch(/a Redis Cluster is not backed up yet/);
      expect((await ask(`http://127.0.0.1:${yard.ports['backup-worker']}/readyz?verbose`)).text).toMatch(
        /not backed up yet/,
      );
    },
  );

  const noBackups = 'backups of a cluster come later: the refusal is tested instead';
  itUnless(onCluster, noBackups)(
    'takes a backup after the failover, proves it, and finds one flipped byte in it',
    async () => {
      const asked = await ask(`${yard.control}/v1/backups`, { method: 'POST', body: { group: 'main' } });
      expect(asked.status).toBe(202);
      const taken = await operation(asked.headers.get('location') ?? '');
      expect(taken).toMatchObject({ state: 'succeeded', percent: 100 });

      const { body } = await ask<{ backups: { label: string; state: string; keys: number }[] }>(
        `${yard.control}/v1/backups`,
      );
      const backup = body.backups[0];
      expect(backup).toMatchObject({ state: 'verified' });
      expect(backup?.keys).toBeGreaterThan(5);

      const folder = join(yard.home, 'backups', 'main', backup?.label ?? '');
      const data = readdirSync(folder).find((file) => file.endsWith('.zst'));
      const path = join(folder, data ?? '');
      const bytes = readFileSync(path);
      const at = Math.floor(bytes.length / 2);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(path, bytes);
      const again = await ask(`${yard.control}/v1/backups/${backup?.label}/verify`, { method: 'POST' });
      expect(again.status).toBe(202);
      const verified = await operation(again.headers.get('location') ?? '');

      expect(verified).toMatchObject({ state: 'failed', problem: { code: 'backup_corrupt' } });
      expect((await ask(`${yard.control}/v1/backups/${backup?.label}`)).body).toMatchObject({ state: 'corrupt' });
    },
  );

  it('is frozen as a whole for 20 s: nobody is evicted, and traffic does not notice', async () => {
    await settled();
    const names = yard
      .processes()
      .filter(({ role }) => role === 'redis')
      .map(({ name }) => name);
    expect(names).toHaveLength(nodeCount);
    const events = async () =>
      (
        await ask<{ events: { type: string; subject: string; revision: number }[] }>(
          `${yard.control}/v1/events?topics=instance&limit=1000`,
        )
      ).body.events;
    const evictionsBefore = (await events()).filter(({ type }) => type === 'instance.evicted').length;
    const load = steadyLoad(`${yard.traffic}/`, 200);

    for (const name of names) yard.signal(name, 'SIGSTOP');
    try {
      await pause(20_000);
      expect((await ask(`${yard.control}/v1/services/demo-backend/instances`)).status).toBe(200);
    } finally {
      for (const name of names) yard.signal(name, 'SIGCONT');
    }
    await pause(10_000);
    const report = await load.stop();

    expect(report.failures).toEqual([]);
    expect((await events()).filter(({ type }) => type === 'instance.evicted')).toHaveLength(evictionsBefore);
    await settled();
  });

  it('keeps its data and its newest primary through Ctrl-C and another start', async () => {
    const primary = (await group()).primary;
    expect((await register('last')).status).toBeLessThan(300);
    await yard.stop('SIGTERM');

    yard = await startYard({ home: yard.home });
    await settled();

    // in a cluster its replica may take over while all of them start: what counts is that nothing is lost
    if (!onCluster) expect((await group()).primary?.name).toBe(primary?.name);
    expect((await ask(`${yard.control}/v1/services/ledger/instances/last`)).status).toBe(200);
    expect((await ask(`${yard.control}/v1/services/ledger/instances/before`)).status).toBe(200);
  });
});
