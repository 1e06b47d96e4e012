// Are all instances of a service replaced, one after the other, by two dispatchers, without a client noticing it? With POST, which
// is never repeated: one request that comes to an instance that has left is one failure.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, freePort, startOwned } from '@switchyard/testing';
import type { OwnedProcess } from '@switchyard/testing';
import { ask } from '../src/api.ts';
import { steadyLoad } from '../src/load.ts';
import { redisEnvironment } from '../src/redis-kind.ts';
import { startYard } from '../src/yard.ts';
import type { Yard } from '../src/yard.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const drainDelayMs = 2_500;
const line = /"letGo":"([^"]*)"/;

interface Drain {
  readonly done: boolean;
  readonly inFlight: number;
  readonly dispatchers: readonly { readonly id: string; readonly acknowledged: boolean }[];
}

describe('a rolling restart behind two dispatchers', () => {
  let yard: Yard;
  let stateDir: string;
  let traffic: string;
  const started: OwnedProcess[] = [];
  const start = async (app: string, env: NodeJS.ProcessEnv): Promise<OwnedProcess> => {
    const owned = await startOwned({
      command: process.execPath,
      args: [join(root, 'apps', app, 'src', 'main.ts')],
      env: {
        PATH: process.env['PATH'],
        ...redisEnvironment(yard),
        SWITCHYARD_REGISTRY_URL: `http://127.0.0.1:${yard.ports['registry']}`,
        SWITCHYARD_STATE_DIR: join(stateDir, app),
        ...env,
      },
    });
    started.push(owned);
    return owned;
  };
  const startInstance = async (id: string): Promise<OwnedProcess> => {
    const owned = await start('demo-backend', {
      SWITCHYARD_INSTANCE_ID: id,
      SWITCHYARD_DEMO_SERVICE: 'rolling',
      // so long that a stop that is quicker can only have heard from the dispatchers
      SWITCHYARD_DEMO_DRAIN_DELAY_MS: String(drainDelayMs),
    });
    await eventually(
      async () => {
        expect((await ask(instance(id))).body).toMatchObject({ eligible: true });
      },
      { timeoutMs: 20_000, what: `${id} is registered` },
    );
    return owned;
  };
  const instance = (id: string): string => `${yard.control}/v1/services/rolling/instances/${id}`;

  beforeAll(async () => {
    yard = await startYard();
    stateDir = await mkdtemp(join(tmpdir(), 'switchyard-rolling-'));
    const port = String(await freePort());
    traffic = `http://127.0.0.1:${port}`;
    await start('dispatcher', {
      SWITCHYARD_INSTANCE_ID: 'second',
      SWITCHYARD_DISPATCHER_PORT: String(await freePort()),
      SWITCHYARD_DISPATCHER_TRAFFIC_PORT: port,
      SWITCHYARD_DISPATCHER_CONTROL_PORT: String(await freePort()),
    });
    await ask(`${yard.control}/v1/routes/rolling`, {
      method: 'PUT',
      body: { pathPrefix: '/rolling', stripPrefix: true, service: 'rolling' },
    });
    await eventually(
      async () => {
        const { body } = await ask<{ dispatchers: object[]; partial: boolean }>(`${yard.control}/v1/dispatchers`);
        expect([body.dispatchers.length, body.partial]).toEqual([2, false]);
      },
      { timeoutMs: 20_000 },
    );
  });
  afterAll(async () => {
    await Promise.all(started.map((one) => one.end(3_000)));
    await yard?.stop();
    await yard?.remove();
    await rm(stateDir, { recursive: true, force: true });
  });

  it('fails no POST, and each instance leaves as soon as both dispatchers have let it go', async () => {
    let old = await Promise.all(['a1', 'b1', 'c1'].map(startInstance));
    await eventually(async () => expect((await ask(`${traffic}/rolling/whoami`)).status).toBe(200));
    const loads = [yard.traffic, traffic].map((at) => steadyLoad(`${at}/rolling/slow?ms=80`, 100, 'POST'));
    const leftMs: number[] = [];
    const letGo: string[] = [];

    for (const round of [2, 3]) {
      const next: OwnedProcess[] = [];
      for (const [index, leaving] of old.entries()) {
        next.push(await startInstance(`${'abc'[index]}${round}`));
        const beganMs = performance.now();
        leaving.signal('SIGTERM');
        await leaving.ended();
        leftMs.push(performance.now() - beganMs);
        letGo.push(line.exec(leaving.output())?.[1] ?? leaving.output());
      }
      old = next;
    }
    const reports = await Promise.all(loads.map((load) => load.stop()));

    expect(reports.map(({ failures }) => failures)).toEqual([[], []]);
    for (const { sent, answered } of reports) expect([answered, sent > 100]).toEqual([sent, true]);
    expect(letGo).toEqual(Array.from({ length: 6 }, () => 'by 2 dispatchers'));
    expect(Math.max(...leftMs)).toBeLessThan(drainDelayMs);
  });

  it('tells an operator who drains by hand when nobody has requests there any more', async () => {
    const busyOnes = async (): Promise<{ id: string }[]> => {
      const { body } = await ask<{ dispatchers: { instances: { service: string; id: string; inFlight: number }[] }[] }>(
        `${yard.control}/v1/dispatchers`,
      );
      const all = body.dispatchers.flatMap(({ instances }) => instances);
      return all.filter(({ service, inFlight }) => service === 'rolling' && inFlight > 0);
    };
    await eventually(async () => expect(await busyOnes()).toEqual([]));
    const slow = ask(`${traffic}/rolling/slow?ms=3000`, { method: 'POST' });
    const busy = await eventually(async () => (await busyOnes())[0] ?? null);

    await ask(instance(busy.id), { method: 'PATCH', body: { intent: 'draining', reason: 'a new disk' } });

    const drain = async (): Promise<Drain> => (await ask<Drain>(`${instance(busy.id)}/drain`)).body;
    const half = await eventually(async () => {
      const seen = await drain();
      return seen.dispatchers.every(({ acknowledged }) => acknowledged) && seen;
    });
    expect(half).toMatchObject({ done: false, inFlight: 1 });
    expect((await slow).status).toBe(200);
    await eventually(async () => {
      expect(await drain()).toMatchObject({ done: true, inFlight: 0 });
    });
  });
});
