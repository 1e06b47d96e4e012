import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@switchyard/testing';
import { ask } from '../src/api.ts';
import { steadyLoad } from '../src/load.ts';
import { startYard } from '../src/yard.ts';
import type { Yard } from '../src/yard.ts';

interface Group {
  readonly state: string;
  readonly primary: { readonly name: string; readonly port: number } | null;
  readonly nodes: readonly { readonly port: number; readonly role: string; readonly state: string }[];
}
interface History {
  readonly history: readonly { readonly epoch: number; readonly to: { readonly port: number } }[];
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
        expect(seen.nodes.filter(({ role, state }) => role === 'replica' && state === 'ok')).toHaveLength(2);
      },
      { timeoutMs: 40_000 },
    );
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
        const { body } = await ask<History>(`${yard.control}/v1/redis/groups/main/history`);
        // on a busy machine the Sentinels may change their minds again: one entry for each time, the newest first
        expect(body.history.length).toBeGreaterThan(0);
        expect(new Set(body.history.map(({ epoch }) => epoch)).size).toBe(body.history.length);
        expect(body.history[0]?.to.port).toBe((await group()).primary?.port);
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

  it('takes a backup after the failover, proves it, and finds one flipped byte in it', async () => {
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
  });

  it('is frozen as a whole for 20 s: nobody is evicted, and traffic does not notice', async () => {
    await settled();
    const names = yard
      .processes()
      .filter(({ role }) => role === 'redis')
      .map(({ name }) => name);
    expect(names).toHaveLength(3);
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

    expect((await group()).primary?.name).toBe(primary?.name);
    expect((await ask(`${yard.control}/v1/services/ledger/instances/last`)).status).toBe(200);
    expect((await ask(`${yard.control}/v1/services/ledger/instances/before`)).status).toBe(200);
  });
});
