// Is anybody evicted who lives, when packets are lost or clocks step? Registry, two monitors and instances as real processes; the
// instances in a network namespace of their own, Redis under a clock of its own. Takes minutes, so it is not part of `npm test`.
//
//   node_modules/.bin/node tools/chaos/detection.mjs loss --percent 30 --seconds 600     every packet to and from the instances
//   ... clock                              Redis's clock steps an hour ahead, and back; then two instances are killed
//
// Needs root, iproute2 and iptables (loss), or gcc (clock): apt-get install iproute2 iptables gcc libc6-dev. Leaves with 1 when
// anybody alive was evicted, or anybody dead was not.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const root = join(import.meta.dirname, '..', '..');
const instanceCount = 6;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    percent: { type: 'string', default: '30' },
    seconds: { type: 'string', default: '600' },
    ttl: { type: 'string', default: '3s' },
  },
});
const [scenario = ''] = positionals;
const percent = Number(values.percent);
const seconds = Number(values.seconds);
if (!['loss', 'clock'].includes(scenario) || !(percent >= 0 && percent < 100) || !(seconds > 0)) {
  console.error('detection: say "loss" (--percent 0..99, --seconds n) or "clock".');
  process.exit(2);
}

const endings = [];
const children = new Set();
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (text) => console.log(`${new Date().toISOString().slice(11, 19)}  ${text}`);
const must = (command, ...words) => {
  const { status, stderr, error } = spawnSync(command, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${words.join(' ')}: ${error?.message ?? stderr.trim()}`);
};
const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '0.0.0.0', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
const start = (name, command, words, env = {}) => {
  const child = spawn(command, words, { env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] });
  children.add(child);
  child.once('error', (error) => console.error(`detection: ${name}: ${error.message}`));
  child.once('exit', () => children.delete(child));
  return child;
};
const startApp = async (app, { prefix = [], env }) => {
  const port = await freePort();
  const portName = { registry: 'REGISTRY', 'heartbeat-monitor': 'MONITOR', 'demo-backend': 'DEMO' }[app];
  const id = `${app}-${port}`;
  const words = [...prefix, process.execPath, join(root, 'apps', app, 'src/main.ts')];
  const child = start(id, words[0], words.slice(1), {
    NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
    SWITCHYARD_LOG_LEVEL: process.env.SWITCHYARD_LOG_LEVEL ?? 'error',
    SWITCHYARD_INSTANCE_ID: id,
    [`SWITCHYARD_${portName}_PORT`]: String(port),
    ...env,
  });
  return { id, port, child };
};
const read = async (url) => (await fetch(url, { signal: AbortSignal.timeout(5_000) })).json();
const livenessOf = async (registry) => {
  const { instances = [] } = await read(`${registry}/v1/services/shop/instances`);
  return new Map(instances.map(({ id, liveness }) => [id, liveness]));
};
const until = async (what, ms, test) => {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) {
    if (await test().catch(() => false)) return;
    await pause(100);
  }
  throw new Error(`${what}: not within ${ms} ms`);
};
const countOf = (events, type) => events.filter((event) => event.type === type).length;

/** A network with two ends: the registry's here, the instances' in a namespace that loses packets both ways. */
const lossyNetwork = () => {
  const space = `swl${process.pid}`;
  const [here, there] = [`swh${process.pid}`, `swt${process.pid}`];
  const subnet = `10.213.${process.pid % 250}`;
  must('ip', 'netns', 'add', space);
  endings.push(() => spawnSync('ip', ['netns', 'del', space]));
  must('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', space);
  must('ip', 'addr', 'add', `${subnet}.1/24`, 'dev', here);
  must('ip', 'link', 'set', here, 'up');
  for (const words of [
    ['addr', 'add', `${subnet}.2/24`, 'dev', there],
    ['link', 'set', there, 'up'],
    ['link', 'set', 'lo', 'up'],
  ]) {
    must('ip', '-n', space, ...words);
  }
  const inside = ['ip', 'netns', 'exec', space];
  return {
    inside,
    near: `${subnet}.1`,
    far: `${subnet}.2`,
    lose(share) {
      for (const [chain, flag] of [
        ['INPUT', '-i'],
        ['OUTPUT', '-o'],
      ]) {
        const rule = [chain, flag, there, '-m', 'statistic', '--mode', 'random', '--probability', String(share), '-j'];
        must(...inside, 'iptables', '-A', ...rule, 'DROP');
      }
    },
  };
};

/** A clock for redis-server that can be set while it runs. */
const steppedClock = (directory) => {
  const file = join(directory, 'clock');
  const library = join(directory, 'stepped-clock.so');
  must('gcc', '-shared', '-fPIC', '-O1', '-o', library, join(import.meta.dirname, 'stepped-clock.c'));
  const set = (offsetSeconds) => writeFileSync(file, String(offsetSeconds));
  set(0);
  return { set, env: { LD_PRELOAD: library, SWITCHYARD_CLOCK_FILE: file } };
};

const run = async () => {
  const directory = mkdtempSync(join(tmpdir(), 'switchyard-chaos-'));
  endings.push(() => rmSync(directory, { recursive: true, force: true }));
  const network = scenario === 'loss' ? lossyNetwork() : undefined;
  const clock = scenario === 'clock' ? steppedClock(directory) : undefined;
  const near = network?.near ?? '127.0.0.1';
  const far = network?.far ?? '127.0.0.1';
  const redisPort = await freePort();
  start(
    'redis',
    'redis-server',
    ['--port', String(redisPort), '--dir', directory, '--save', '', '--loglevel', 'warning'],
    {
      ...clock?.env,
    },
  );
  const common = { SWITCHYARD_REDIS_URL: `redis://127.0.0.1:${redisPort}` };
  const registry = await startApp('registry', { env: { ...common, SWITCHYARD_HOST: near } });
  const url = `http://${near}:${registry.port}`;
  const env = { ...common, SWITCHYARD_HOST: near };
  const monitors = [await startApp('heartbeat-monitor', { env }), await startApp('heartbeat-monitor', { env })];
  const backends = [];
  for (let n = 0; n < instanceCount; n += 1) {
    const own = {
      SWITCHYARD_HOST: far,
      SWITCHYARD_REGISTRY_URL: url,
      SWITCHYARD_DEMO_BEATS: 'registry',
      SWITCHYARD_DEMO_SERVICE: 'shop',
      SWITCHYARD_DEMO_TTL: values.ttl,
    };
    backends.push(await startApp('demo-backend', { prefix: network?.inside ?? [], env: own }));
  }
  const allAlive = async () =>
    [...(await livenessOf(url)).values()].filter((each) => each === 'alive').length === instanceCount;
  await until('a whole fleet', 30_000, allAlive);
  const [{ revision: from }] = (await read(`${url}/v1/events?limit=1`)).events;
  say(`${instanceCount} instances are alive, TTL ${values.ttl}, ${monitors.length} monitors`);

  const since = async () => {
    const { events } = await read(`${url}/v1/events?limit=1000&topics=instance`);
    return events.filter((event) => event.revision > from && event.subject.startsWith('shop/'));
  };
  if (network) {
    network.lose(percent / 100);
    say(`${percent} % of all packets are lost, both ways, for ${seconds} s`);
    for (let left = seconds; left > 0; left -= 30) {
      await pause(Math.min(30, left) * 1_000);
      const events = await since();
      say(`suspected ${countOf(events, 'instance.suspected')}, evicted ${countOf(events, 'instance.evicted')}`);
    }
  } else {
    for (const [offset, words] of [
      [3_600, 'an hour ahead'],
      [0, 'back by an hour'],
      [-3_600, 'an hour behind'],
      [0, 'ahead by an hour again'],
    ]) {
      clock.set(offset);
      say(`Redis's clock is set ${words}`);
      await pause(12_000);
      const events = await since();
      say(`suspected ${countOf(events, 'instance.suspected')}, evicted ${countOf(events, 'instance.evicted')}`);
    }
  }
  const wrong = (await since()).filter(({ type }) => type === 'instance.evicted');
  for (const { subject, data } of wrong) say(`WRONG: ${subject} was evicted: ${data.evidence?.detail}`);
  if (clock) {
    // right behind a step back its deadline lies an hour ahead
    clock.set(-3_600);
    const dead = backends.slice(0, 2);
    for (const { child } of dead) child.kill('SIGKILL');
    say('the clock is set back, and two instances are killed');
    const beganMs = performance.now();
    await until('two deaths seen', 20_000, async () => {
      const found = await livenessOf(url);
      return dead.every(({ id }) => (found.get(id) ?? 'dead') === 'dead');
    });
    say(`both are gone after ${((performance.now() - beganMs) / 1000).toFixed(1)} s`);
  }
  return wrong.length === 0;
};

let good = false;
const cleanUp = async () => {
  for (const child of children) child.kill('SIGKILL');
  await pause(200);
  for (const end of endings.toReversed()) end();
};
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void cleanUp().finally(() => process.exit(130)));
try {
  good = await run();
  say(good ? 'nobody alive was evicted' : 'FAILED');
} catch (error) {
  console.error(`detection: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  await cleanUp();
}
process.exitCode = good ? 0 : 1;
