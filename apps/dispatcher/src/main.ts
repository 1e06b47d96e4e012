// The dispatcher: spreads the traffic of users over the instances, and brings each part of the control API to the service
// that owns it. Wiring only.
import { join } from 'node:path';
import { createAgent } from '@switchyard/agent';
import { httpServer, probe } from '@switchyard/http';
import { instanceInputSchema, platformService } from '@switchyard/protocol';
import { createMeters, type Target } from '@switchyard/proxy';
import {
  createCatalogFeed,
  createCatalogStore,
  createRedis,
  createRedisRegistrar,
  createReplayFence,
  redisSettingsOf,
} from '@switchyard/redis';
import { advertisedUrl, createTicker, loadConfig, runService, type BuildService } from '@switchyard/runtime';
import { accessLogOf } from './access-log.ts';
import { dispatcherConfig } from './config.ts';
import { controlPolicy } from './control-policy.ts';
import { createDoubts } from './doubts.ts';
import { createEjections } from './ejections.ts';
import { createFleet } from './fleet.ts';
import type { GoneInstance } from './gone-instances.ts';
import { createListeners, selfTarget } from './listeners.ts';
import { createOwnApi } from './own-api.ts';
import { createProbes } from './probes.ts';
import { createRequestLog } from './request-log.ts';
import { createTableFile } from './table-file.ts';
import { watchTable } from './table-health.ts';
import { createTableKeeper } from './table-keeper.ts';
import { trafficPolicy } from './traffic-policy.ts';
import { joinWorkers, ownOutcomes } from './workers/membership.ts';
import { supervisorOf } from './workers/supervisor.ts';

const keptRequests = 1_024;
const latencyWindowMs = 60_000;
const random = Math.random;
const member = joinWorkers();

const build: BuildService = (context) => {
  const { name, env, clock, logger, metrics, health, version, instanceId: id } = context;
  const config = loadConfig(dispatcherConfig, { env, app: name, logger });
  const supervisor = supervisorOf(config, { ...context, random });
  if (supervisor) return [supervisor];
  const connections = createRedis(redisSettingsOf(config.redis), { logger, name: id });
  const redis = connections.connect('commands');
  const store = createCatalogStore(redis, id);
  const feed = createCatalogFeed({ store, subscriber: connections.connect('subscriber'), clock, logger });
  const meters = createMeters();
  const file = createTableFile(join(config.stateDir, 'routing-table.json'));
  const ejections = createEjections({ clock, logger, doubts: createDoubts({ redis, witness: id, clock, metrics }) });
  const probes = createProbes({ feed, probe, ...config.probes, random, clock, logger });
  const onGone = ({ service, id: gone, reason }: GoneInstance): void => {
    for (const plane of [traffic, control]) plane.dropInstance(service, gone, reason);
  };
  const keeper = createTableKeeper({ feed, file, meters, ejections, probes, onGone, random, clock, logger });
  const log = createRequestLog(keptRequests);
  const accessLog = accessLogOf(config.accessLog, { random, clock, logger });

  let own: Target | undefined;
  const self = (): Target => (own ??= selfTarget({ id, address: server.address(), meters }));
  const current = () => keeper.current();
  const fence = createReplayFence({ redis, holder: id, ttlMs: config.replayMemoryMs });
  const policies = {
    traffic: trafficPolicy({ current, log, ejections, fence }),
    control: controlPolicy({ current, self, log, ejections }),
  };
  const { traffic, control } = createListeners({ config, ...policies, accessLog, clock, logger });
  const url = advertisedUrl({ bindHost: config.host, advertiseHost: config.advertiseHost, port: config.port });
  const parts = { id, version, url, keeper, meters, ejections, planes: [traffic, control] };
  const { teller, ...fleet } = createFleet(parts, { redis, feed, clock, logger });
  const ownOrigin = () => self().origin;
  const outcomes = member.outcomes(ownOutcomes(log, id));
  const seen = { outcomes, probes, accessLog, ...fleet, member, ownOrigin, random };
  const app = createOwnApi({ ...context, ...parts, ...seen });
  const server = httpServer({ name: 'api', host: config.host, port: config.port, app });

  const service = platformService(name);
  const input = instanceInputSchema.parse({ url, version, check: { type: 'http', path: '/livez' } });
  const registrar = createRedisRegistrar({ store, redis, service, id, input });
  const turnLatencies = (): Promise<void> => Promise.resolve(meters.turn());
  return [
    connections,
    keeper,
    feed,
    probes,
    watchTable({ keeper, probes, health, metrics, clock, logger }),
    createTicker({ name: 'latency-window', everyMs: latencyWindowMs, run: turnLatencies, clock, logger }),
    member.gate(keeper),
    teller,
    server,
    ...(accessLog ? [accessLog] : []),
    traffic,
    control,
    createAgent({ service, id, registrar, clock, logger, ttlMs: 3_000, drainDelayMs: 200, health }),
  ];
};

await runService('dispatcher', build, member.service);
