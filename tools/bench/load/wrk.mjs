// How much does a process carry when it is asked as fast as it answers? Measured with wrk.
import { fileURLToPath } from 'node:url';
import { Problem } from '../../dev/problem.mjs';
import { watchCpu } from '../process-costs.mjs';

const connections = 64;

/** One thread and 64 keep-alive connections at `url` for whole `seconds`: requests, req/s, CPU us a request of `pid`. */
export async function saturate(bench, { pid, url, seconds, script }) {
  const words = ['-t1', `-c${connections}`, `-d${Math.max(1, Math.round(seconds))}s`, '--timeout', '10s'];
  if (script !== undefined) words.push('-s', fileURLToPath(new URL(script, import.meta.url)));
  let output = '';
  const watched = watchCpu({ pid, core: bench.cores.measured });
  const wrk = await bench.processes.start({
    name: 'wrk',
    command: bench.wrk,
    args: [...words, url],
    core: bench.cores.others,
    onOutput: (chunk) => (output += chunk.toString('latin1')),
  });
  const late = setTimeout(() => wrk.kill(), (seconds + 30) * 1_000);
  await wrk.ended;
  clearTimeout(late);
  const { usedUs, foreignPart } = watched();
  const { requests, perSecond, failed } = readWrk(output);
  if (!(requests > 0)) throw new Problem(`wrk had no answer from ${url}.\n${output}${wrk.output()}`);
  return { requests, perSecond, failed, cpuUsPerRequest: usedUs / requests, foreignPart };
}

/** What wrk says at its end. `failed`: answers with 4xx and 5xx, and errors of sockets. */
export function readWrk(text) {
  const number = (pattern) => Number(pattern.exec(text)?.[1] ?? 0);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text) ?? [];
  return {
    requests: number(/(\d+) requests in /),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    failed: errors.slice(1).reduce((sum, count) => sum + Number(count), number(/Non-2xx or 3xx responses: (\d+)/)),
  };
}
