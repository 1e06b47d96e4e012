// The whole of Switchyard as a peer: Redis, registry, heartbeat-monitor and dispatcher, each a process. Only the dispatcher is
// on the measured core; what it costs is counted, the others share a core with the origins.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Problem } from '../../dev/problem.mjs';
import { findRedisServer } from '../../dev/redis-server.mjs';
import { freePorts } from '../free-ports.mjs';
import { registeredScript } from '../origin/origins.mjs';
import { ask, until } from '../waiting.mjs';
import { ownVersion } from './engine.mjs';
import { peerFolder } from './start-peer.mjs';

const service = 'demo-backend';

/** In front of origins that were there before: they are registered by the bench and never beat. */
export const dispatcher = {
  name: 'ours-dispatcher',
  title: 'Switchyard dispatcher',
  redirects: true,
  prepare,
  async start(bench, { port, origins, prepared }) {
    const yard = await startYard(bench, dispatcher, { port, prepared });
    await Promise.all(origins.map((one, index) => register(yard, String.fromCodePoint(97 + index), one)));
    await put(yard, '/v1/routes/redirect', { service, pathPrefix: '/redirect', action: 'redirect' });
    const follows = async () => (await ask(`http://127.0.0.1:${port}/redirect/x`)).status === 307;
    await until(follows, { what: 'the dispatcher knows its routes' });
    return yard;
  },
};

/** In front of origins with our agent in them, which register themselves, beat, and leave. */
export const wholeYard = {
  name: 'ours',
  title: 'Switchyard',
  redirects: false,
  prepare,
  start: async (bench, { port, prepared }) => {
    const yard = await startYard(bench, wholeYard, { port, prepared });
    const { registryUrl, redisPort } = yard;
    return { ...yard, originPlan: { script: registeredScript, service, registryUrl, redisPort } };
  },
};

async function prepare({ root, install }) {
  const program = await findRedisServer({ install });
  if (program === undefined) {
    throw new Problem('redis-server is not installed: installing was not wanted.', {
      next: 'install Redis 7 or newer, or run the bench without --no-install.',
    });
  }
  return { redis: program, version: ownVersion(root) };
}

async function startYard(bench, peer, { port, prepared }) {
  const folder = peerFolder(bench, peer);
  const [redisPort, registry, monitor, own, control] = await freePorts(5);
  const env = yardEnvironment({ redisPort, registry, folder });
  const registryUrl = `http://127.0.0.1:${registry}`;
  const parts = [];
  const begin = async (name, more) => {
    const part = await bench.processes.start({ name, cwd: bench.root, env, core: bench.cores.rest, ...more });
    parts.push(part);
    return part;
  };
  const stop = async () => {
    for (const part of parts.reverse()) await part.stop(3_000);
  };
  try {
    const redisArgs = ['--port', redisPort, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
    await begin('redis', { command: prepared.redis, args: redisArgs.map(String) });
    await begin('registry', app(bench, 'registry', { ...env, SWITCHYARD_REGISTRY_PORT: String(registry) }));
    await begin('monitor', app(bench, 'heartbeat-monitor', { ...env, SWITCHYARD_MONITOR_PORT: String(monitor) }));
    const measured = await begin('dispatcher', {
      ...app(bench, 'dispatcher', {
        ...env,
        SWITCHYARD_DISPATCHER_PORT: String(own),
        SWITCHYARD_DISPATCHER_TRAFFIC_PORT: String(port),
        SWITCHYARD_DISPATCHER_CONTROL_PORT: String(control),
      }),
      core: bench.cores.measured,
    });
    for (const [name, at] of Object.entries({ registry, monitor, dispatcher: own })) {
      const isReady = async () => (await ask(`http://127.0.0.1:${at}/readyz`)).status === 200;
      await until(isReady, { what: `${name} is ready`, ms: 30_000 });
    }
    return {
      port,
      pid: measured.pid,
      isRunning: measured.isRunning,
      output: measured.output,
      registryUrl,
      redisPort,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function app({ node, root }, name, env) {
  const telemetry = pathToFileURL(join(root, 'libs/runtime/src/telemetry.ts')).href;
  return { command: node, args: ['--import', telemetry, join(root, 'apps', name, 'src/main.ts')], env };
}

/** Nothing of the caller's settings: the defaults are what is measured. */
function yardEnvironment({ redisPort, registry, folder }) {
  const state = join(folder, 'state');
  mkdirSync(state, { recursive: true });
  return {
    PATH: process.env.PATH,
    SWITCHYARD_REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    SWITCHYARD_REGISTRY_URL: `http://127.0.0.1:${registry}`,
    SWITCHYARD_STATE_DIR: state,
    SWITCHYARD_LOG_LEVEL: 'warn',
  };
}

function register(yard, id, port) {
  const body = { url: `http://127.0.0.1:${port}`, ttl: '1h', check: { type: 'none' } };
  return put(yard, `/v1/services/${service}/instances/${id}`, body);
}

async function put({ registryUrl }, path, body) {
  const headers = { 'content-type': 'application/json' };
  const { status, body: text } = await ask(registryUrl + path, {
    method: 'PUT',
    headers,
    body: JSON.stringify(body),
    ms: 5_000,
  });
  if (status >= 300) throw new Error(`PUT ${path}: ${status} ${text}`);
}
