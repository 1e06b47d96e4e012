// Is there an S3-compatible store to test with, and if not, how does this system install one? OpenStack Swift, from Debian's packages.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { note } from './problem.mjs';
import { runCommand, tail } from './run-command.mjs';

const words = [
  'sh',
  '-c',
  `apt-get -q update || echo 'apt-get update failed, trying with the lists that are there'
DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install python3-swift`,
];

/**
 * Installs it where it is missing and apt-get is. Only tests need it: what goes wrong is noted, and those tests fail by themselves with
 * what to do.
 */
export async function ensureObjectServer({ env = process.env, signal, run = runCommand } = {}) {
  const there = await run('/usr/bin/python3', ['-c', 'import swift.proxy.server'], { env, signal });
  if (there.code === 0) return true;
  const places = (env.PATH ?? '').split(delimiter).filter((place) => place !== '');
  if (!places.some((place) => existsSync(join(place, 'apt-get')))) {
    note('there is no S3-compatible store to test with (OpenStack Swift), and no apt-get to install it');
    return false;
  }
  note('there is no S3-compatible store to test with; installing python3-swift with apt-get');
  const all = process.getuid?.() === 0 ? words : ['sudo', '-n', ...words];
  const { code, output } = await run(all[0], all.slice(1), { env, signal });
  if (code !== 0) note(`apt-get could not install python3-swift:\n${tail(output)}`);
  return code === 0;
}
