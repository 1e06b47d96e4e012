import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually } from '@switchyard/testing';
import { ask, idsSeen } from '../src/api.ts';
import { startYard } from '../src/yard.ts';
import type { Yard } from '../src/yard.ts';

interface Instances {
  readonly instances: readonly { readonly id: string; readonly url: string; readonly liveness: string }[];
}

describe('the catalog, used from outside', () => {
  let yard: Yard;
  let server: Server;
  beforeAll(async () => {
    yard = await startYard();
    server = createServer((_request, response) => response.end('no library in here\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    server?.closeAllConnections();
    server?.close();
    await yard?.stop();
    await yard?.remove();
  });

  const publish = async (channel: string, message: object): Promise<void> => {
    const { body } = await ask<{ port: number }>(`${yard.control}/v1/redis/groups/main/primary`);
    execFileSync('redis-cli', ['-p', String(body.port), 'PUBLISH', channel, JSON.stringify(message)], {
      timeout: 5_000,
    });
  };

  it('takes in a server without any library by redis-cli, and lets it go when its beats stop', async () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await ask(`${yard.control}/v1/routes/plain`, { method: 'PUT', body: { pathPrefix: '/plain', service: 'plain' } });

    await publish('switchyard:register', { service: 'plain', id: 'a', url, ttl: '1s' });
    await eventually(async () => {
      expect((await ask(`${yard.traffic}/plain`)).text).toBe('no library in here\n');
    });
    for (let i = 0; i < 6; i += 1) {
      await publish('switchyard:heartbeat', { service: 'plain', id: 'a' });
      await new Promise((resolve) => setTimeout(resolve, 400));
      expect((await ask(`${yard.traffic}/plain`)).status).toBe(200);
    }
    await eventually(
      async () => {
        const refused = await ask<{ why: string[] }>(`${yard.traffic}/plain`, {
          headers: { accept: 'application/json' },
        });
        expect(refused.status).toBe(503);
        expect(refused.body.why.join(' ')).toMatch(/no heartbeat/);
      },
      { timeoutMs: 15_000 },
    );
  });

  it('spreads weights 5, 1, 1 exactly, and takes new weights at run time', async () => {
    const { body } = await ask<Instances>(`${yard.control}/v1/services/demo-backend/instances?liveness=alive`);
    const ids = body.instances.map(({ id }) => id);
    for (const [index, weight] of [5, 1, 1].entries()) {
      const url = `${yard.control}/v1/services/demo-backend/instances/${ids[index]}`;
      expect((await ask(url, { method: 'PATCH', body: { weight } })).status).toBe(200);
    }
    await eventually(async () => {
      const seen = await idsSeen(yard.traffic, 7);
      expect(seen.filter((id) => id === ids[0])).toHaveLength(5);
    });

    const seen = await idsSeen(yard.traffic, 70);

    for (let at = 0; at + 7 <= seen.length; at += 7) {
      const window = seen.slice(at, at + 7);
      expect([0, 1, 2].map((i) => window.filter((id) => id === ids[i]).length)).toEqual([5, 1, 1]);
    }
  });

  it('redirects where a route says so', async () => {
    await ask(`${yard.control}/v1/routes/moved`, {
      method: 'PUT',
      body: { pathPrefix: '/moved', service: 'demo-backend', action: 'redirect', redirectStatus: 308 },
    });

    await eventually(async () => {
      const answer = await ask(`${yard.traffic}/moved/page?x=1`);
      expect(answer.status).toBe(308);
      expect(answer.headers.get('location')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/moved\/page\?x=1$/);
    });
  });

  it('tells every change on the stream, and resumes where a watcher left', async () => {
    const read = async (headers: Record<string, string>, until: (text: string) => boolean): Promise<string> => {
      const stop = AbortSignal.timeout(15_000);
      const response = await fetch(`${yard.control}/v1/stream?topics=service`, { headers, signal: stop });
      let text = '';
      for await (const chunk of response.body ?? []) {
        text += Buffer.from(chunk as Uint8Array).toString();
        if (until(text)) break;
      }
      return text;
    };
    const put = (name: string) =>
      ask(`${yard.control}/v1/services/${name}`, { method: 'PUT', body: { policy: 'random' } });
    const begun = await read({}, (text) => text.includes('event: start'));
    const start = /^id: (\S+)$/m.exec(begun)?.[1] ?? '';
    await put('one');
    await put('two');

    const resumed = await read({ 'last-event-id': start }, (text) => text.includes('"two"'));

    expect(resumed.match(/^event: service\.updated$/gm)).toHaveLength(2);
    expect(resumed.indexOf('"one"')).toBeLessThan(resumed.indexOf('"two"'));
  });

  it('says why an instance gets no traffic', async () => {
    const { body } = await ask<Instances>(`${yard.control}/v1/services/demo-backend/instances?liveness=alive`);
    const url = `${yard.control}/v1/services/demo-backend/instances/${body.instances[0]?.id}`;

    const drained = await ask(url, { method: 'PATCH', body: { intent: 'maintenance', reason: 'new disk' } });

    expect(drained.body).toMatchObject({ eligible: false, reason: 'in maintenance: new disk' });
    await eventually(async () => {
      expect(await idsSeen(yard.traffic, 10)).not.toContain(body.instances[0]?.id);
    });
  });
});
