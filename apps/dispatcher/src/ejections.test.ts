// Real sockets, a real data plane, the table keeper and the detector together: what does an instance that fails cost?
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMeters, createSocketDataPlane, defaultLimits, defaultTimeouts, type DataPlane } from '@switchyard/proxy';
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import { fakeFeed, instanceOf, snapshotOf } from './catalog-fixture.ts';
import { createEjections } from './ejections.ts';
import { createRequestLog } from './request-log.ts';
import { createTableFile } from './table-file.ts';
import { createTableKeeper } from './table-keeper.ts';
import { trafficPolicy, whyNotIn } from './traffic-policy.ts';

const logger = createLogger('dispatcher-test', { level: 'silent' });
const connectMs = 400;
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A port whose listener accepts nothing and whose backlog is full: connecting to it takes for ever. */
async function blackHole(): Promise<number> {
  const code = `require('net').createServer().listen({port:0,host:'127.0.0.1',backlog:1},function(){console.log(this.address().port)})`;
  const child: ChildProcess = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  closers.push(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data')) as [Buffer];
  const port = Number(line.toString());
  child.kill('SIGSTOP');
  const fillers: Socket[] = [];
  closers.push(() => fillers.forEach((socket) => socket.destroy()));
  for (let isOpen = true; isOpen && fillers.length < 64;) {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    fillers.push(socket);
    isOpen = await Promise.race([once(socket, 'connect').then(() => true), systemClock.sleep(150).then(() => false)]);
  }
  return port;
}

async function backEnd(
  status: () => number = () => 200,
): Promise<{ readonly port: number; readonly seen: () => number }> {
  let seen = 0;
  const server: Server = createServer((_req, res) => {
    seen += 1;
    res.statusCode = status();
    res.end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen: () => seen };
}

async function dispatcherFor(ports: Readonly<Record<string, number>>) {
  const dir = await mkdtemp(join(tmpdir(), 'switchyard-ejections-'));
  closers.push(() => rm(dir, { recursive: true }));
  const feed = fakeFeed();
  const meters = createMeters();
  const ejections = createEjections({ clock: systemClock, logger });
  const file = createTableFile(join(dir, 'table.json'));
  const keeper = createTableKeeper({ feed, file, meters, ejections, random: () => 0, clock: systemClock, logger });
  await keeper.start?.(new AbortController().signal);
  closers.push(() => keeper.stop?.());
  const instances = Object.entries(ports).map(([id, port]) => instanceOf(id, { url: `http://127.0.0.1:${port}` }));
  feed.reset(snapshotOf(instances));
  const current = () => keeper.current();
  const log = createRequestLog(64);
  const plane: DataPlane = createSocketDataPlane({
    name: 'traffic',
    host: '127.0.0.1',
    port: 0,
    policy: trafficPolicy({ current, log, ejections }),
    limits: defaultLimits,
    timeouts: { ...defaultTimeouts, connectMs },
    trustedProxies: [],
    announceInstance: true,
    via: 'switchyard',
    clock: systemClock,
    logger,
  });
  await plane.start(new AbortController().signal);
  closers.push(() => plane.stop());
  const ask = async () => {
    const startedMs = performance.now();
    const answer = await fetch(`http://127.0.0.1:${plane.address().port}/`, { signal: AbortSignal.timeout(5_000) });
    await answer.text();
    const instance = answer.headers.get('switchyard-instance') ?? '-';
    return { status: answer.status, instance, tookMs: performance.now() - startedMs };
  };
  const why = (): string =>
    whyNotIn(current(), 'shop')
      .map(({ id, reason }) => `${id}: ${reason}`)
      .join();
  return { ask, why, ejections, feed, keeper };
}

describe('an instance that fails', () => {
  it('whose address swallows connections delays one request, not those after it', async () => {
    const [hole, one, other] = [await blackHole(), await backEnd(), await backEnd()];
    const { ask, why, ejections } = await dispatcherFor({ a: hole, b: one.port, c: other.port });
    const first = await ask();
    expect([first.status, first.tookMs >= connectMs]).toEqual([200, true]);
    expect(why()).toBe(`a: ejected here for 1.0 s after: no connection within ${connectMs} ms`);
    const times: number[] = [];
    for (let turn = 0; turn < 30; turn += 1) {
      const { status, tookMs } = await ask();
      expect(status).toBe(200);
      times.push(tookMs);
    }
    expect(Math.max(...times)).toBeLessThan(connectMs);
    // on trial again after a second: one request finds out for all, and the next time is twice as long
    await eventually(() => why() === '', { timeoutMs: 2_000 });
    const trial = await Promise.all(Array.from({ length: 20 }, ask));
    expect(trial.filter(({ tookMs }) => tookMs >= connectMs)).toHaveLength(1);
    expect(trial.every(({ status }) => status === 200)).toBe(true);
    expect(why()).toBe(`a: ejected here for 2.0 s after: no connection within ${connectMs} ms`);
    expect([ejections.countOf('shop', 'a'), ejections.totals.connect]).toEqual([2, 2]);
  });

  it('with 503 is left out after five in a row, and back after the first good answer on trial', async () => {
    let status = 503;
    const [bad, good] = [await backEnd(() => status), await backEnd()];
    const { ask, why } = await dispatcherFor({ a: bad.port, b: good.port });
    for (let turn = 0; turn < 20; turn += 1) await ask();
    expect([bad.seen(), good.seen()]).toEqual([5, 15]);
    expect(why()).toBe('a: ejected here for 1.0 s after: 5 failures in a row, the last one: it answered 503');
    status = 200;
    await eventually(() => why() === '', { timeoutMs: 2_000 });
    const answers = [];
    for (let turn = 0; turn < 6; turn += 1) answers.push((await ask()).instance);
    expect(answers.filter((id) => id === 'a')).toHaveLength(3);
  });

  it('is asked all the same when it is the only one, or when the others are gone', async () => {
    const bad = await backEnd(() => 503);
    const alone = await dispatcherFor({ a: bad.port });
    for (let turn = 0; turn < 12; turn += 1) expect((await alone.ask()).instance).toBe('a');
    expect(alone.why()).toBe('');

    const good = await backEnd();
    const pair = await dispatcherFor({ a: bad.port, b: good.port });
    for (let turn = 0; turn < 12; turn += 1) await pair.ask();
    expect(pair.why()).toContain('a: ejected here');
    pair.feed.event('instance.evicted', { instance: instanceOf('b', { liveness: 'dead' }) });
    expect(pair.why()).toBe('b: evicted');
    expect(await pair.ask()).toMatchObject({ status: 503, instance: 'a' });
  });
});
