// Is the process that a file names still the one that was meant? Pids are used again; a pid with a start time is not.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** When a process started, as text that only identifies it; undefined when there is no such process. */
export function startTimeOf(pid) {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The name in parentheses may hold spaces and parentheses itself: count from the last one (proc(5), field 22).
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' ? undefined : fields[19];
    }
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Whether exactly the recorded process (pid and start time) still runs. */
export function isStill(record) {
  return record.startTime !== undefined && startTimeOf(record.pid) === record.startTime;
}

/** Sends a signal to a process, or to its whole group; false when it has already gone. */
export function signalTo(pid, signal, { group = false } = {}) {
  try {
    process.kill(group ? -pid : pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * Ends the recorded processes that still run: SIGTERM (and SIGCONT, for a frozen one), then SIGKILL after `graceMs`.
 * @returns the names of those that ran.
 */
export async function endRecorded(records, graceMs) {
  const running = records.filter(isStill);
  for (const { pid } of running) {
    signalTo(pid, 'SIGTERM');
    signalTo(pid, 'SIGCONT');
  }
  const deadlineMs = performance.now() + graceMs;
  while (running.some(isStill) && performance.now() < deadlineMs) await pause(50);
  for (const record of running) {
    if (isStill(record)) signalTo(record.pid, 'SIGKILL');
    // What it had started itself has no record of its own, but shares its group.
    signalTo(record.pid, 'SIGKILL', { group: true });
  }
  return running.map(({ name }) => name);
}

/** Resolves after `ms`. */
export function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
