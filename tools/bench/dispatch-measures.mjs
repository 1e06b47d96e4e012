// How is one number of the bench `dispatch` taken? Each measure takes a running peer and gives its observations, the problems it
// met, and the part of the measured core that others had.
import { fileURLToPath } from 'node:url';
import { measurePaced } from './load/paced-load.mjs';
import { saturate } from './load/wrk.mjs';
import { residentBytesOf } from './process-costs.mjs';
import { pause } from './waiting.mjs';

const heldScript = fileURLToPath(new URL('load/held-connections.mjs', import.meta.url));
const idleConnections = 5_000;
const slowReaders = 100;
const settleMs = 1_000;
/** The paced client itself would be what is measured beyond this. */
const fastestPacedPerSecond = 15_000;

/** A rate that was not reached is told, not hidden: below this part of it the number is about something else. */
const reachedPart = 0.97;

const kindsOf = ({ path, bodyBytes }) => [
  { name: 'request', method: bodyBytes === undefined ? 'GET' : 'POST', path, bodyBytes, share: 1 },
];

/** CPU and latency at a rate that every peer should carry, evenly spaced. */
export async function fixedRate(bench, { peer, work, running, seconds }) {
  const { ratePerSecond } = work;
  const { port, pid } = running;
  const seen = await measurePaced(bench, { port, pid, ratePerSecond, seconds, kinds: kindsOf(work) });
  return {
    observations: {
      fixedCpuUs: seen.cpuUsPerRequest,
      fixedP50Ms: seen.p50Ms,
      fixedP99Ms: seen.p99Ms,
    },
    problems: problemsOf(peer, work, { seen, ratePerSecond }),
    foreignPart: seen.foreignPart,
  };
}

/** As fast as it answers: throughput and CPU. */
export async function saturated(bench, { peer, work, running, seconds, known }) {
  if (peer.unmeasured) return { observations: {}, problems: [] };
  const { port, pid } = running;
  const seen = await saturate(bench, {
    pid,
    seconds,
    url: `http://127.0.0.1:${port}${work.path}`,
    script: work.script,
  });
  known.saturatedPerSecond[peer.name] = seen.perSecond;
  const problems = seen.failed > 0 ? [`${peer.title}, ${work.name}, saturated: ${seen.failed} failed`] : [];
  return {
    observations: { saturatedPerSecond: seen.perSecond, saturatedCpuUs: seen.cpuUsPerRequest },
    problems,
    foreignPart: seen.foreignPart,
  };
}

/** Latency at half of what HAProxy carries (or the peer itself, if that is less), at random moments. */
export async function halfLoad(bench, { peer, work, running, seconds, known, round }) {
  const most = known.saturatedPerSecond;
  const carried = Math.min(most.haproxy ?? Infinity, most[peer.name] ?? Infinity, ...fallback(most, peer));
  if (!Number.isFinite(carried)) return { observations: {}, problems: [] };
  const ratePerSecond = Math.min(fastestPacedPerSecond, Math.round(carried / 2));
  const { port, pid } = running;
  const plan = { port, pid, ratePerSecond, seconds, kinds: kindsOf(work), connections: 64, spacing: 'random' };
  const seen = await measurePaced(bench, { ...plan, seed: round });
  return {
    observations: { halfRate: ratePerSecond, halfP50Ms: seen.p50Ms, halfP99Ms: seen.p99Ms, halfP999Ms: seen.p999Ms },
    problems: problemsOf(peer, work, { seen, ratePerSecond }),
    foreignPart: seen.foreignPart,
  };
}

/** Latency of quick answers while others at the same origins are slow. */
export async function fastAmongSlow(bench, { peer, work, running, seconds, round }) {
  const { port, pid } = running;
  const kinds = [
    { name: 'fast', method: 'GET', path: '/', share: 0.98 },
    { name: 'slow', method: 'GET', path: '/slow', share: 0.02, untimed: true },
  ];
  const plan = { port, pid, ratePerSecond: work.ratePerSecond, seconds, kinds, connections: 256, spacing: 'random' };
  const seen = await measurePaced(bench, { ...plan, seed: round });
  return {
    observations: { fastP50Ms: seen.p50Ms, fastP99Ms: seen.p99Ms, fastP999Ms: seen.p999Ms },
    problems: problemsOf(peer, work, { seen, ratePerSecond: work.ratePerSecond }),
    foreignPart: seen.foreignPart,
  };
}

/** Memory with 5,000 clients that have had one answer and rest. */
export const heldIdle = (bench, context) =>
  held(bench, {
    ...context,
    count: idleConnections,
    path: context.work.path,
    read: true,
    names: ['idleMiB', 'idleKiB'],
  });

/** Memory with 100 clients that ask for 100 MB and do not read. */
export const heldSlow = (bench, context) =>
  held(bench, { ...context, count: slowReaders, path: '/stream', read: false, names: ['slowMiB', 'slowKiB'] });

async function held(bench, { peer, running, count, path, read, names }) {
  const beforeBytes = residentBytesOf(running.pid);
  const crowd = await bench.processes.start({
    name: 'held connections',
    command: bench.node,
    args: [heldScript, JSON.stringify({ port: running.port, count, path, read })],
    core: bench.cores.others,
    talk: true,
  });
  try {
    const { good } = await crowd.next('held', 60_000);
    await pause(settleMs);
    const bytes = residentBytesOf(running.pid);
    const problems = good < count ? [`${peer.title}: only ${good} of ${count} connections could be held`] : [];
    const [total, each] = names;
    return { observations: { [total]: bytes / 2 ** 20, [each]: (bytes - beforeBytes) / count / 1_024 }, problems };
  } finally {
    await crowd.stop(500);
  }
}

// Without a proxy nothing is saturated: the least that any of the others carries.
function fallback(most, peer) {
  return peer.unmeasured && most.haproxy === undefined ? Object.values(most).slice(0, 1) : [];
}

function problemsOf(peer, work, { seen, ratePerSecond }) {
  const problems = [];
  const about = `${peer.title}, ${work.name}, ${ratePerSecond}/s`;
  const failed = Object.values(seen.failed).reduce((sum, count) => sum + count, seen.unanswered);
  if (failed > 0) problems.push(`${about}: ${failed} of ${seen.requests} failed (${JSON.stringify(seen.ends)})`);
  if (seen.perSecond < ratePerSecond * reachedPart) {
    problems.push(`${about}: only ${Math.round(seen.perSecond)}/s were answered`);
  }
  return problems;
}
