// An instance with the agent in it, as an app has it: it registers, beats, and answers probes.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAgent, createHttpRegistrar, createLivenessLink } from '@switchyard/agent';
import { instanceInputSchema } from '@switchyard/protocol';
import { createLogger, systemClock } from '@switchyard/runtime';

interface Plan {
  readonly id: string;
  readonly service: string;
  readonly registryUrl: string;
  readonly ttl: string;
  readonly ttlMs: number;
}

const { id, service, registryUrl, ttl, ttlMs } = JSON.parse(process.argv[2] ?? '{}') as Plan;
process.on('disconnect', () => process.exit(0));
const server = createServer((_req, res) => res.end(id)).listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const input = instanceInputSchema.parse({
  url: `http://127.0.0.1:${port}`,
  ttl,
  check: { type: 'http', path: '/livez' },
});
const registrar = createHttpRegistrar({ registryUrls: [registryUrl], service, id, input });
const logger = createLogger('bench-instance', { level: 'silent' });
const clock = systemClock;
const liveness = createLivenessLink({ registryUrls: [registryUrl], service, id, clock, logger });
const agent = createAgent({ service, id, registrar, liveness, clock, logger, ttlMs });
const registeringMs = performance.timeOrigin + performance.now();
await agent.start();
process.send?.({ state: 'ready', key: id, registeringMs });
