// Where is a redis-server >= 7, and if there is none, how does this system install one?
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { note, Problem } from './problem.mjs';
import { runCommand, tail } from './run-command.mjs';

const usualPlaces = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/opt/homebrew/bin', '/home/linuxbrew/.linuxbrew/bin'];
const byHand =
  'install Redis 7 or newer (https://redis.io/docs/latest/operate/oss_and_stack/install/) or set SWITCHYARD_REDIS_SERVER to its redis-server; SWITCHYARD_REDIS_URL uses a Redis that runs already.';

// The distribution would start its Redis at once, on port 6379. Debian asks /usr/sbin/policy-rc.d first, 101 means no.
// A policy that was there is the administrator's and stays; ours goes also when the installation is interrupted.
const aptScript = `
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\\nexit 101\\n' > "$policy" && chmod 755 "$policy" || exit 1
fi
apt-get -q update || echo 'apt-get update failed, trying with the lists that are there'
DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install redis-server`;

/** How each package manager installs Redis; none of the others starts a service by installing it. */
export const packageManagers = [
  { name: 'apt-get', asRoot: true, words: ['sh', '-c', aptScript] },
  // Fedora 41 and RHEL 10 have Valkey in its place, with redis-server from a package of its own.
  {
    name: 'dnf',
    asRoot: true,
    words: ['sh', '-c', 'dnf -y install redis || dnf -y install valkey valkey-compat-redis'],
  },
  { name: 'apk', asRoot: true, words: ['apk', 'add', '--no-progress', 'redis'] },
  { name: 'brew', asRoot: false, words: ['brew', 'install', 'redis'] },
];

/** Major version in the answer to `redis-server --version` (also Valkey's), or undefined. */
export function majorVersion(text) {
  const found = /\b(?:Redis|Valkey) server v=(\d+)\./i.exec(text);
  return found ? Number(found[1]) : undefined;
}

/**
 * The path of a redis-server >= 7: SWITCHYARD_REDIS_SERVER, else from PATH, else newly installed.
 * Throws a Problem that says what to do. `install: false` gives undefined where it would install.
 */
export async function findRedisServer({ env = process.env, install = true, signal, run = runCommand } = {}) {
  const named = env.SWITCHYARD_REDIS_SERVER;
  if (named) {
    const major = await versionOf(named, run);
    if (major >= 7) return named;
    const wrong =
      major === undefined ? 'is not a redis-server that can be run' : `is Redis ${major}; 7 or newer is needed`;
    throw new Problem(`SWITCHYARD_REDIS_SERVER=${named} ${wrong}.`, { next: byHand });
  }
  const places = (env.PATH ?? '').split(delimiter).filter((place) => place !== '');
  const found = await firstGood(places, run);
  if (found.path) return found.path;
  if (!install) return undefined;

  await installRedis({ env, signal, run, places, tooOld: found.tooOld });
  const installed = await firstGood([...places, ...usualPlaces], run);
  if (installed.path) return installed.path;
  const what = installed.tooOld ? `only ${installed.tooOld} came` : 'there is still no redis-server';
  throw new Problem(`The package manager said yes, but ${what}.`, { next: byHand });
}

async function installRedis({ env, signal, run, places, tooOld }) {
  const missing = tooOld ?? 'no redis-server on PATH';
  const manager = packageManagers.find(({ name }) => places.some((place) => existsSync(join(place, name))));
  if (manager === undefined)
    throw new Problem(`There is ${missing}, and no apt-get, dnf, apk or brew.`, { next: byHand });
  const isRoot = process.getuid?.() === 0;
  const words = manager.asRoot && !isRoot ? ['sudo', '-n', ...manager.words] : manager.words;
  note(`there is ${missing}; installing it with ${manager.name}${words[0] === 'sudo' ? ' through sudo' : ''}`);
  const [command, ...rest] = words;
  const { code, output } = await run(command, rest, { env, signal });
  if (code === 0) return;
  const noSudo = words[0] === 'sudo' && (code === 127 || /password|a terminal is required|not allowed/i.test(output));
  const sudo = code === 127 ? 'there is no sudo' : 'sudo asks for a password';
  const why = noSudo ? `That needs root, and ${sudo} here.` : `Its last lines:\n${tail(output)}`;
  throw new Problem(`${manager.name} could not install Redis. ${why}`, {
    next:
      manager.name === 'brew'
        ? `brew install redis; or ${byHand}`
        : `sudo ${manager.name} ${manager.name === 'apk' ? 'add' : 'install'} ${manager.name === 'apt-get' ? 'redis-server' : 'redis'}; or ${byHand}`,
  });
}

async function firstGood(places, run) {
  let tooOld;
  for (const place of places) {
    const path = join(place, 'redis-server');
    if (!existsSync(path)) continue;
    const major = await versionOf(path, run);
    if (major >= 7) return { path };
    if (major !== undefined) tooOld ??= `${path}, which is Redis ${major} (7 or newer is needed)`;
  }
  return { tooOld };
}

async function versionOf(path, run) {
  const { code, output } = await run(path, ['--version']);
  return code === 0 ? majorVersion(output) : undefined;
}
