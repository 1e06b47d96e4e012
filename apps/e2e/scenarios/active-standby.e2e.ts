// Exactly one instance takes the traffic: it is killed, frozen, and asked to give way, with real processes and under load.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, freePort } from '@switchyard/testing';
import { ask, idsSeen } from '../src/api.ts';
import { steadyLoad } from '../src/load.ts';
import { startStackRedis } from '../src/redis-kind.ts';
import type { StackRedis } from '../src/redis-kind.ts';
import { createSmallStack } from '../src/small-stack.ts';
import type { Running, SmallStack } from '../src/small-stack.ts';

interface Active {
  readonly active: { readonly id: string } | null;
  readonly fencingToken: number;
}
interface Event {
  readonly type: string;
  readonly time: string;
  readonly subject: string;
  readonly data: { readonly id?: string };
}

const service = 'demo-backend';

describe('an active/standby service', () => {
  let redis: StackRedis;
  let stack: SmallStack;
  let registry: Running;
  let traffic: string;
  const backends = new Map<string, Running>();

  const startBackend = async (role: string): Promise<Running> => {
    const env = { SWITCHYARD_DEMO_ROLE: role, SWITCHYARD_DEMO_TTL: '2s', SWITCHYARD_REGISTRY_URL: registry.url };
    const backend = await stack.start('demo-backend', env);
    backends.set(backend.name, backend);
    return backend;
  };
  const active = async (): Promise<Active> => (await ask<Active>(`${registry.url}/v1/services/${service}/active`)).body;
  const becomesActive = (not?: string): Promise<Active & { readonly active: { readonly id: string } }> =>
    eventually(
      async () => {
        const found = await active();
        if (!found.active || found.active.id === not) throw new Error(`active: ${JSON.stringify(found)}`);
        return { ...found, active: found.active };
      },
      { timeoutMs: 15_000, intervalMs: 20, what: 'an active instance' },
    );
  const fence = async (fencingToken: number): Promise<number> =>
    (await ask(`${registry.url}/v1/services/${service}/fence`, { method: 'POST', body: { fencingToken } })).status;
  const lastEvent = async (type: string): Promise<Event | undefined> => {
    const { body } = await ask<{ events: readonly Event[] }>(`${registry.url}/v1/events?limit=200`);
    return body.events.find((event) => event.type === type);
  };

  beforeAll(async () => {
    redis = await startStackRedis();
    stack = createSmallStack(redis.env);
    registry = await stack.start('registry', {});
    await stack.start('heartbeat-monitor', {});
    const [trafficPort, controlPort] = [await freePort(), await freePort()];
    await stack.start('dispatcher', {
      SWITCHYARD_DISPATCHER_TRAFFIC_PORT: String(trafficPort),
      SWITCHYARD_DISPATCHER_CONTROL_PORT: String(controlPort),
    });
    traffic = `http://127.0.0.1:${trafficPort}`;
    const policy = { method: 'PUT', body: { mode: 'active-standby' } };
    expect((await ask(`${registry.url}/v1/services/${service}`, policy)).status).toBe(201);
    await startBackend('standby');
    await startBackend('active');
    await eventually(async () => expect((await ask(`${traffic}/`)).status).toBe(200), { timeoutMs: 10_000 });
  });
  afterAll(async () => {
    await stack?.stop();
    await redis?.stop();
  });

  it('hands over on request without losing any of them', async () => {
    const before = await becomesActive();
    await eventually(async () => expect(await idsSeen(traffic, 3)).toEqual(Array(3).fill(before.active.id)));
    const loads = [steadyLoad(`${traffic}/slow?ms=20`, 100), steadyLoad(`${traffic}/echo`, 50, 'POST')];
    const tokens = [before.fencingToken];
    for (let turn = 0; turn < 6; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      // refused while the machine is so busy that the standby is suspected for a moment
      const fencingToken = await eventually(
        async () => {
          const { body } = await ask<{ changed: boolean; fencingToken: number }>(
            `${registry.url}/v1/services/${service}/handover`,
            { method: 'POST', body: {} },
          );
          expect(body).toMatchObject({ changed: true });
          return body.fencingToken;
        },
        { timeoutMs: 10_000, what: 'a hand-over' },
      );
      tokens.push(fencingToken);
    }
    const reports = await Promise.all(loads.map((load) => load.stop()));

    expect(reports.flatMap(({ failures }) => failures)).toEqual([]);
    expect(tokens).toEqual([...new Set(tokens)].toSorted((one, other) => one - other));
    const now = await active();
    expect(await idsSeen(traffic, 5)).toEqual(Array(5).fill(now.active?.id));
  });

  it('goes to the standby when the active one is killed, 100 ms after its eviction at most', async () => {
    const before = await becomesActive();
    const load = steadyLoad(`${traffic}/`, 100);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const killedMs = Date.now();
    backends.get(before.active.id)?.signal('SIGKILL');
    const after = await becomesActive(before.active.id);
    const tookMs = Date.now() - killedMs;
    await eventually(async () => expect((await ask(`${traffic}/`)).status).toBe(200));
    const whole = await load.stop();

    const [evicted, activated] = [await lastEvent('instance.evicted'), await lastEvent('service.activated')];
    expect(evicted?.subject).toBe(`${service}/${before.active.id}`);
    expect(activated?.data.id).toBe(after.active.id);
    expect(Date.parse(activated?.time ?? '') - Date.parse(evicted?.time ?? '')).toBeLessThanOrEqual(100);
    expect(tookMs).toBeLessThan(10_000);
    // nobody could take them in between; none got lost afterwards
    expect(whole.failures.length).toBeLessThanOrEqual(tookMs / 5);
    expect(after.fencingToken).toBeGreaterThan(before.fencingToken);
    expect([await fence(before.fencingToken), await fence(after.fencingToken)]).toEqual([409, 200]);
    const report = steadyLoad(`${traffic}/`, 100);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await report.stop()).failures).toEqual([]);
  });

  it('fences an active one that was frozen and comes back: it is a standby, and its token is refused', async () => {
    const spare = await startBackend('standby');
    await eventually(async () => {
      const { body } = await ask<{ role: string }>(`${registry.url}/v1/services/${service}/instances/${spare.name}`);
      expect(body.role).toBe('standby');
    });
    const before = await becomesActive();
    expect(await fence(before.fencingToken)).toBe(200);
    const frozen = backends.get(before.active.id);
    frozen?.signal('SIGSTOP');
    const after = await becomesActive(before.active.id);
    expect(after.active.id).toBe(spare.name);
    expect(await fence(before.fencingToken)).toBe(409);
    frozen?.signal('SIGCONT');
    await eventually(
      async () => {
        const { body } = await ask(`${registry.url}/v1/services/${service}/instances/${before.active.id}`);
        expect(body).toMatchObject({ liveness: 'alive', role: 'standby', fencingToken: null, eligible: false });
      },
      { timeoutMs: 10_000 },
    );

    expect(await active()).toMatchObject({ active: { id: spare.name }, fencingToken: after.fencingToken });
    expect([await fence(before.fencingToken), await fence(after.fencingToken)]).toEqual([409, 200]);
    expect(await idsSeen(traffic, 10)).toEqual(Array(10).fill(spare.name));
  });
});
