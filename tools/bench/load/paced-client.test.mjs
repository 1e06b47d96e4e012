// The paced client against an app that answers, dawdles, refuses or hangs up: does it see what happened?
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { createProcesses } from '../processes.mjs';
import { measurePaced, pacedClient } from './paced-load.mjs';

const processes = createProcesses();
const bench = { processes, node: process.execPath, cores: {} };
const troubles = {
  '/slow': (response) => setTimeout(() => response.end('slow'), 30),
  '/no': (response) => response.writeHead(503).end(),
  '/cut': (response) => response.destroy(),
  '/never': () => undefined,
};
let arrived = 0;
const server = createServer((request, response) => {
  arrived += 1;
  request.resume();
  const trouble = troubles[request.url];
  if (trouble) trouble(response);
  else response.end('fine');
});

const measure = (kinds, more = {}) =>
  measurePaced(bench, {
    port: server.address().port,
    ratePerSecond: 200,
    seconds: 0.5,
    connections: 8,
    pollMs: 1,
    kinds,
    ...more,
  });
const kind = (name, method, path, share) => ({ name, method, path, share, bodyBytes: method === 'POST' ? 10 : 0 });

before(() => new Promise((resolve) => server.listen(0, '127.0.0.1', resolve)));
after(async () => {
  await processes.endAll();
  server.closeAllConnections();
  server.close();
});

describe('a paced client', () => {
  it('sends at its rate and counts every request once', async () => {
    arrived = 0;
    const seen = await measure([kind('get', 'GET', '/', 0.5), kind('post', 'POST', '/', 0.5)]);
    // whether the last one is still due depends on rounding
    assert.ok([99, 100].includes(seen.requests), `${seen.requests} requests`);
    assert.deepEqual([seen.ended, seen.unanswered, arrived], [seen.requests, 0, seen.requests]);
    assert.deepEqual([seen.failed, seen.ends], [{}, { 200: seen.requests }]);
    assert.ok(seen.p50Ms > 0 && seen.p50Ms <= seen.p99Ms && seen.p99Ms <= seen.slowestMs);
  });

  it('tells failures by kind and by end', async () => {
    const kinds = [kind('no', 'GET', '/no', 0.5), kind('cut', 'GET', '/cut', 0.5)];
    const { failed, ends, requests } = await measure(kinds, { spacing: 'random' });
    assert.equal(failed.no + failed.cut, requests);
    assert.deepEqual(ends, { 503: failed.no, closed: failed.cut });
  });

  it('gives up on what never comes', async () => {
    const seen = await measure([kind('get', 'GET', '/never', 1)], {
      ratePerSecond: 20,
      connections: 100,
      timeoutMs: 200,
    });
    assert.deepEqual(seen.ends, { timeout: seen.requests });
  });

  it('counts the time that a request waited for a connection', async () => {
    const seen = await measure([kind('get', 'GET', '/slow', 1)], { connections: 2, warm: 2 });
    // 200/s at two connections that carry 66/s: the last ones wait for most of a second
    assert.ok(seen.slowestMs > 500, `slowest ${seen.slowestMs} ms`);
  });

  it('ends when there has been enough', async () => {
    const plan = { port: server.address().port, ratePerSecond: 100, seconds: 60, connections: 4, pollMs: 1 };
    const client = await pacedClient(bench, { ...plan, kinds: [kind('get', 'GET', '/', 1)] });
    const going = client.go();
    setTimeout(client.enough, 300);
    const { requests, unanswered } = await going;
    assert.ok(requests > 5 && requests < 1_000, `${requests} requests`);
    assert.equal(unanswered, 0);
  });
});
