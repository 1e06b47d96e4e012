// What do 10,000 instances cost that beat once a second, each over a liveness connection of its own, while nothing changes?
import { fileURLToPath } from 'node:url';
import { note } from '../../dev/problem.mjs';
import { cpuUsOf } from '../process-costs.mjs';
import { ask, pause, until } from '../waiting.mjs';
import { infoNumber } from './redis-node.mjs';
import { prepare, startPlatform } from './yard.mjs';

const script = fileURLToPath(new URL('crowd-beats.mjs', import.meta.url));
const service = 'crowd';
const instances = 10_000;
const abreast = 16;
const historyKey = '{switchyard}:events';
const settleMs = 5_000;

export const crowd = {
  name: 'ours-crowd',
  title: 'Switchyard (10,000 liveness connections)',
  works: ['beats'],
  alone: true,
  prepare,
  start: async (bench, { prepared }) => ({
    bench,
    ...(await startPlatform(bench, { name: 'crowd', prepared, monitors: 2 })),
  }),
  measure,
};

async function measure({ bench, redis, registryUrl, parts }, { seconds }) {
  const historyOf = async () => Number((await redis.ask(['MEMORY', 'USAGE', historyKey, 'SAMPLES', '0'])) ?? 0);
  const usedOf = () => infoNumber(redis, 'memory', 'used_memory');
  const [usedBefore, historyBefore] = [await usedOf(), await historyOf()];
  note(`detection: registering ${instances} instances`);
  await registerAll(registryUrl);
  const [used, history] = [await usedOf(), await historyOf()];

  const [hostname, port] = new URL(registryUrl).host.split(':');
  const plan = { hostname, port: Number(port), service, instances };
  const beats = await bench.processes.start({
    name: 'crowd',
    command: bench.node,
    args: [script, JSON.stringify(plan)],
    talk: true,
  });
  try {
    await beats.next('ready', 60_000);
    await pause(settleMs);
    const before = await standing({ redis, registryUrl });
    const watched = {
      redisPercent: redis.pid(),
      ...Object.fromEntries(parts.map(({ name, process }) => [name, process.pid])),
    };
    const cpu = Object.fromEntries(Object.entries(watched).map(([name, pid]) => [name, cpuUsOf(pid)]));
    const startMs = performance.now();
    beats.send({ state: 'count' });
    await pause(Math.min(seconds, 10) * 1_000);
    beats.send({ state: 'count' });
    const tookMs = performance.now() - startMs;
    const percent = (name) => (cpuUsOf(watched[name]) - cpu[name]) / tookMs / 10;
    const shares = {
      redisPercent: percent('redisPercent'),
      registryPercent: percent('registry'),
      monitorPercent: Math.max(percent('monitor 1'), percent('monitor 2')),
    };
    const { heard } = await beats.next('counted', 5_000);
    const after = await standing({ redis, registryUrl });
    return [
      {
        beatsPerSecond: (heard / tookMs) * 1_000,
        ...shares,
        revisions: after.revision - before.revision,
        streamEntries: after.entries - before.entries,
        instanceBytes: (used - usedBefore - (history - historyBefore)) / instances,
        historyBytes: (history - historyBefore) / instances,
      },
    ];
  } finally {
    await beats.stop(500);
  }
}

async function registerAll(registryUrl) {
  let next = 0;
  const worker = async () => {
    while (next < instances) {
      const index = next;
      next += 1;
      const body = {
        url: `http://127.0.${index >> 8}.${index & 255}:8080`,
        zone: 'eu-west-1a',
        version: '1.4.2',
        ttl: '60s',
        check: { type: 'none' },
      };
      const { status, body: text } = await ask(`${registryUrl}/v1/services/${service}/instances/i-${index}`, {
        ms: 10_000,
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      if (status !== 201) throw new Error(`registering i-${index}: ${status} ${text}`);
    }
  };
  await Promise.all(Array.from({ length: abreast }, worker));
}

/** Where the catalog stands, and how many events were ever written. */
async function standing({ redis, registryUrl }) {
  const facts = await redis.ask(['XINFO', 'STREAM', historyKey]);
  const { headers } = await until(
    async () => {
      const answer = await ask(`${registryUrl}/v1/services`);
      return answer.status === 200 && answer;
    },
    { what: 'the registry answers' },
  );
  return {
    revision: Number(headers.get('switchyard-revision')),
    entries: Number(facts[facts.indexOf('entries-added') + 1]),
  };
}
