// What keeps the processes of the yard running? Each is started again after a crash, with a back-off, and ended on
// request; every start and end is recorded, so that also a killed yard leaves nothing behind.
import { spawn } from 'node:child_process';
import { closeSync, fstatSync } from 'node:fs';
import { calmMs, describeEnd, needsRestart, restartDelay } from './backoff.mjs';
import { signalTo } from './process-identity.mjs';
import { forgetProcess, recordProcess } from './run-records.mjs';

const shownCrashes = 5;

/**
 * Starts and watches one process.
 *
 * `spec`: `{ name, role, launch, mayLeave?, delays?, onEnd? }`. `launch({ restart, output })` resolves with
 * `{ command, args, cwd, env, note?, facts? }` and is asked anew before every start; `output`: the end of what it said before it
 * ended; `mayLeave`: a clean exit is the
 * process's own decision and is respected. `around`: `{ home, logs, say }`.
 *
 * @returns {{ name: string, role: string, pid: () => number | undefined, stop: (graceMs: number) => Promise<void>,
 *   kill: () => void }} `stop` resolves when it has ended: SIGTERM first, SIGKILL after `graceMs`.
 */
export function supervise(spec, { home, logs, say }) {
  const delay = restartDelay(spec.delays);
  let child;
  let stopping = false;
  let timer;
  let startedMs = 0;
  let reason;
  let logBytes = 0;
  let output = '';
  let crashesInRow = 0;
  let stopped = () => undefined;

  async function start() {
    const restart = reason !== undefined;
    try {
      const plan = await spec.launch({ restart, output });
      if (stopping) return stopped();
      const log = logs.open(spec.name);
      logBytes = fstatSync(log).size;
      // A group of its own: Ctrl-C reaches the supervisor alone, which ends everybody in the right order.
      child = spawn(plan.command, plan.args, {
        cwd: plan.cwd,
        env: plan.env,
        stdio: ['ignore', log, log],
        detached: true,
      });
      closeSync(log);
      startedMs = performance.now();
      watch(child);
      if (child.pid === undefined) return undefined;
      recordProcess(home, { name: spec.name, role: spec.role, pid: child.pid, ...plan.facts });
      if (restart) tellRestart(`restarted ${spec.name} (${reason})${plan.note ?? ''}, pid ${child.pid}`);
    } catch (error) {
      ended({ error: error.message });
    }
    return undefined;
  }

  // A service that cannot start at all must not scroll everything else off the terminal.
  function tellRestart(line) {
    if (crashesInRow < shownCrashes) say(line);
    else if (crashesInRow === shownCrashes) say(`${line}; it keeps crashing, further restarts are not shown`);
  }

  function watch(started) {
    started.once('error', (error) => {
      if (started.pid === undefined) ended({ error: error.message });
    });
    started.once('exit', (code, signal) => {
      // Whatever it had started itself (a scratch Redis, a save) shares its group and must not stay behind.
      signalTo(started.pid, 'SIGKILL', { group: true });
      forgetProcess(home, spec.name);
      output = logs.since(spec.name, logBytes);
      ended({ code, signal });
    });
  }

  function ended(end) {
    child = undefined;
    spec.onEnd?.();
    if (stopping) return stopped();
    if (!needsRestart(end, { mayLeave: spec.mayLeave ?? false })) {
      return say(`${spec.name} has left (exit 0); it is not started again`);
    }
    const livedMs = performance.now() - startedMs;
    crashesInRow = livedMs >= calmMs ? 1 : crashesInRow + 1;
    const text = describeEnd(end);
    // A start that fails never reaches the line about the restart: it is told here, once.
    if (end.error !== undefined && reason !== text) say(`${spec.name} ${text}; trying again`);
    reason = end.code > 0 ? `${text}, see ${logs.fileOf(spec.name)}` : text;
    timer = setTimeout(() => {
      starting = start();
    }, delay.next(livedMs));
    return undefined;
  }

  let starting = start();
  return {
    name: spec.name,
    role: spec.role,
    pid: () => child?.pid,
    async stop(graceMs) {
      stopping = true;
      clearTimeout(timer);
      // A start that is under way either becomes a child, or sees that it is to stop.
      await Promise.race([starting, new Promise((resolve) => setTimeout(resolve, graceMs).unref())]);
      const target = child;
      if (target === undefined) return;
      await new Promise((resolve) => {
        const hard = setTimeout(() => signalTo(target.pid, 'SIGKILL'), graceMs);
        stopped = () => {
          clearTimeout(hard);
          resolve();
        };
        signalTo(target.pid, 'SIGTERM');
        signalTo(target.pid, 'SIGCONT');
      });
    },
    kill() {
      stopping = true;
      clearTimeout(timer);
      if (child !== undefined) signalTo(child.pid, 'SIGKILL', { group: true });
    },
  };
}
