// How far behind is the continuous archive, and what does it cost its source? Real processes on this machine: a primary, a replica, a worker.
// The worker runs as in the container image and in the yard: a small young generation, compiled code from a cache that is warm.
// node tools/bench/archive-lag.mjs [--seconds 20] [--writes 20000] [--bytes 100]
// The lag of a byte is the time from its arrival at the worker until the segment that holds it lies in the repository.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { directoryStore } from '../../apps/backup-worker/src/repository/directory-store.ts';
import { createSegmentStore } from '../../apps/backup-worker/src/repository/segment-store.ts';
import { encodeCommand } from '../../libs/replication-link/src/index.ts';
import { freePort, startSentinelGroup } from '../../libs/testing/src/index.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    writes: { type: 'string', default: '20000' },
    bytes: { type: 'string', default: '100' },
  },
});
const [seconds, writes, bytes] = [Number(values.seconds), Number(values.writes), Number(values.bytes)];
const ticksPerSecond = 100;
const everyMs = 10;

/** Seconds of CPU that a process has used. */
async function cpuOf(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

async function memoryOf(pid) {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  const kilobytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return { rssMb: Math.round(kilobytes('VmRSS') / 1024), peakMb: Math.round(kilobytes('VmHWM') / 1024) };
}

/** Writes at the given rate over one connection; resolves with how many were sent. */
async function load(node, forSeconds) {
  const socket = connect(node.port, node.host);
  socket.on('data', () => undefined);
  const value = 'x'.repeat(bytes);
  const startedMs = performance.now();
  let sent = 0;
  while (performance.now() - startedMs < forSeconds * 1_000) {
    const due = Math.floor(((performance.now() - startedMs) / 1_000) * writes);
    const batch = [];
    for (; sent < due; sent += 1) batch.push(encodeCommand(['SET', `key:${sent % 100_000}`, value]));
    if (batch.length > 0) socket.write(Buffer.concat(batch.map((one) => Buffer.from(one))));
    await sleep(everyMs);
  }
  socket.destroy();
  return sent;
}

async function measured(node, replica) {
  const before = await cpuOf(replica.pid);
  const startedMs = performance.now();
  const sent = await load(node, seconds);
  return { sent, cpu: (await cpuOf(replica.pid)) - before, seconds: (performance.now() - startedMs) / 1_000 };
}

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

const root = await mkdtemp(join(tmpdir(), 'switchyard-bench-archive-'));
const group = await startSentinelGroup({ replicas: 1, sentinels: 1, args: ['--repl-backlog-size', '64mb'] });
const [primary, replica] = group.nodes;
const alone = await measured(primary, replica);
const port = await freePort();
const start = () =>
  spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--max-semi-space-size=2',
      join(dirname(fileURLToPath(import.meta.url)), '../../apps/backup-worker/src/main.ts'),
    ],
    {
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: join(tmpdir(), 'switchyard-bench-compile-cache'),
        SWITCHYARD_BACKUP_PORT: String(port),
        SWITCHYARD_BACKUP_REPOSITORY: root,
        SWITCHYARD_BACKUP_EVERY: '1h',
        SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
        SWITCHYARD_LOG_LEVEL: 'error',
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
// The first life fills the cache.
const first = start();
await sleep(6_000);
first.kill('SIGTERM');
await once(first, 'exit');
const worker = start();
try {
  const segments = createSegmentStore({ store: directoryStore(root) });
  const signal = new AbortController().signal;
  for (let tries = 0; tries < 300; tries += 1) {
    if ((await segments.timelines('main', signal).catch(() => ({ timelines: [] }))).timelines.length > 0) break;
    await sleep(100);
  }
  await sleep(3_000);
  const idle = await memoryOf(worker.pid);
  const cpuBefore = await cpuOf(worker.pid);
  const archived = await measured(primary, replica);
  const workerCpu = (await cpuOf(worker.pid)) - cpuBefore;
  await sleep(1_500);
  const memory = await memoryOf(worker.pid);
  const [timeline] = (await segments.timelines('main', signal)).timelines;
  const lags = [];
  const { segments: list } = await segments.segments('main', timeline.id, signal);
  for (const { from, to } of list) {
    const header = await segments.header('main', timeline.id, { from, to }, signal);
    const name = `${String(from).padStart(16, '0')}-${String(to).padStart(16, '0')}.segment`;
    const storedAtMs = (await stat(join(root, 'main', 'stream', timeline.id, name))).mtimeMs;
    let at = from;
    for (const [position, arrivedAtMs] of header.value.times) {
      lags.push({ bytes: position - at, lagMs: storedAtMs - arrivedAtMs });
      at = position;
    }
  }
  lags.sort((a, b) => a.lagMs - b.lagMs);
  const each = lags.map(({ lagMs }) => Math.round(lagMs));
  const extra = archived.cpu / archived.seconds - alone.cpu / alone.seconds;
  console.log(
    JSON.stringify(
      {
        writesPerSecond: Math.round(archived.sent / archived.seconds),
        segments: list.length,
        lagMs: { p50: percentile(each, 0.5), p99: percentile(each, 0.99), max: each.at(-1) },
        sourceCpuPercent: {
          alone: Math.round((alone.cpu / alone.seconds) * 1_000) / 10,
          archived: Math.round((archived.cpu / archived.seconds) * 1_000) / 10,
          extra: Math.round(extra * 1_000) / 10,
        },
        workerCpuPercent: Math.round((workerCpu / archived.seconds) * 1_000) / 10,
        workerMemory: { idleMb: idle.rssMb, afterMb: memory.rssMb, peakMb: memory.peakMb },
      },
      null,
      2,
    ),
  );
} finally {
  worker.kill('SIGKILL');
  await group.stop();
  await rm(root, { recursive: true, force: true });
}
