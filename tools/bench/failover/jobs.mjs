// Number 6: jobs through the kill, the freeze and the total blackout of their Redis.
import { fileURLToPath } from 'node:url';
import { pause, until } from '../waiting.mjs';
import { nowMs } from './monotonic.mjs';
import { groupName } from './redis-group.mjs';

const script = fileURLToPath(new URL('jobs-node.mjs', import.meta.url));
const warmMs = 2_000;
/** A group that keeps its data over a blackout. */
export const persistent = ['--appendonly', 'yes'];

const troubles = {
  async kill({ group }) {
    const old = await group.primary();
    await old.kill();
    await group.primaryOtherThan(old);
    await pause(6_000);
    return 0;
  },
  /** Long enough that a client that waits for the frozen one would show it; then it wakes up. */
  async freeze({ group, seconds }) {
    const old = await group.primary();
    old.freeze();
    await pause(Math.max(10, seconds) * 1_000);
    old.resume();
    await until(async () => (await old.ask(['ROLE']))[0] === 'slave', { what: 'the old one is a replica', ms: 40_000 });
    await pause(3_000);
    return 0;
  },
  /** Everything is gone, Sentinels too, and comes back after a while with the data that it had. */
  async blackout({ group, seconds }) {
    const all = [...group.nodes, ...group.sentinels];
    await Promise.all(all.map((one) => one.kill()));
    await pause(seconds * 1_000);
    await Promise.all(all.map((one) => one.start()));
    const backMs = nowMs();
    await until(() => group.primary(), { what: 'the Sentinels name a primary', ms: 30_000 });
    await pause(8_000);
    return backMs;
  },
};

/** `stallMs`: the longest time without a finished job; for a blackout counted from the moment when everything is back. */
export async function jobs({ bench, group, client, seconds, trouble }) {
  const plan = { client, place: { sentinels: group.sentinelAddresses, group: groupName } };
  const process = await bench.processes.start({
    name: `jobs (${client})`,
    command: bench.node,
    args: ['--disable-warning=ExperimentalWarning', script, JSON.stringify(plan)],
    cwd: bench.root,
    talk: true,
  });
  const tell = (message, state) => {
    const answer = process.next(state, 20_000);
    process.send(message);
    return answer;
  };
  await process.next('ready', 20_000);
  await pause(warmMs);
  const startMs = nowMs();
  const backMs = await troubles[trouble]({ group, seconds });
  await tell({ do: 'pause' }, 'paused');
  const endMs = nowMs();
  const ask = () => tell({ do: 'tell', markMs: Math.max(startMs, backMs), untilMs: endMs }, 'told');
  // what is left gets its time: a lost lock is given up after half a minute
  const drainedByMs = nowMs() + 45_000;
  let told = await ask();
  while (told.missing > 0 && nowMs() < drainedByMs) {
    await pause(500);
    told = await ask();
  }
  const { stallMs, added, missing, duplicates } = told;
  return { stallMs, jobsAdded: added, missing, duplicates };
}
