// On what was it measured? Facts without which a number means nothing; no names of hosts or places.
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { runCommand } from '../dev/run-command.mjs';
import { onPath } from './processes.mjs';

/** Facts of this machine. `node` is the Node that runs the measured processes. */
export async function machineFacts(node) {
  const { output } = await runCommand(node, ['--version']);
  return {
    date: new Date().toISOString(),
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: output.trim(),
    pinned: onPath('taskset') !== undefined,
  };
}

/** Processes that wanted a CPU, mean of the last minute. Above 1 or so before the bench, its numbers are doubtful. */
export function loadAverage() {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** Which core is for whom: the measured process has one alone. On a machine with one core all share it. */
export function coresFor(count = availableParallelism()) {
  return { measured: 0, others: count > 1 ? 1 : 0, rest: count > 2 ? 2 : Math.min(1, count - 1) };
}
