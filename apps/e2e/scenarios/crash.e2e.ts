import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '@switchyard/testing';
import { ask, idsSeen } from '../src/api.ts';
import { steadyLoad } from '../src/load.ts';
import { startYard } from '../src/yard.ts';
import type { Yard } from '../src/yard.ts';

interface Instances {
  readonly instances: readonly { readonly id: string; readonly liveness: string; readonly eligible: boolean }[];
}

describe('under 200 requests a second', () => {
  let yard: Yard;
  beforeAll(async () => {
    yard = await startYard();
  });
  afterAll(async () => {
    await yard?.stop();
    await yard?.remove();
  });

  const alive = async (): Promise<string[]> => {
    const { body } = await ask<Instances>(`${yard.control}/v1/services/demo-backend/instances?liveness=alive`);
    return body.instances.map(({ id }) => id);
  };
  const idOf = async (name: string): Promise<string> => {
    const found = (await alive()).find((id) => id.startsWith(`${name}-`));
    if (found === undefined) throw new Error(`${name} is not alive`);
    return found;
  };
  const threeAlive = () =>
    eventually(
      async () => {
        expect(await alive()).toHaveLength(3);
      },
      { timeoutMs: 20_000 },
    );

  it('a back end dies: no GET fails, it is evicted within 4 s, and a new one takes its place', async () => {
    const victim = await idOf('demo-2');
    const load = steadyLoad(`${yard.traffic}/`, 200);
    await new Promise((resolve) => setTimeout(resolve, 1_000));

    yard.signal('demo-2', 'SIGKILL');
    const diedMs = performance.now();
    await eventually(
      async () => {
        expect(await alive()).not.toContain(victim);
      },
      { timeoutMs: 10_000 },
    );
    const evictedMs = performance.now() - diedMs;
    await threeAlive();
    const report = await load.stop();

    expect(report.failures).toEqual([]);
    expect(evictedMs).toBeLessThan(4_000);
    expect(new Set(await idsSeen(yard.traffic, 12)).size).toBe(3);
    const { body } = await ask<{ events: { type: string; subject: string; data: { evidence?: object } }[] }>(
      `${yard.control}/v1/events?topics=instance`,
    );
    const eviction = body.events.find(({ type, subject }) => type === 'instance.evicted' && subject.endsWith(victim));
    expect(eviction?.data.evidence).toMatchObject({ because: expect.any(String), monitor: expect.any(String) });
  });

  it('a back end is told to stop: it drains, and no request fails', async () => {
    const load = steadyLoad(`${yard.traffic}/slow?ms=50`, 200);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const leaving = await idOf('demo-3');

    yard.signal('demo-3', 'SIGTERM');
    await eventually(
      async () => {
        const { status } = await ask(`${yard.control}/v1/services/demo-backend/instances/${leaving}`);
        expect(status).toBe(404);
      },
      { timeoutMs: 10_000 },
    );
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const report = await load.stop();

    expect(report.failures).toEqual([]);
    expect(await alive()).toHaveLength(2);
  });

  it('both monitors die, then a back end: the monitors come back and evict it', async () => {
    const victim = await idOf('demo-1');
    const load = steadyLoad(`${yard.traffic}/`, 200);

    yard.signal('heartbeat-monitor', 'SIGKILL');
    yard.signal('heartbeat-monitor-2', 'SIGKILL');
    yard.signal('demo-1', 'SIGKILL');
    await eventually(
      async () => {
        expect(await alive()).not.toContain(victim);
      },
      { timeoutMs: 25_000 },
    );
    const report = await load.stop();

    expect(report.failures).toEqual([]);
    await eventually(
      async () => {
        expect(await alive()).toHaveLength(2);
      },
      { timeoutMs: 20_000 },
    );
  });

  it('the registry dies: traffic does not notice, and the registry is back by itself', async () => {
    const before = await alive();
    const load = steadyLoad(`${yard.traffic}/`, 200);

    const pid = yard.signal('registry', 'SIGKILL');
    await eventually(
      async () => {
        expect(yard.pidOf('registry')).not.toBe(pid);
        expect((await ask(`${yard.control}/v1/services`)).status).toBe(200);
      },
      { timeoutMs: 20_000 },
    );
    const report = await load.stop();

    expect(report.failures).toEqual([]);
    expect(await alive()).toEqual(before);
    expect(yard.screen).toMatch(/registry/);
  });
});
