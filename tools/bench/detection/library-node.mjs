// A process that uses one of the other libraries: an instance that registers, or an observer that tells whom it sees. Run in the
// folder of the packages; the plan is in argv[2].
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const require = createRequire(join(process.cwd(), 'package.json'));
const { library, role, id, redisPort, beatSeconds, ttlSeconds } = JSON.parse(process.argv[2]);
const nowMs = () => performance.timeOrigin + performance.now();
const say = (message) => process.send?.(message);
process.on('disconnect', () => process.exit(0));
// what a library throws while Redis is away is its own matter; the process goes on, as under a supervisor that looks away
process.on('uncaughtException', (error) => console.error(error));
process.on('unhandledRejection', (error) => console.error(error));

const pollMs = 20;
const hungAfterMs = 1_000;
const service = 'bench';

const libraries = { hydra, moleculer, hazeljs };
const { register, list } = await libraries[library]();
if (role === 'instance') await beInstance();
else await observe();

async function beInstance() {
  const registeringMs = nowMs();
  const { key, mute } = await register();
  process.on('message', ({ state }) => state === 'mute' && mute());
  say({ state: 'ready', key, registeringMs });
}

/** Asks all the time, one question after the other, and tells each change; and each second that a question stays unanswered. */
async function observe() {
  let last;
  say({ state: 'ready' });
  await pause(50);
  for (;;) {
    const asked = list().catch(() => undefined);
    let ids;
    for (;;) {
      const found = await Promise.race([asked.then((value) => ({ value })), pause(hungAfterMs)]);
      if (found !== undefined) {
        ids = found.value;
        break;
      }
      say({ state: 'hung', ms: hungAfterMs });
    }
    if (ids !== undefined) {
      const text = ids.toSorted().join(' ');
      if (text !== last) say({ state: 'seen', ids, atMs: nowMs() });
      last = text;
    }
    await pause(pollMs);
  }
}

async function hydra() {
  const client = require('hydra');
  await client.init({
    hydra: {
      serviceName: role === 'instance' ? service : 'observer',
      serviceIP: '127.0.0.1',
      servicePort: role === 'instance' ? 4_000 + Number(id.slice(1)) : 3_999,
      serviceType: 'bench',
      serviceDescription: 'bench',
      redis: { host: '127.0.0.1', port: redisPort, db: 0 },
    },
  });
  return {
    async register() {
      await client.registerService();
      return { key: client.getInstanceID(), mute: () => clearInterval(client.presenceTimerInteval) };
    },
    list: async () => (await client.getServicePresence(service)).map((one) => one.instanceID),
  };
}

async function moleculer() {
  const { ServiceBroker } = require('moleculer');
  const broker = new ServiceBroker({
    nodeID: id,
    logger: false,
    transporter: `redis://127.0.0.1:${redisPort}`,
    ...(beatSeconds !== undefined && { heartbeatInterval: beatSeconds, heartbeatTimeout: ttlSeconds }),
  });
  if (role === 'instance') broker.createService({ name: service, actions: { hello: () => id } });
  if (role === 'observer') await broker.start();
  return {
    async register() {
      await broker.start();
      return { key: id, mute: () => void broker.registry.discoverer.stopHeartbeatTimers() };
    },
    list: () => {
      const nodes = broker.registry.nodes.list({ onlyAvailable: true, withServices: true });
      return Promise.resolve(nodes.filter((node) => node.id !== id && node.available).map((node) => node.id));
    },
  };
}

async function hazeljs() {
  const { ServiceRegistry, DiscoveryClient, RedisRegistryBackend, ServiceStatus } = require('@hazeljs/discovery');
  const Redis = require('ioredis');
  const redis = new Redis({ host: '127.0.0.1', port: redisPort });
  const backend = new RedisRegistryBackend(redis, { ttl: ttlSeconds });
  await new Promise((resolve) => {
    redis.once('ready', resolve);
  });
  return {
    async register() {
      const server = createServer((_req, res) => res.end('fine')).listen(0, '127.0.0.1');
      await new Promise((resolve) => {
        server.once('listening', resolve);
      });
      const { port } = server.address();
      const registry = new ServiceRegistry(
        { name: service, host: '127.0.0.1', port, healthCheckInterval: beatSeconds * 1_000 },
        backend,
      );
      await registry.register();
      return { key: registry.getInstance().id, mute: () => clearInterval(registry.heartbeatInterval) };
    },
    list: async () => {
      const instances = await new DiscoveryClient({ cacheEnabled: false }, backend).getInstances(service);
      return instances.filter(({ status }) => status === ServiceStatus.UP).map((one) => one.id);
    },
  };
}
