// Number 9: all nodes of the group and their disks are gone at once. Which writes that were acknowledged can be restored? And what does
// it cost the source that they can?
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Problem } from '../../dev/problem.mjs';
import { ask as askRedis } from '../../dev/resp.mjs';
import { nowMs } from '../failover/monotonic.mjs';
import { freePorts } from '../free-ports.mjs';
import { cpuUsOf } from '../process-costs.mjs';
import { quantile } from '../statistics.mjs';
import { pause, until } from '../waiting.mjs';
import { startWriter } from './clients.mjs';
import { copyWithRedisCli } from './take.mjs';

/** In place of an hour. The kill comes at any moment of one such period. */
export const cronSeconds = 20;
const lookEveryMs = 100;

/** Kills everything under `perSecond` writes and asks how much of the acknowledged is restored. */
export async function loss(trial) {
  const { bench, group, makeWorker, program, patienceMs, perSecond } = trial;
  const writer = await startWriter(bench, { node: group.nodes[0], perSecond });
  const outcome = makeWorker === undefined ? await byCron(trial) : await byArchive(trial);
  const { file, worker, killedMs, ...observations } = outcome;
  const directory = join(bench.directory, `restored-${process.hrtime.bigint()}`);
  if (worker !== undefined) {
    await worker.operate('/v1/restores', { to: { time: 'now' }, target: { directory } }, patienceMs);
  } else mkdirSync(directory);
  const restored = await serverOf(bench, { program, directory, file, patienceMs });
  const { lost, lostForMs } = await writer.verify(restored, killedMs);
  return { ...observations, lostWrites: lost, lostForMs, workerMegabytes: worker?.peakMegabytes() };
}

async function killAll(group) {
  const killedMs = nowMs();
  await Promise.all([...group.nodes, ...group.sentinels].map((node) => node.kill()));
  return killedMs;
}

/** A copy every `cronSeconds`; the newest whole one is what there is. */
async function byCron({ bench, group, patienceMs }) {
  let newest;
  const over = new AbortController();
  const cron = (async () => {
    for (let round = 1; !over.signal.aborted; round += 1) {
      const startMs = nowMs();
      const file = join(bench.directory, `cron-${round}.rdb`);
      try {
        await copyWithRedisCli(bench, { node: group.nodes[0], file, ms: patienceMs });
        newest = file;
      } catch (error) {
        if (!over.signal.aborted) throw error;
      }
      while (!over.signal.aborted && nowMs() - startMs < cronSeconds * 1_000) await pause(50);
    }
  })();
  await until(() => newest, { what: 'the first copy', ms: patienceMs });
  await pause((0.5 + Math.random()) * cronSeconds * 1_000);
  over.abort();
  const killedMs = await killAll(group);
  await cron;
  return { file: newest, killedMs };
}

async function byArchive({ group, makeWorker, seconds }) {
  const [, source] = group.nodes;
  const busy = async () => {
    const before = cpuUsOf(source.pid());
    await pause(seconds * 1_000);
    return cpuUsOf(source.pid()) - before;
  };
  const alone = await busy();
  const worker = await makeWorker();
  const watched = await busy();
  const seen = [];
  const untilMs = nowMs() + (seconds + Math.random() * 5) * 1_000;
  while (nowMs() < untilMs) {
    const rpo = await worker.metric('archive_rpo_seconds');
    if (rpo >= 0) seen.push(rpo * 1_000);
    await pause(lookEveryMs);
  }
  if (seen.length === 0) throw new Problem('The worker tells no RPO.');
  const killedMs = await killAll(group);
  return {
    worker,
    killedMs,
    rpoP99Ms: quantile(Float64Array.from(seen).toSorted(), 0.99),
    addedCpuPercent: (watched / alone - 1) * 100,
  };
}

/** A server of its own that has loaded a file, or a directory that was made for it. */
async function serverOf(bench, { program, directory, file, patienceMs }) {
  const [port] = await freePorts(1);
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', ''];
  if (file === undefined) args.push('--appendonly', 'yes');
  else args.push('--dir', join(file, '..'), '--dbfilename', file.slice(file.lastIndexOf('/') + 1));
  const server = await bench.processes.start({ name: 'restored', command: program, args });
  await until(
    async () => {
      if (!server.isRunning()) throw new Problem(`the restored server ended: ${server.output().slice(-800)}`);
      return (await askRedis(port, ['PING'])) === 'PONG';
    },
    { what: 'the restored data is loaded', ms: patienceMs },
  );
  return { port };
}
