import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { ask, idsSeen } from '../src/api.ts';
import { anyRunning, startYard } from '../src/yard.ts';
import type { Yard } from '../src/yard.ts';

describe('somebody who types npm start', () => {
  let yard: Yard;
  beforeAll(async () => {
    yard = await startYard();
  });
  afterAll(async () => {
    await yard?.stop();
    await yard?.remove();
  });

  it('reads at most twelve lines, with the two addresses in them', () => {
    const lines = yard.screen.trimEnd().split('\n');

    expect(lines.length).toBeLessThanOrEqual(12);
    expect(yard.screen).toContain(yard.traffic.replace('http://127.0.0.1', ''));
    expect(yard.screen).toContain(yard.control.replace('http://127.0.0.1', ''));
  });

  it('is greeted by all three instances in turn', async () => {
    const hello = await ask(yard.traffic);
    expect(hello.text).toContain('Hello, World!');
    expect(hello.text).toContain(hello.headers.get('switchyard-instance'));
    expect(hello.headers.get('via')).toMatch(/switchyard/);

    const ids = await idsSeen(yard.traffic, 30);

    expect(new Set(ids).size).toBe(3);
    for (const id of new Set(ids)) expect(ids.filter((each) => each === id)).toHaveLength(10);
  });

  it('finds every part of the API behind the one control port', async () => {
    for (const path of [
      '/v1/services',
      '/v1/services/demo-backend/instances',
      '/v1/services/demo-backend/pick',
      '/v1/routes',
      '/v1/events',
      '/v1/redis/groups',
      '/v1/redis/groups/main',
      '/v1/redis/groups/main/history',
      '/v1/redis/groups/main/primary',
      '/v1/redis/groups/main/replica',
      '/v1/backups',
      '/v1/dispatchers',
      '/v1/monitors',
      '/v1/openapi.json',
    ]) {
      const answer = await ask(yard.control + path);
      expect(`${path} ${answer.status}`).toBe(`${path} 200`);
    }
    // no path of the document leads nowhere; a parameter that names nobody is refused by the owner of the path
    const { body } = await ask<{ paths: Record<string, object> }>(`${yard.control}/v1/openapi.json`);
    const lost: string[] = [];
    for (const path of Object.keys(body.paths)) {
      const answer = await ask(yard.control + path.replace(/\{\w+\}/g, 'nobody'), { method: 'OPTIONS' });
      if (answer.text.includes('Nothing is served at')) lost.push(path);
    }
    expect(lost).toEqual([]);
    expect(Object.keys(body.paths).length).toBeGreaterThan(30);
    expect((await ask(`${yard.control}/`)).headers.get('content-type')).toMatch(/html/);
    expect((await ask(`${yard.control}/docs`)).headers.get('content-type')).toMatch(/html/);
  });

  it('gets a problem document for nonsense, never a stack and never a 500', async () => {
    const nonsense: [string, string, unknown?, Record<string, string>?][] = [
      ['GET', '/v1/nothing'],
      ['GET', '/v1/services/NO_SUCH!'],
      ['GET', '/v1/services/ghost'],
      ['GET', '/v1/services/%E0%A4%A'],
      ['PUT', '/v1/services/shop/instances/a', '{"url":'],
      ['PUT', '/v1/services/shop/instances/a', { url: 5, weight: 'x', more: {} }],
      ['PUT', '/v1/services/shop/instances/%F0%9F%92%A5', { url: 'http://127.0.0.1:1' }],
      ['PUT', '/v1/services/shop/instances/a', { url: 'http://127.0.0.1:1', meta: { x: 'y'.repeat(400_000) } }],
      ['PUT', '/v1/services/shop', { policy: 'magic' }],
      ['PUT', '/v1/routes/x', { service: 'a', split: [] }],
      ['PATCH', '/v1/services/demo-backend/instances/ghost', { weight: 1 }],
      ['PATCH', '/v1/services/demo-backend/instances/ghost', { weight: -1 }],
      ['POST', '/v1/services/demo-backend/instances/ghost/heartbeat'],
      ['DELETE', '/v1/services/demo-backend/instances/ghost'],
      ['POST', '/v1/services'],
      ['GET', '/v1/events?limit=many'],
      ['GET', '/v1/stream?topics=gossip'],
      ['GET', '/v1/redis/groups/none'],
      ['GET', '/v1/redis/groups/main/replica?maxLagBytes=lots'],
      ['GET', '/v1/backups/none'],
      ['POST', '/v1/backups', { group: 'none' }],
      ['POST', '/v1/backups', '[[['],
      ['POST', '/v1/backups/none/verify'],
      ['GET', '/v1/operations/none'],
      ['GET', '/v1/routes:test?method=&url=%00'],
      ['GET', '/v1/requests/none/why'],
    ];
    for (const [method, path, body, headers] of nonsense) {
      const answer = await ask(yard.control + path, { method, body, ...(headers ? { headers } : {}) });
      const what = `${method} ${path} -> ${answer.status} ${answer.text.slice(0, 200)}`;
      expect(what).toMatch(/ -> 4\d\d /);
      expect(`${what} ${answer.headers.get('content-type')}`).toMatch(/application\/problem\+json/);
      expect(answer.body).toMatchObject({
        code: expect.any(String),
        title: expect.any(String),
        next: expect.any(String),
      });
      expect(answer.text).not.toMatch(/\bat .*\.(ts|js):\d+/);
    }
  });

  it('gets a problem document from its own app too', async () => {
    expect((await ask(`${yard.traffic}/slow?ms=soon`)).status).toBe(400);
    expect((await ask(`${yard.traffic}/status/teapot`)).status).toBe(400);
    expect((await ask(`${yard.traffic}/status/503`)).status).toBe(503);
    const echo = await ask(`${yard.traffic}/echo`, { method: 'POST', body: 'x'.repeat(100_000) });
    expect(echo.text).toHaveLength(100_000);
  });

  it('leaves no process and no trace in the temporary folder after Ctrl-C', async () => {
    const ephemeral = await startYard({ args: ['--ephemeral', '--backends', '1'] });
    try {
      const pids = ephemeral.processes().map(({ pid }) => pid);
      expect(pids.length).toBeGreaterThan(12);

      const code = await ephemeral.stop('SIGINT');

      expect(code).toBe(0);
      expect(anyRunning(pids)).toBe(false);
      expect(existsSync(ephemeral.home)).toBe(false);
    } finally {
      await ephemeral.stop();
      await ephemeral.remove();
    }
  });
});
