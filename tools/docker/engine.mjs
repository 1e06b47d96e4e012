// Which Docker engine and which compose command do the tests use? The machine's own; else an engine that lives as long as the test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../libs/testing/src/eventually.ts';
import { attempt, run, Unavailable } from './command.mjs';

const script = (name) => join(import.meta.dirname, name);
const installMs = 300_000;

/**
 * Finds or starts an engine. `env` is the environment in which docker reaches it; `own` says that it is ours alone;
 * `close()` ends it if it was started here. Rejects with Unavailable where there can be none.
 */
export async function openEngine() {
  // Short: the path of a socket in it may have 107 bytes at most.
  const folder = await mkdtemp(join(tmpdir(), 'sy-engine-'));
  const log = join(folder, 'log');
  const descriptor = openSync(log, 'w');
  // A group of its own: whoever ends the test by its group leaves the engine to it, for cleaning up.
  const child = spawn(script('ensure-engine.sh'), [folder], {
    stdio: ['ignore', descriptor, descriptor],
    detached: true,
  });
  closeSync(descriptor);
  const exited = once(child, 'exit').then(([code]) => code);
  const close = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await exited;
      clearTimeout(timer);
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };

  const env = { ...process.env };
  const ownEnv = { ...env, DOCKER_HOST: `unix://${join(folder, 'docker.sock')}` };
  const answers = () => attempt(['docker', 'info'], { env: ownEnv, timeoutMs: 5_000 }).then(({ code }) => code === 0);
  const ended = await Promise.race([
    exited,
    eventually(answers, { timeoutMs: installMs, intervalMs: 200, what: 'an engine' }).then(
      () => 'running',
      () => 'silent',
    ),
  ]);
  if (ended === 'running') {
    await emptyOwnEngine(ownEnv);
    return { env: ownEnv, own: true, close };
  }
  const reason = readFileSync(log, 'utf8').trimEnd().split('\n').at(-1);
  await close();
  if (ended === 0) return { env, own: false, close: async () => undefined };
  throw new Unavailable(ended === 77 ? reason : `no Docker engine could be started (${ended}): ${reason}`);
}

// What a test left that was killed: our engine starts it again.
async function emptyOwnEngine(env) {
  const containers = idsIn(await run(['docker', 'ps', '--all', '--quiet'], { env }));
  if (containers.length > 0) await run(['docker', 'rm', '--force', '--volumes', ...containers], { env });
  await run(['docker', 'network', 'prune', '--force'], { env });
  const volumes = await run(['docker', 'volume', 'ls', '--quiet'], { env });
  const names = volumes.split('\n').filter((line) => /^\w[\w.-]+$/.test(line));
  if (names.length > 0) await run(['docker', 'volume', 'rm', ...names], { env });
}

/** Ids of containers or images in the output of `docker ... --quiet`, without warnings. */
export function idsIn(output) {
  return output.split('\n').flatMap((line) => /^(?:sha256:)?([0-9a-f]{12,64})$/.exec(line.trim())?.[1] ?? []);
}

/**
 * The compose command: `{ version: 'v1' | 'v2', words, env }`. `wanted` allows only that version. Compose v2 is fetched where
 * it is missing; docker-compose 1.29 is taken when that fails.
 */
export async function findCompose(env, wanted) {
  const version = async (words, environment) => {
    const { code, output } = await attempt([...words, 'version', '--short'], { env: environment });
    return code === 0 ? `v${/(\d+)\.\d+\.\d+/.exec(output)?.[1] === '1' ? '1' : '2'}` : undefined;
  };
  const plugin = ['docker', 'compose'];
  const standalone = ['docker-compose'];
  if (wanted !== 'v1') {
    if ((await version(plugin, env)) === 'v2') return { version: 'v2', words: plugin, env };
    const config = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'switchyard', 'docker-config');
    const fetched = await attempt([script('get-compose.sh'), config], { env, timeoutMs: 120_000 });
    const withPlugin = { ...env, DOCKER_CONFIG: config };
    if (fetched.code === 0 && (await version(plugin, withPlugin)) === 'v2') {
      return { version: 'v2', words: plugin, env: withPlugin };
    }
  }
  const found = await version(standalone, env);
  if (found !== undefined && (wanted === undefined || wanted === found))
    return { version: found, words: standalone, env };
  throw new Unavailable(
    `there is no ${wanted === undefined ? '' : `${wanted} of `}docker compose, and it could not be fetched`,
  );
}

/** The base images: the usual ones when they are here or can be pulled, else stand-ins. `{ node, redis, standIns }` */
export async function baseImages(env) {
  const usual = { node: 'node:24-bookworm-slim', redis: 'redis:8' };
  const got = await Promise.all(
    Object.values(usual).map(async (image) => {
      const here = await attempt(['docker', 'image', 'inspect', image], { env });
      return (
        here.code === 0 || (await attempt(['docker', 'pull', '--quiet', image], { env, timeoutMs: 180_000 })).code === 0
      );
    }),
  );
  if (got.every(Boolean)) return { ...usual, standIns: false };
  const { code, output } = await attempt([script('standin-images.sh')], { env, timeoutMs: 300_000 });
  const lines = output.trimEnd().split('\n');
  if (code !== 0) throw new Unavailable(`base images can neither be pulled nor made here: ${lines.at(-1)}`);
  const named = (name) => lines.findLast((line) => line.startsWith(`${name}=`))?.slice(name.length + 1);
  return { node: named('NODE_IMAGE'), redis: named('REDIS_IMAGE'), standIns: true };
}
