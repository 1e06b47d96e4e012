// Who cleans up when the yard itself is killed (kill -9, out of memory)? This: a shell that waits for the end of a
// pipe whose other end only the yard holds, and then runs this file. An orderly yard ends the shell first.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { endLeftovers, removeRecords } from './run-records.mjs';

/** Starts the guard of `home`; `removeHome` for a home that must not survive. Call the result to dismiss it. */
export function postGuard(home, { removeHome = false } = {}) {
  const self = fileURLToPath(import.meta.url);
  // The shell costs 1 MB; Node is loaded only when there is something to do.
  const words = ['-c', 'read -r _; exec "$@"', 'switchyard-guard', process.execPath, self, home];
  const guard = spawn('/bin/sh', removeHome ? [...words, '--remove'] : words, {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.on('error', () => undefined);
  guard.stdin.on('error', () => undefined);
  guard.unref();
  guard.stdin.unref();
  return () => guard.kill('SIGKILL');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [home, remove] = process.argv.slice(2);
  await endLeftovers(home);
  removeRecords(home);
  if (remove === '--remove') rmSync(home, { recursive: true, force: true });
}
