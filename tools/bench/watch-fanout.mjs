// How soon do thousands of watchers of one registry know of a change, and what does one cost? Run by hand:
//   node tools/bench/watch-fanout.mjs [--watchers 10000] [--changes 20]
// One redis-server, one registry, and the watchers in a process of their own, on loopback; from the request that makes the change
// to the arrival at each watcher. All share the cores of this machine.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot as root } from '../dev/bootstrap.mjs';
import { Problem } from '../dev/problem.mjs';
import { findRedisServer } from '../dev/redis-server.mjs';
import { runCommand } from '../dev/run-command.mjs';
import { freePorts } from './free-ports.mjs';
import { loadAverage, machineFacts } from './machine.mjs';
import { cpuUsOf, residentBytesOf } from './process-costs.mjs';
import { createProcesses } from './processes.mjs';
import { median, quantile } from './statistics.mjs';
import { ask, pause, until } from './waiting.mjs';

const { values } = parseArgs({
  options: { watchers: { type: 'string', default: '10000' }, changes: { type: 'string', default: '20' } },
});
const watchers = Number(values.watchers);
const changes = Number(values.changes);
const OTHERS = 10;

const processes = createProcesses();
const directory = mkdtempSync(join(tmpdir(), 'switchyard-bench-'));
process.once('SIGINT', () => processes.killAll());
try {
  await measure();
} catch (error) {
  console.error(error instanceof Problem ? `switchyard: ${error.message}` : error);
  process.exitCode = 1;
} finally {
  await processes.endAll();
  rmSync(directory, { recursive: true, force: true });
}

async function measure() {
  const [redisPort, port] = await freePorts(2);
  const redisServer = await findRedisServer({ install: false });
  if (!redisServer) throw new Problem('there is no redis-server on PATH.');
  const args = ['--port', redisPort, '--bind', '127.0.0.1', '--save', '', '--dir', directory].map(String);
  const redis = await processes.start({ name: 'redis', command: redisServer, args });
  const registry = await processes.start({
    name: 'registry',
    command: process.execPath,
    args: [join(root, 'apps/registry/src/main.ts')],
    env: {
      ...process.env,
      SWITCHYARD_REDIS_URL: `redis://127.0.0.1:${redisPort}`,
      SWITCHYARD_REGISTRY_PORT: String(port),
    },
  });
  const url = `http://127.0.0.1:${port}`;
  const ready = async () => registry.isRunning() && (await ask(`${url}/readyz`)).status === 200;
  await until(ready, { what: 'the registry' }).catch((error) => {
    throw new Problem(`${error.message}\n${registry.output()}`);
  });
  const clients = await processes.start({
    name: 'watchers',
    command: process.execPath,
    args: [join(root, 'tools/bench/watch-clients.mjs')],
    talk: true,
  });

  const machine = await machineFacts(process.execPath);
  const version = (await runCommand(redisServer, ['--version'])).output.match(/v=(\S+)/)?.[1];
  console.log(`Redis ${version}, Node ${machine.node}, ${machine.cores} cores, load before ${loadAverage()}`);
  await change(url, 0);
  await openMore(clients, { count: OTHERS, port });
  const few = await round({ url, clients, redis, registry, redisPort }, OTHERS);
  await pause(2_000);
  const before = residentBytesOf(registry.pid);
  const openedMs = performance.now();
  await openMore(clients, { count: watchers - OTHERS, port });
  const openMs = performance.now() - openedMs;
  await pause(2_000);
  const bytes = (residentBytesOf(registry.pid) - before) / (watchers - OTHERS);
  const many = await round({ url, clients, redis, registry, redisPort }, watchers);
  for (const { count, ...found } of [few, many]) {
    console.log(
      `${count} watchers, ${changes} changes: p50 ${found.p50} ms, p99 ${found.p99} ms, max ${found.max} ms; a change costs ` +
        `${found.cpuMs} ms CPU of the registry and ${found.commands} commands of Redis`,
    );
  }
  console.log(
    `${(bytes / 1024).toFixed(1)} KiB of resident memory a watcher; opened in ${(openMs / 1000).toFixed(1)} s`,
  );
  const longestMs = many.p99 > 200 ? ' (above the goal of 200 ms)' : '';
  console.log(`p99 ${many.p99} ms${longestMs}`);
}

async function openMore(clients, { count, port }) {
  clients.send({ open: count, port, path: '/v1/stream?service=bench' });
  await clients.next('open', 120_000);
}

async function round({ url, clients, registry, redisPort }, count) {
  const all = [];
  const costs = [];
  const commands = [];
  for (let n = 1; n <= changes; n += 1) {
    const cpuUs = cpuUsOf(registry.pid);
    const commandsBefore = await commandsOf(redisPort);
    const next = clients.next('heard', 20_000);
    clients.send({ expect: count });
    await pause(50);
    const startMs = Number(process.hrtime.bigint()) / 1e6;
    await change(url, n);
    const { atMs } = await next;
    all.push(...atMs.map((ms) => ms - startMs));
    await pause(200);
    costs.push((cpuUsOf(registry.pid) - cpuUs) / 1_000);
    commands.push((await commandsOf(redisPort)) - commandsBefore);
  }
  all.sort((a, b) => a - b);
  const rounded = (ms) => Math.round(ms * 10) / 10;
  return {
    count,
    p50: rounded(quantile(all, 0.5)),
    p99: rounded(quantile(all, 0.99)),
    max: rounded(all.at(-1)),
    cpuMs: rounded(median(costs)),
    commands: median(commands),
  };
}

async function change(url, n) {
  const path = `${url}/v1/services/bench/instances/a`;
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ url: 'http://127.0.0.1:9', weight: n + 1, check: { type: 'none' }, ttl: '10m' });
  const { status, body: text } = await ask(path, { method: 'PUT', headers, body });
  if (status >= 300) throw new Problem(`the change was refused: ${text}`);
}

async function commandsOf(port) {
  const { output } = await runCommand('redis-cli', ['-p', String(port), 'info', 'stats']);
  return Number(/total_commands_processed:(\d+)/.exec(output)?.[1]);
}
