// An origin as a process that is an instance of Switchyard: the same app, with the agent in it. On SIGTERM it leaves as the
// agent does: it announces, keeps answering for a second, deregisters, and ends.
import { createAgent, createHttpRegistrar, inTurn } from '@switchyard/agent';
import type { Registrar } from '@switchyard/agent';
import { instanceInputSchema } from '@switchyard/protocol';
import { createCatalogStore, createRedis, createRedisRegistrar } from '@switchyard/redis';
import { createLogger, systemClock } from '@switchyard/runtime';
import { createOrigin } from './origin.mjs';

interface Plan {
  readonly id: string;
  readonly port: number;
  readonly service: string;
  readonly registryUrl: string;
  readonly redisPort: number;
}

const ttlMs = 3_000;
const drainDelayMs = 1_000;
const longestCloseMs = 3_000;

const plan = JSON.parse(process.argv[2] ?? '{}') as Plan;
const { id, port, service, registryUrl, redisPort } = plan;
const logger = createLogger('bench-origin', { level: 'silent' });
const endpoint = { host: '127.0.0.1', port: redisPort };
const connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: id });
const redis = connections.connect('commands');
const input = instanceInputSchema.parse({
  url: `http://127.0.0.1:${port}`,
  ttl: '3s',
  check: { type: 'http', path: '/livez' },
});
const direct = createRedisRegistrar({ store: createCatalogStore(redis, id), redis, service, id, input });
const overHttp = createHttpRegistrar({ registryUrls: [registryUrl], service, id, input });
const registrar: Registrar = { ...inTurn(overHttp, direct), beat: inTurn(direct, overHttp).beat };
const agent = createAgent({ service, id, registrar, clock: systemClock, logger, ttlMs, drainDelayMs });

const origin = createOrigin(plan);
process.once('SIGTERM', () => {
  void leave();
});
process.on('disconnect', () => process.exit(0));
await origin.listen();
await agent.start();
process.send?.({ state: 'ready' });

async function leave(): Promise<void> {
  await agent.drain?.();
  setTimeout(() => process.exit(1), longestCloseMs).unref();
  await origin.close();
  await agent.stop();
  process.exit(0);
}
