// Number 7: a backup, while 20,000 writes a second go on. How long it takes, how large it is, what users of the primary notice, and
// whether a Sentinel takes whoever copied for a replica.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { Problem } from '../../dev/problem.mjs';
import { groupName } from '../failover/redis-group.mjs';
import { nowMs } from '../failover/monotonic.mjs';
import { onPath } from '../processes.mjs';
import { pause } from '../waiting.mjs';
import { startProbe } from './clients.mjs';

/** Copies the data set of a node into a file, as a cron job does. */
export async function copyWithRedisCli(bench, { node, file, ms }) {
  const command = onPath('redis-cli');
  if (command === undefined)
    throw new Problem('redis-cli is not installed.', { next: 'install it with redis-server.' });
  const copying = await bench.processes.start({
    name: 'redis-cli --rdb',
    command,
    args: ['-p', String(node.port), '--rdb', file],
  });
  const timer = setTimeout(() => copying.kill(), ms);
  const { code } = await copying.ended;
  clearTimeout(timer);
  if (code !== 0) throw new Problem(`redis-cli --rdb ended with ${code}: ${copying.output().slice(-500)}`);
}

/** One backup of either kind; `worker` is there for ours. */
export async function take({ bench, group, worker, seconds, patienceMs }) {
  const [primary] = group.nodes;
  const probe = await startProbe(bench, primary);
  probe.begin();
  await pause(seconds * 1_000);
  const quiet = await probe.end();
  probe.begin();
  const startMs = nowMs();
  const taken = worker === undefined ? await byHand(bench, primary, patienceMs) : await ours(worker, patienceMs);
  const tookMs = nowMs() - startMs;
  const busy = await probe.end();
  return {
    backupSeconds: tookMs / 1_000,
    ...taken,
    quietP99Ms: quiet.p99Ms,
    addedP99Ms: Math.max(0, busy.p99Ms - quiet.p99Ms),
    worstMs: busy.worstMs,
    ghosts: await ghosts(group),
    workerMegabytes: worker?.peakMegabytes(),
  };
}

async function byHand(bench, node, ms) {
  const file = join(bench.directory, 'copied.rdb');
  await copyWithRedisCli(bench, { node, file, ms });
  return { storedMegabytes: statSync(file).size / 1_000_000 };
}

async function ours(worker, ms) {
  await worker.operate('/v1/backups', { group: groupName }, ms);
  const { backups } = await worker.get(`/v1/backups?group=${groupName}`);
  const newest = backups.toSorted((one, other) => other.label.localeCompare(one.label))[0];
  return { storedMegabytes: newest.bytes / 1_000_000 };
}

/** Replicas that Sentinels know and that there are not; at the Sentinel that knows most. */
async function ghosts(group) {
  const known = await Promise.all(
    group.sentinels.map(async (one) => (await one.ask(['SENTINEL', 'REPLICAS', groupName])).length),
  );
  return Math.max(...known) - (group.nodes.length - 1);
}
