// Where is a program that comes from the distribution, and if it is missing, can it be installed?
import { note, Problem } from '../dev/problem.mjs';
import { runCommand, tail } from '../dev/run-command.mjs';
import { onPath } from './processes.mjs';

// Debian would start the service of a package at once, on port 80 or so. It asks /usr/sbin/policy-rc.d first, 101 means no.
const script = `
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\\nexit 101\\n' > "$policy" && chmod 755 "$policy" || exit 1
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends install "$1"; }
install "$1" || { apt-get -q update && install "$1"; }`;

/** The path of a program; installs its package when `install` and this is root on a system with apt-get. */
export async function debianProgram({ program, name = program, install }) {
  const there = onPath(program);
  if (there !== undefined) return there;
  const byHand = `sudo apt-get install --no-install-recommends ${name}`;
  const missing = (why) => new Problem(`${program} is not installed: ${why}.`, { next: byHand });
  if (!install) throw missing('installing was not wanted');
  if (onPath('apt-get') === undefined) throw missing('there is no apt-get on this system');
  if (process.getuid?.() !== 0) throw missing('installing it needs root');
  note(`installing ${name} with apt-get; its service is not started`);
  const { code, output } = await runCommand('sh', ['-c', script, 'install', name]);
  const path = code === 0 ? onPath(program) : undefined;
  if (path === undefined) throw missing(`apt-get did not bring it. Its last lines:\n${tail(output, 5)}`);
  return path;
}

/** The version in the answer of a program to these words. */
export async function versionOf(path, words) {
  const { output } = await runCommand(path, words);
  return /\d+\.\d+(?:\.\d+)?/.exec(output)?.[0] ?? 'unknown';
}
