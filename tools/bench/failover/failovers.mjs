// Numbers 1 to 4: a primary that is killed, moved on purpose, or stopped for a while, under a writer that keeps a ledger.
import { pause, until } from '../waiting.mjs';
import { nowMs } from './monotonic.mjs';
import { groupName } from './redis-group.mjs';

/** Nothing of a process that was killed arrives later than this. */
const graceMs = 100;
/** The writer is at work for so long before anything happens. */
const warmMs = 1_500;
/** Sentinel turns a demoted primary into a replica after 10 s or so. */
const conversionMs = 13_000;

/** kill -9 of the primary, to the first write that is acknowledged afterwards. */
export async function crash({ group, writer }) {
  await pause(warmMs);
  const old = await group.primary();
  const killedMs = nowMs();
  await group.crash(old);
  const now = await group.primaryOtherThan(old);
  await writer.goesOn(killedMs, graceMs);
  await pause(2_000);
  const { acked, told } = await writer.stop([killedMs], graceMs);
  const { lost } = await writer.verify(now);
  return { firstAckMs: told[0].firstMs, acked, lost };
}

/** A planned switchover under load; the load goes on until also Sentinel has turned the old primary into a replica. */
export async function planned({ group, writer, manager, seconds }) {
  await pause(warmMs);
  const old = await group.primary();
  const before = await group.fullSyncs();
  const startMs = nowMs();
  if (manager === undefined) await group.sentinels[0].ask(['SENTINEL', 'FAILOVER', groupName]);
  else await manager.operate('switchover', {});
  const now = await group.primaryOtherThan(old);
  const leftMs = Math.min(seconds * 1_000, conversionMs) - (nowMs() - startMs);
  await pause(Math.max(500, leftMs));
  const { acked, told } = await writer.stop([startMs], 0);
  const { lost, lostForMs } = await writer.verify(now);
  return { gapMs: told[0].longestGapMs, acked, lost, lostForMs, fullSyncs: (await group.fullSyncs()) - before };
}

/** A primary that stops, is replaced, and wakes up: for how long does it take writes from somebody who stayed with it? */
export async function stale({ group, writer, stubborn }) {
  await pause(warmMs);
  const old = await group.primary();
  const stayed = await stubborn(`127.0.0.1:${old.knownPort}`);
  await pause(500);
  old.freeze();
  const now = await group.primaryOtherThan(old);
  await pause(1_500);
  const wokenMs = nowMs();
  old.resume();
  // until it is a replica that says so, and a little longer
  await until(async () => (await old.ask(['ROLE']))[0] === 'slave', {
    what: 'the old primary is a replica',
    ms: 40_000,
  });
  await pause(500);
  const [{ told }, { acked }] = [await stayed.stop([wokenMs], 0), await writer.stop([wokenMs], 0)];
  const { lost } = await stayed.verify(now);
  const ownLost = await writer.verify(now);
  await stayed.end();
  return { staleMs: told[0].lastMs ?? 0, staleWrites: told[0].count, staleLost: lost, acked, lost: ownLost.lost };
}
