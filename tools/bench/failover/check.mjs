// Number 10: is the data of a replica that of its primary? How long that takes for a million keys, what others notice meanwhile,
// and whether one key that was changed behind everybody's back is found.
import { fileURLToPath } from 'node:url';
import { Problem } from '../../dev/problem.mjs';
import { pause, until } from '../waiting.mjs';
import { nowMs } from './monotonic.mjs';

const script = fileURLToPath(new URL('keys-node.mjs', import.meta.url));
const quietMs = 4_000;

export async function check({ bench, group, manager, keys }) {
  const [primary, replica] = group.nodes;
  const process = await bench.processes.start({
    name: 'keys',
    command: bench.node,
    args: ['--disable-warning=ExperimentalWarning', script, JSON.stringify({ port: primary.knownPort, keys })],
    cwd: bench.root,
    talk: true,
  });
  await process.next('ready', 120_000);
  await until(async () => (await replica.ask(['DBSIZE'])) === (await primary.ask(['DBSIZE'])), {
    what: 'the replica has all',
  });
  const tampered = `key:${Math.floor(keys / 3)}`;
  await replica.ask(['CONFIG', 'SET', 'replica-read-only', 'no']);
  await replica.ask(['SET', tampered, 'tampered']);
  await replica.ask(['CONFIG', 'SET', 'replica-read-only', 'yes']);
  const latency = async (doing) => {
    process.send({ do: 'begin' });
    await doing();
    const told = process.next('latency', 10_000);
    process.send({ do: 'end' });
    return told;
  };
  const quiet = await latency(() => pause(quietMs));
  const before = await group.primary();
  const startMs = nowMs();
  let tookMs = 0;
  let found = false;
  const busy = await latency(async () => {
    found = manager === undefined ? await digests(group) : await ours({ manager, tampered });
    tookMs = nowMs() - startMs;
    await pause(200);
  });
  await pause(3_000);
  return {
    checkSeconds: tookMs / 1_000,
    found: found ? 1 : 0,
    quietP99Ms: quiet.p99Ms,
    addedP99Ms: Math.max(0, busy.p99Ms - quiet.p99Ms),
    worstMs: busy.worstMs,
    failovers: (await group.primary()) === before ? 0 : 1,
  };
}

/** What Redis itself offers: one number for all data, and nobody is served while it is made. Which key differs it does not say. */
async function digests(group) {
  const all = await Promise.all(group.nodes.map((node) => node.ask(['DEBUG', 'DIGEST'], 120_000)));
  return new Set(all).size > 1;
}

async function ours({ manager, tampered }) {
  const operation = await manager.operate('check', {}, 180_000).catch((error) => {
    // a check that finds a difference may end as one that failed
    if (error.message.includes(tampered)) return error.message;
    throw error;
  });
  const text = JSON.stringify(operation);
  if (!text.includes(tampered)) throw new Problem(`the changed key was not named: ${text.slice(0, 600)}`);
  return true;
}
