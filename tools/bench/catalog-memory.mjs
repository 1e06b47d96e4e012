// What does an instance cost Redis: bytes while it is registered, microseconds for its registration and each heartbeat?
//
//   node tools/bench/catalog-memory.mjs [instances]     its own redis-server on a free port; goes through the real store
import { spawn } from 'node:child_process';
import { keys, instanceInputSchema, memberOf } from '../../libs/protocol/src/index.ts';
import { registerInstance } from '../../libs/catalog/src/index.ts';
import { beat, createCatalogStore, createRedis } from '../../libs/redis/src/index.ts';
import { createLogger } from '../../libs/runtime/src/index.ts';
import { freePorts } from './free-ports.mjs';

const count = Number(process.argv[2] ?? 10_000);
const batch = 100;
const rounds = 20;

const [port] = await freePorts(1);
const server = spawn(process.env.SWITCHYARD_REDIS_SERVER ?? 'redis-server', ['--port', String(port), '--save', ''], {
  stdio: 'ignore',
});
const logger = createLogger('bench', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const settings = { kind: 'single', endpoint: { host: '127.0.0.1', port }, group: 'main' };
const connections = createRedis(settings, { logger, name: 'bench' });
const redis = connections.connect('commands');
await new Promise((resolve) => redis.once('ready', resolve));
const store = createCatalogStore(redis, 'registry-7f3k2a');

const infoOf = async (section, field) => Number(new RegExp(`${field}:([\\d.]+)`).exec(await redis.info(section))[1]);
const cpuSeconds = async () => (await infoOf('cpu', 'used_cpu_user')) + (await infoOf('cpu', 'used_cpu_sys'));
/** What `work` costs Redis, in us of CPU for each of `times`. */
const costOf = async (times, work) => {
  const before = await cpuSeconds();
  await work();
  return Math.round((((await cpuSeconds()) - before) * 1e7) / times) / 10;
};

// as an agent registers: about 200 bytes of JSON
const refOf = (n) => ({ service: `shop-${n % 100}`, id: `shop-${String(n).padStart(6, '0')}` });
const inputOf = (n) =>
  instanceInputSchema.parse({
    url: `http://10.0.${n >> 8}.${n & 255}:3000`,
    version: '1.4.2',
    zone: 'eu-1a',
    meta: { node: `worker-${n % 64}` },
    check: { type: 'http', path: '/healthz' },
  });
const documentBytes = JSON.stringify({ ...refOf(1), ...inputOf(1) }).length;

const { epoch, revision } = await store.snapshot();
await store.raiseEpoch({ epoch, revision }, { reason: 'bench', snapshot: await store.snapshot() });
const emptyBytes = await infoOf('memory', 'used_memory');
const register = async (n) => store.commit(registerInstance(undefined, refOf(n), inputOf(n), Date.now()).commit);
const commitUs = await costOf(count, async () => {
  for (let n = 0; n < count; n += 50)
    await Promise.all(Array.from({ length: Math.min(50, count - n) }, (_, i) => register(n + i)));
});
const bytes = ((await infoOf('memory', 'used_memory')) - emptyBytes) / count;
const parts = {};
for (const name of ['instances', 'events', 'deadlines', 'ttls']) {
  parts[name] = Math.round(((await redis.memory('USAGE', keys[name], 'SAMPLES', 0)) ?? 0) / count);
}
const members = Array.from({ length: count }, (_, n) => memberOf(refOf(n).service, refOf(n).id));
const before = [await redis.hget(keys.catalogMeta, 'revision'), await redis.xlen(keys.events)];
const beatUs = await costOf(rounds * count, async () => {
  for (let round = 0; round < rounds; round += 1) {
    for (let at = 0; at < count; at += batch) await beat(redis, members.slice(at, at + batch));
  }
});
const after = [await redis.hget(keys.catalogMeta, 'revision'), await redis.xlen(keys.events)];

console.log(
  JSON.stringify({
    redis: /redis_version:(\S+)/.exec(await redis.info('server'))[1],
    instances: count,
    documentBytes,
    bytesPerInstance: Math.round(bytes),
    parts,
    commitUs,
    beatUs,
    beatsAtOnce: batch,
    corePercentAt10kBeats: Math.round(beatUs * 10) / 10,
    changedByBeats: JSON.stringify(before) !== JSON.stringify(after),
  }),
);
await connections.stop();
server.kill('SIGKILL');
