// What does an app get that knows nothing of Switchyard? Somebody registers it once over HTTP, with a check; that is all.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, freePort, startOwned } from '@switchyard/testing';
import type { OwnedProcess } from '@switchyard/testing';
import { ask } from '../src/api.ts';
import { steadyLoad } from '../src/load.ts';
import { startYard } from '../src/yard.ts';
import type { Yard } from '../src/yard.ts';

interface Event {
  readonly type: string;
  readonly time: string;
  readonly subject: string;
  readonly data: {
    readonly evidence?: { readonly because: string; readonly witnesses?: readonly { readonly by: string }[] };
  };
}

const appCode = `require('node:http').createServer((_, res) => res.end('plain')).listen(Number(process.argv[1]), '127.0.0.1')`;

describe('apps without an agent', () => {
  let yard: Yard;
  const ports = new Map<string, number>();
  const apps = new Map<string, OwnedProcess>();
  beforeAll(async () => {
    yard = await startYard();
    await ask(`${yard.control}/v1/routes/plain`, { method: 'PUT', body: { pathPrefix: '/plain', service: 'plain' } });
    for (const id of ['a', 'b', 'c']) {
      ports.set(id, await freePort());
      await startApp(id);
      const url = `http://127.0.0.1:${ports.get(id)}`;
      const check = { type: 'http', path: '/health', interval: '2s' };
      const { status } = await ask(`${yard.control}/v1/services/plain/instances/${id}`, {
        method: 'PUT',
        body: { url, check, ttl: '60s' },
      });
      expect(status).toBe(201);
    }
  });
  afterAll(async () => {
    await Promise.all([...apps.values()].map((app) => app.end(0)));
    await yard?.stop();
    await yard?.remove();
  });

  const startApp = async (id: string): Promise<void> => {
    const port = ports.get(id);
    apps.set(id, await startOwned({ command: process.execPath, args: ['-e', appCode, String(port)] }));
    await eventually(async () => expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200));
  };
  const eventsOf = async (id: string): Promise<readonly Event[]> => {
    const { body } = await ask<{ events: readonly Event[] }>(`${yard.control}/v1/events?topics=instance&limit=1000`);
    return body.events.filter(({ subject }) => subject === `plain/${id}`);
  };
  const alive = async (): Promise<string[]> => {
    const { body } = await ask<{ instances: readonly { readonly id: string }[] }>(
      `${yard.control}/v1/services/plain/instances?liveness=alive`,
    );
    return body.instances.map(({ id }) => id);
  };

  it('are evicted as soon as a request finds them dead, long before a check would; no GET fails', async () => {
    await eventually(async () => expect((await ask(`${yard.traffic}/plain`)).text).toBe('plain'));
    const load = steadyLoad(`${yard.traffic}/plain`, 200);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const tookMs: number[] = [];
    for (const id of ['a', 'b']) {
      const killedMs = Date.now();
      apps.get(id)?.signal('SIGKILL');
      await eventually(async () => expect(await alive()).not.toContain(id), { timeoutMs: 5_000 });
      const eviction = (await eventsOf(id)).find(({ type }) => type === 'instance.evicted');
      expect(eviction?.data.evidence).toMatchObject({ because: 'probe-failed' });
      expect(eviction?.data.evidence?.witnesses).not.toEqual([]);
      tookMs.push(Date.parse(eviction?.time ?? '') - killedMs);
      await startApp(id);
      await eventually(async () => expect(await alive()).toContain(id), { timeoutMs: 15_000 });
    }
    const report = await load.stop();

    expect(report.failures).toEqual([]);
    expect(Math.min(...tookMs)).toBeLessThan(300);
    expect(Math.max(...tookMs)).toBeLessThan(1_500);
  });

  it('stay as long as they answer, and come back when they are started again', async () => {
    expect((await eventsOf('c')).map(({ type }) => type)).toEqual(['instance.registered']);

    expect((await eventsOf('a')).map(({ type }) => type).filter((type) => type === 'instance.registered')).toHaveLength(
      2,
    );
    await eventually(async () => expect(await alive()).toEqual(expect.arrayContaining(['a', 'b', 'c'])));
  });
});
