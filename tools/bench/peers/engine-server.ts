// Our engine by itself: libs/proxy with a table that never changes, in front of three origins. Arguments: port, origins.
// Environment: SHARED_DEPTH (requests behind one another on a connection to an origin; 0 for never).
// What a dispatcher adds on top of it is measured as a peer of its own (yard.mjs).
import { pickerFor } from '@switchyard/balancing';
import { trafficRouteSchema } from '@switchyard/protocol';
import {
  compileRoutes,
  createMeters,
  createSocketDataPlane,
  defaultLimits,
  defaultServiceRules,
  defaultTimeouts,
} from '@switchyard/proxy';
import type { NamedRoute, Target } from '@switchyard/proxy';
import { createLogger, systemClock } from '@switchyard/runtime';

const service = 'bench';
const [port = 0, ...originPorts] = process.argv.slice(2).map(Number);

const meters = createMeters();
const candidates = originPorts.map((originPort, index): Target => {
  const id = String.fromCodePoint(97 + index);
  const origin = `http://127.0.0.1:${originPort}`;
  return {
    id,
    service,
    weight: 1,
    host: '127.0.0.1',
    port: originPort,
    secure: false,
    origin,
    meter: meters.of(service, id),
  };
});
const context = { random: Math.random, inFlight: (target: Target) => target.meter.inFlight };
const picker = pickerFor({ policy: 'weighted-round-robin', candidates, context });
const routes: readonly NamedRoute[] = [
  { name: 'all', route: trafficRouteSchema.parse({ service }) },
  { name: 'redirect', route: trafficRouteSchema.parse({ service, pathPrefix: '/redirect', action: 'redirect' }) },
];
const router = compileRoutes(routes, {
  random: Math.random,
  rulesOf: () => defaultServiceRules,
  durationMs: () => undefined,
});

const plane = createSocketDataPlane({
  name: 'traffic',
  host: '127.0.0.1',
  port,
  limits: { ...defaultLimits, sharedDepth: Number(process.env['SHARED_DEPTH'] ?? defaultLimits.sharedDepth) },
  timeouts: defaultTimeouts,
  trustedProxies: [],
  announceInstance: true,
  via: 'switchyard',
  clock: systemClock,
  logger: createLogger('bench', { level: 'warn' }),
  policy: {
    route: (head) => router.route(head),
    pick: (_service, excluded) => {
      const result = picker.pick(excluded);
      return result.picked ? result.candidate : undefined;
    },
    whyNot: () => [],
    observe: () => undefined,
    report: () => undefined,
  },
});
await plane.start(new AbortController().signal);
