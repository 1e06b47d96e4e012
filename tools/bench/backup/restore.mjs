// Number 8: somebody types FLUSHALL. How long from the order to the old data, for how long can nobody write and nobody read, and what is
// lost? By hand: the steps of the Redis manual, scripted, without the minutes that a person needs to find and to type them.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { infoOf } from '../failover/redis-group.mjs';
import { nowMs } from '../failover/monotonic.mjs';
import { pause, until } from '../waiting.mjs';
import { startProbe, startWriter } from './clients.mjs';
import { loaded, missingOf } from './data.mjs';
import { copyWithRedisCli } from './take.mjs';

/** So long writes go on after the copy that a cron job made, and after the accident. */
const afterCopyMs = 3_000;
const afterAccidentMs = 1_000;

/** FLUSHALL and back. */
export async function restore({ bench, group, keys, worker, writer, patienceMs, perSecond }) {
  const [primary] = group.nodes;
  const probe = await startProbe(bench, primary);
  const file = join(bench.directory, 'last-night.rdb');
  if (worker === undefined) await copyWithRedisCli(bench, { node: primary, file, ms: patienceMs });
  await pause(afterCopyMs);
  await writer.stop();
  const accidentMs = nowMs();
  await primary.ask(['FLUSHALL'], 30_000);
  // Life goes on until somebody notices, and after the restore.
  const late = await startWriter(bench, { node: primary, perSecond, prefix: 'after' });
  await pause(afterAccidentMs);
  probe.begin();
  const orderMs = nowMs();
  const over = new AbortController();
  const seen = until(
    async () => over.signal.aborted || ((await primary.ask(['EXISTS', 'key:1'])) === 1 ? nowMs() : undefined),
    { what: 'a key of before the accident', ms: patienceMs, everyMs: 10 },
  );
  let backMs;
  try {
    await (worker === undefined ? byHand({ group, file, patienceMs }) : ours(worker, patienceMs));
    backMs = await seen;
    await until(() => areInSync(group), { what: 'the replicas are in sync', ms: patienceMs, everyMs: 20 });
  } finally {
    over.abort();
    await seen.catch(() => undefined);
  }
  const doneMs = nowMs();
  await pause(100);
  const { writeGapMs, readGapMs } = await probe.end();
  await late.stop();
  const { lost } = await writer.verify(primary, accidentMs);
  return {
    backSeconds: (backMs - orderMs) / 1_000,
    wholeSeconds: (doneMs - orderMs) / 1_000,
    noWritesMs: writeGapMs,
    noReadsMs: readGapMs,
    lostWrites: lost,
    missingKeys: await missingOf(primary, keys),
    workerMegabytes: worker?.peakMegabytes(),
  };
}

async function ours(worker, patienceMs) {
  await worker.operate('/v1/rollbacks', { to: { before: 'FLUSHALL' }, diff: 'counts' }, patienceMs);
}

/**
 * Sentinels away, or they would make the empty replica primary; nodes away; the copy in place of the append-only file, which would win
 * over it; the primary, its replicas, the Sentinels again.
 */
async function byHand({ group, file, patienceMs }) {
  const [primary, ...replicas] = group.nodes;
  await Promise.all(group.sentinels.map((one) => one.kill()));
  for (const node of group.nodes) {
    await node.ask(['SHUTDOWN', 'NOSAVE'], 10_000).catch(() => undefined);
    await node.kill();
    rmSync(join(node.dir, 'appendonlydir'), { recursive: true, force: true });
    rmSync(join(node.dir, 'dump.rdb'), { force: true });
  }
  writeAppendOnly(primary.dir, file);
  await primary.start(patienceMs);
  await loaded(primary, patienceMs);
  await Promise.all(replicas.map((node) => node.start(patienceMs)));
  await Promise.all(group.sentinels.map((one) => one.start()));
}

function writeAppendOnly(dir, file) {
  const folder = join(dir, 'appendonlydir');
  mkdirSync(folder, { recursive: true });
  copyFileSync(file, join(folder, 'appendonly.aof.1.base.rdb'));
  writeFileSync(join(folder, 'appendonly.aof.manifest'), 'file appendonly.aof.1.base.rdb seq 1 type b\n');
}

async function areInSync({ nodes: [primary, ...replicas] }) {
  const offset = Number(infoOf(await primary.ask(['INFO', 'replication']), 'master_repl_offset'));
  const links = await Promise.all(replicas.map((node) => node.ask(['INFO', 'replication'])));
  return links.every(
    (text) =>
      infoOf(text, 'master_link_status') === 'up' && Number(infoOf(text, 'slave_repl_offset')) >= offset - 1_000_000,
  );
}
