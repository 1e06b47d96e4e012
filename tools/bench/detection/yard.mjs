// Switchyard as a peer: Redis, registry, two heartbeat-monitors, dispatcher, and instances, each a process; driven over HTTP only.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '../../dev/problem.mjs';
import { findRedisServer } from '../../dev/redis-server.mjs';
import { versionOf } from '../debian-packages.mjs';
import { freePorts } from '../free-ports.mjs';
import { ownVersion } from '../peers/engine.mjs';
import { ask, until } from '../waiting.mjs';
import { measureAppearances } from './appearances.mjs';
import { createFleet } from './fleet.mjs';
import { startRedisNode } from './redis-node.mjs';
import { createSightings } from './sightings.mjs';
import { watchService } from './stream-watch.mjs';

export const service = 'bench';
const scriptOf = (name) => fileURLToPath(new URL(name, import.meta.url));
const readyWithinMs = 20_000;
const ttlMs = 700;
const beatMs = 200;

export const yards = [
  yardPeer({
    name: 'ours',
    title: `Switchyard (agent, TTL ${ttlMs} ms)`,
    script: scriptOf('registered-instance.ts'),
    works: [
      'appear',
      'kill',
      'freeze',
      'wipe',
      'restart',
      'redis-stopped',
      'watchers-stopped',
      'leader-stopped',
      'dead',
    ],
  }),
  yardPeer({
    name: 'ours-beats',
    title: `Switchyard (HTTP beats alone, TTL ${ttlMs} ms)`,
    script: scriptOf('beating-instance.mjs'),
    works: ['kill', 'freeze', 'wipe', 'restart', 'redis-stopped', 'watchers-stopped', 'silent', 'dead'],
  }),
];

function yardPeer({ name, title, script, works }) {
  return {
    name,
    title,
    works,
    alone: true,
    /** A death takes less than a second here: there is time for more of them. */
    times: 2,
    prepare,
    start: (bench, options) => start(bench, { name, script, ...options }),
  };
}

/** The version, and where Redis is. */
export async function prepare({ root, install }) {
  const redis = await findRedisServer({ install });
  if (redis === undefined) throw new Problem('redis-server is not installed.', { next: 'install Redis 7 or newer.' });
  return { redis, version: `${ownVersion(root)}, Redis ${await versionOf(redis, ['--version'])}` };
}

async function start(bench, { name, script, prepared, size }) {
  const platform = await startPlatform(bench, { name, prepared, monitors: 2 });
  const { redis, registryUrl, parts } = platform;
  const sightings = createSightings();
  const watch = watchService({ registryUrl, service, sightings });
  const begin = async (id) => {
    const plan = { id, service, registryUrl, ttl: `${ttlMs}ms`, ttlMs, beatMs };
    const process = await bench.processes.start({
      name: `instance ${id}`,
      command: bench.node,
      args: [script, JSON.stringify(plan)],
      cwd: bench.root,
      env: { PATH: globalThis.process.env.PATH },
      talk: true,
    });
    return { process, ...(await process.next('ready', readyWithinMs)) };
  };
  const fleet = createFleet({ start: begin, sightings, size });
  const monitors = parts.filter((part) => part.name.startsWith('monitor'));
  return {
    redis,
    sightings,
    fleet,
    settleMs: 4_000,
    watchers: () => monitors.map((part) => part.process),
    leader: async () => (await until(() => leaderAmong(monitors), { what: 'a monitor leads' })).process,
    appearances: (options) =>
      measureAppearances({ registryUrl, trafficPort: platform.trafficPort, sightings }, options),
    async stop() {
      watch.stop();
      await fleet.endAll();
      await platform.stop();
    },
  };
}

/** The services, ready. `parts` is `[{ name, port, process }]`. */
export async function startPlatform(bench, { name, prepared, monitors }) {
  const folder = join(bench.directory, name);
  mkdirSync(join(folder, 'state'), { recursive: true });
  const redis = await startRedisNode(bench, { program: prepared.redis, folder });
  const [registryPort, dispatcherPort, trafficPort, controlPort, ...monitorPorts] = await freePorts(4 + monitors);
  const registryUrl = `http://127.0.0.1:${registryPort}`;
  const env = {
    PATH: process.env.PATH,
    SWITCHYARD_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    SWITCHYARD_REGISTRY_URL: registryUrl,
    SWITCHYARD_STATE_DIR: join(folder, 'state'),
    SWITCHYARD_LOG_LEVEL: 'warn',
  };
  const plans = [
    { name: 'registry', app: 'registry', port: registryPort, own: { SWITCHYARD_REGISTRY_PORT: registryPort } },
    ...monitorPorts.map((port, index) => ({
      name: `monitor ${index + 1}`,
      app: 'heartbeat-monitor',
      port,
      own: { SWITCHYARD_MONITOR_PORT: port },
    })),
    {
      name: 'dispatcher',
      app: 'dispatcher',
      port: dispatcherPort,
      own: {
        SWITCHYARD_DISPATCHER_PORT: dispatcherPort,
        SWITCHYARD_DISPATCHER_TRAFFIC_PORT: trafficPort,
        SWITCHYARD_DISPATCHER_CONTROL_PORT: controlPort,
      },
    },
  ];
  const parts = [];
  const stop = async () => {
    for (const { process } of parts.toReversed()) await process.stop(3_000);
    await redis.stop();
  };
  try {
    for (const { own, app, ...plan } of plans) {
      const settings = Object.fromEntries(Object.entries(own).map(([key, value]) => [key, String(value)]));
      const process = await bench.processes.start({
        name: plan.name,
        command: bench.node,
        args: [join(bench.root, 'apps', app, 'src/main.ts')],
        cwd: bench.root,
        env: { ...env, ...settings },
      });
      parts.push({ ...plan, process });
    }
    for (const { name: part, port } of parts) {
      const isReady = async () => (await ask(`http://127.0.0.1:${port}/readyz`)).status === 200;
      await until(isReady, { what: `${part} is ready`, ms: 30_000 });
    }
    return { redis, registryUrl, trafficPort, parts, stop };
  } catch (error) {
    const told = parts.map(({ process }) => process.output().trim()).filter((text) => text !== '');
    await stop();
    throw new Problem(`${error.message}\n${told.join('\n').slice(-1_500)}`);
  }
}

async function leaderAmong(monitors) {
  for (const monitor of monitors) {
    const { body } = await ask(`http://127.0.0.1:${monitor.port}/metrics`);
    if (/^switchyard_monitor_leader(?:\{[^}]*\})? 1$/m.test(body)) return monitor;
  }
  return undefined;
}
