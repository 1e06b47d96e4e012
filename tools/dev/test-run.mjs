// How does one step of `npm test` run? In a process group of its own, with a deadline, its output in a log file.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { signalTo } from './process-identity.mjs';

/** Removes result files of earlier runs: what is counted must come from this one. (Jest makes no folder for them.) */
export function clearResults(root, steps) {
  for (const file of steps.flatMap((step) => possibleFiles(root, step))) {
    rmSync(file, { force: true });
    mkdirSync(dirname(file), { recursive: true });
  }
}

/**
 * Runs a step. Resolves with `{ code, output, reports, seconds }`; a deadline that passes has code 124.
 * `signal` ends it, with everything that it started.
 */
export async function runStep(step, { root, env, log, signal, minutes }) {
  const startedMs = performance.now();
  const descriptor = openSync(log, 'w');
  const [command, ...words] = step.command;
  const child = spawn(command, words, {
    cwd: root,
    env: { ...env, ...step.env },
    stdio: ['ignore', descriptor, descriptor],
    detached: true,
  });
  closeSync(descriptor);
  const killGroup = () => child.pid && signalTo(child.pid, 'SIGKILL', { group: true });
  // First a chance to clean up: yards and containers of the tests are groups of their own.
  const end = () => {
    if (child.pid) signalTo(child.pid, 'SIGTERM', { group: true });
    setTimeout(killGroup, 10_000).unref();
  };
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end();
  }, minutes * 60_000);
  signal.addEventListener('abort', end, { once: true });
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (exitCode) => resolve(exitCode ?? 1));
  });
  clearTimeout(timer);
  signal.removeEventListener('abort', end);
  killGroup();
  const note = late ? `\nnot finished after ${minutes.toFixed(1)} minutes\n` : '';
  return {
    code: late ? 124 : code,
    output: readFileSync(log, 'utf8') + (code === 127 ? `\n${command}: not found\n` : '') + note,
    reports: resultFiles(root, step).map((file) => JSON.parse(readFileSync(file, 'utf8'))),
    seconds: (performance.now() - startedMs) / 1_000,
  };
}

function possibleFiles(root, { results }) {
  if (results === undefined) return [];
  return results.folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((project) => existsSync(join(root, folder, project, 'package.json')))
      .map((project) => join(root, folder, project, results.file)),
  );
}

function resultFiles(root, step) {
  return possibleFiles(root, step).filter((file) => existsSync(file));
}
