// What did a process cost? CPU time and memory of it and of everything it started, from /proc (Linux).
import { readdirSync, readFileSync } from 'node:fs';

/** Us of CPU that the process and its descendants have used since they started, threads included. */
export function cpuUsOf(pid) {
  let ns = 0;
  for (const one of familyOf(pid)) {
    for (const thread of list(`/proc/${one}/task`)) {
      // first number: time on a CPU in ns (Documentation/scheduler/sched-stats.rst)
      ns += Number(read(`/proc/${one}/task/${thread}/schedstat`).split(' ')[0] || 0);
    }
  }
  return ns / 1_000;
}

/**
 * Watches a process (undefined: none) that should have this core to itself. Call the result at the end: `usedUs` is its CPU
 * time, `foreignPart` the part of the core (0 to 1) that went to anybody else meanwhile.
 */
export function watchCpu({ pid, core }) {
  const startMs = performance.now();
  const busyUs = coreBusyUs(core);
  const cpuUs = pid === undefined ? 0 : cpuUsOf(pid);
  return () => {
    const usedUs = pid === undefined ? 0 : cpuUsOf(pid) - cpuUs;
    const foreignUs = coreBusyUs(core) - busyUs - usedUs;
    return { usedUs, foreignPart: Math.max(0, foreignUs / 1_000 / (performance.now() - startMs)) };
  };
}

/** Us that a core was not idle since the machine started, in steps of 10 ms; time that the host took away counts, too. */
function coreBusyUs(core) {
  const numbers = new RegExp(`^cpu${core} (.*)$`, 'm').exec(read('/proc/stat'))?.[1].split(' ').map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = numbers;
  return (user + nice + system + irq + softirq + steal) * 10_000;
}

/** Bytes of memory that the process and its descendants hold now (resident; pages they share count for each). */
export function residentBytesOf(pid) {
  let kib = 0;
  for (const one of familyOf(pid)) kib += Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${one}/status`))?.[1] ?? 0);
  return kib * 1_024;
}

function familyOf(pid) {
  const children = new Map();
  for (const entry of list('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    // the name in parentheses may hold spaces: count from the last one (proc(5))
    const stat = read(`/proc/${entry}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const family = [pid];
  for (const one of family) family.push(...(children.get(one) ?? []));
  return family;
}

function list(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // it ended in between
    return '';
  }
}
