// What is done in the bench `backup`, and how is each trial set up?
import { rmSync } from 'node:fs';
import { startGroup } from '../failover/redis-group.mjs';
import { startWriter } from './clients.mjs';
import { fill } from './data.mjs';
import { cronSeconds, loss } from './loss.mjs';
import { restore } from './restore.mjs';
import { bytesOf, sizes } from './sizes.mjs';
import { take } from './take.mjs';
import { startWorker } from './worker.mjs';

const writesPerSecond = 20_000;
const patienceMs = 600_000;
/** As Redis comes, where the bench of failovers does not wait; and what people have who fear for their data. */
const asItComes = ['--repl-diskless-sync-delay', '5'];
const appendOnly = ['--appendonly', 'yes'];
/** A primary that is busy with a fork, or saves, is not to be failed over in the middle of a measurement. */
const downAfterMs = 5_000;

/** Sets up, runs, and leaves nothing on the disk: the data of some trials is large. */
async function onGroup(trial, { size, args = [] }, run) {
  const { bench, stage, program, quick } = trial;
  const group = await startGroup(bench, { program, replicas: 1, downAfterMs, args: [...asItComes, ...args] });
  stage.logs.push(group.logs);
  const folders = [group.folder];
  const makeWorker = async () => {
    const worker = await startWorker(bench, { group, program, patienceMs });
    stage.logs.push(() => `--- backup-worker\n${worker.output()}`);
    folders.push(worker.repository);
    return worker;
  };
  try {
    const keys = await fill(group, { bytes: bytesOf(size, quick), valueBytes: size.valueBytes });
    return await run({ ...trial, group, keys, makeWorker, patienceMs, perSecond: writesPerSecond });
  } finally {
    await bench.processes.endAll();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
}

const taking = (size) => ({
  name: `backup-${size.name}`,
  number: 7,
  title: `7. a backup: ${size.title}`,
  size,
  run: (trial) =>
    onGroup(trial, { size }, async (ready) => {
      const worker = trial.peer.managed ? await ready.makeWorker() : undefined;
      await startWriter(trial.bench, { node: ready.group.nodes[0], perSecond: writesPerSecond });
      return take({ ...ready, worker });
    }),
});

const restoring = (size) => ({
  name: `restore-${size.name}`,
  number: 8,
  title: `8. back to before a FLUSHALL: ${size.title}`,
  size,
  run: (trial) =>
    onGroup(trial, { size, args: appendOnly }, async (ready) => {
      const worker = trial.peer.managed ? await ready.makeWorker() : undefined;
      const writer = await startWriter(trial.bench, { node: ready.group.nodes[0], perSecond: writesPerSecond });
      return restore({ ...ready, worker, writer });
    }),
});

export const backupWorks = [
  ...sizes.map(taking),
  ...sizes.map(restoring),
  {
    name: 'loss',
    number: 9,
    title: `9. all nodes and their disks are lost at once; by cron: a copy every ${cronSeconds} s`,
    run: (trial) =>
      onGroup(trial, { size: sizes[0] }, (ready) =>
        loss({ ...ready, makeWorker: trial.peer.managed ? ready.makeWorker : undefined }),
      ),
  },
];
