// Which Docker engine and which compose command do the tests use? The machine's own; else an engine that lives as long as the test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../libs/testing/src/eventually.ts';
import { attempt, run, Unavailable } from './command.mjs';

const script = (name) => join(import.meta.dirname, name);
const openMs = 300_000;

/**
 * An engine that is not looked for yet. `open()` finds or starts it and gives `{ env, own }`: the environment in which docker
 * reaches it, and whether it is ours alone; it rejects with Unavailable where there can be none. `close()` ends it if it was
 * started here, also while it is still being opened.
 */
export function createEngine() {
  let child;
  let exited;
  let folder;
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const close = async () => {
    if (child !== undefined && !hasEnded()) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await exited;
      clearTimeout(timer);
    }
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };

  return {
    close,
    async open() {
      // Short: the path of a socket in it may have 107 bytes at most.
      folder = mkdtempSync(join(tmpdir(), 'sy-engine-'));
      const log = join(folder, 'log');
      const descriptor = openSync(log, 'w');
      // A group of its own: whoever ends the test by its group leaves the engine to it, for cleaning up.
      child = spawn(script('ensure-engine.sh'), [folder], {
        stdio: ['ignore', descriptor, descriptor],
        detached: true,
      });
      closeSync(descriptor);
      exited = once(child, 'exit');
      const env = { ...process.env, DOCKER_HOST: `unix://${join(folder, 'docker.sock')}` };
      const answers = async () =>
        hasEnded() || (await attempt(['docker', 'info'], { env, timeoutMs: 5_000 })).code === 0;
      const opened = await eventually(answers, { timeoutMs: openMs, intervalMs: 200 }).catch(() => false);
      if (opened && !hasEnded()) {
        await emptyOwnEngine(env);
        return { env, own: true };
      }
      const reason = readFileSync(log, 'utf8').trimEnd().split('\n').at(-1);
      const code = hasEnded() ? child.exitCode : 'it does not answer';
      await close();
      if (code === 0) return { env: process.env, own: false };
      throw new Unavailable(code === 77 ? reason : `no Docker engine could be started (${code}): ${reason}`);
    },
  };
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
