// Are the npm packages those of the lockfile, and which Node runs TypeScript as it is?
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { note, Problem } from './problem.mjs';
import { runCommand, tail } from './run-command.mjs';

/** Runs `npm ci` when the lockfile is another one than at the last install; a failed install is tried once more. */
export async function ensurePackages(root, { signal, run = runCommand } = {}) {
  const stamp = join(root, 'node_modules', '.switchyard-lock');
  const hash = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8').trim() === hash) return;

  const startedMs = performance.now();
  note('installing npm packages (once, about 40 s)');
  // npm would be removing the Node under its own feet if it ran on the one in node_modules: take the system's.
  const env = { ...process.env, PATH: pathWithoutPackages(process.env.PATH ?? '') };
  let result;
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    result = await run('npm', ['ci', '--loglevel=error'], { cwd: root, env, signal });
    if (result.code === 0) {
      mkdirSync(join(root, 'node_modules'), { recursive: true });
      writeFileSync(stamp, `${hash}\n`);
      note(`npm packages installed in ${Math.round((performance.now() - startedMs) / 1_000)} s`);
      return;
    }
    if (signal?.aborted || result.code === 127) break;
    if (attempt === 1) note('the install failed; trying once more');
  }
  if (result.code === 127) {
    throw new Problem('npm is not on PATH.', { next: 'install npm (it comes with Node), then run `npm start` again.' });
  }
  throw new Problem(`npm ci failed twice. Its last lines:\n${tail(result.output)}`, {
    next:
      'check the network and the registry (npm config get registry; npm ping), then run `npm start` again. ' +
      'If the lockfile itself is refused ("Missing ... from lock file"), run `npm run lock`.',
  });
}

/** PATH without any node_modules/.bin. */
export function pathWithoutPackages(path) {
  const isPackages = (entry) => entry.replaceAll('\\', '/').replace(/\/$/, '').endsWith('node_modules/.bin');
  return path
    .split(delimiter)
    .filter((entry) => !isPackages(entry))
    .join(delimiter);
}

/** The Node that can run TypeScript sources: the one that npm installed, else the running one if it is new enough. */
export function findNode(root, running = { path: process.execPath, version: process.versions.node }) {
  const installed = join(root, 'node_modules', '.bin', 'node');
  if (existsSync(installed)) return installed;
  if (runsTypeScript(running.version)) return running.path;
  throw new Problem(`Node ${running.version} cannot run the services (Node 24, or at least 22.18, is needed).`, {
    next:
      `npm brings Node 24 for Linux on x64 and arm64 with glibc only, and this is ${process.platform} ${process.arch}; ` +
      'install Node 24 (https://nodejs.org) and run `npm start` with it.',
  });
}

/** Node strips types without a flag from 22.18 on (in 23 from 23.6 on). */
export function runsTypeScript(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major === 22) return minor >= 18;
  if (major === 23) return minor >= 6;
  return major >= 24;
}
