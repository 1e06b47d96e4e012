// Who answers which part of the control API? Every service owns a part of /v1 and is found through the catalog like any
// other; the dispatcher's own part, and the pages, come from the dispatcher itself.
import { platformService } from '@switchyard/protocol';
import {
  defaultServiceRules,
  isUnder,
  type ForwardDecision,
  type RequestHead,
  type RouteDecision,
  type Target,
  type TrafficPolicy,
} from '@switchyard/proxy';
import type { Ejections } from './ejections.ts';
import type { RequestLog } from './request-log.ts';
import type { RoutingTable } from './routing-table.ts';
import { pickFrom, usableIn, whyNotIn } from './traffic-policy.ts';

/** The service that is the dispatcher itself. */
export const ownService = platformService('dispatcher');

/** Path prefix -> app that owns it. What belongs to the dispatcher within another's part is in `ownParts`. */
const owners: readonly (readonly [prefix: string, app: string])[] = [
  ['/v1/services', 'registry'],
  ['/v1/routes', 'registry'],
  ['/v1/events', 'registry'],
  ['/v1/stream', 'registry'],
  ['/v1/liveness', 'registry'],
  ['/v1/heartbeats', 'registry'],
  ['/v1/leases', 'registry'],
  ['/v1/detection', 'registry'],
  ['/v1/redis', 'replication-manager'],
  ['/v1/backups', 'backup-worker'],
  ['/v1/restores', 'backup-worker'],
  ['/v1/rollbacks', 'backup-worker'],
  ['/v1/rehearsals', 'backup-worker'],
  ['/v1/operations', 'backup-worker'],
  ['/v1/monitors', 'heartbeat-monitor'],
];

const ownParts: readonly RegExp[] = [
  /^\/v1\/services\/[^/]+\/pick$/,
  /^\/v1\/routes:test$/,
  /^\/v1\/(?:dispatchers|requests)(?:\/|$)/,
  /^\/(?:livez|readyz|metrics)$/,
];

/** Pages and documents of the control listener, and where the dispatcher's own API has them. */
export const ownPages: Readonly<Record<string, string>> = Object.freeze({
  '/': '/control/home',
  '/docs': '/control/docs',
  '/v1/openapi.json': '/control/openapi.json',
});

/** Every app that owns a part of the API, the dispatcher last. */
export const ownerApps: readonly string[] = [...new Set([...owners.map(([, app]) => app), 'dispatcher'])];

/** Work such as a switchover takes its time before it answers. */
const responseMs = 60_000;

/** Operations on Redis groups are told by who carries them out. */
const redisOperation = /^\/v1\/operations\/redis-[^/]*$/;

const decisions = new Map<string, ForwardDecision>(
  [
    ...owners.map(([prefix, app]) => [prefix, decisionFor(app)] as const),
    ['own', decisionFor('dispatcher')] as const,
  ].concat(
    Object.entries(ownPages).map(
      ([path, replacePath]) => [path, { ...decisionFor('dispatcher'), replacePath }] as const,
    ),
  ),
);

/** Where a path of the control listener goes; undefined when nobody owns it. */
export function ownerOf(path: string): ForwardDecision | undefined {
  const page = path in ownPages ? decisions.get(path) : undefined;
  if (page) return page;
  if (ownParts.some((part) => part.test(path))) return decisions.get('own');
  if (redisOperation.test(path)) return decisions.get('/v1/redis');
  const owned = owners.find(([prefix]) => isUnder(prefix, path));
  return owned && decisions.get(owned[0]);
}

/** Routes by owner. `self` is where the dispatcher's own API listens. */
export function controlPolicy(options: {
  readonly current: () => RoutingTable | undefined;
  readonly self: () => Target;
  readonly log: RequestLog;
  readonly ejections: Ejections;
}): TrafficPolicy {
  const { current, self, log, ejections } = options;
  return {
    route: (head) => ownerOf(head.path) ?? notFound(head),
    pick(service, excluded) {
      if (service !== ownService) return pickFrom(current(), service, excluded);
      const own = self();
      return excluded.includes(own.id) ? undefined : own;
    },
    whyNot: (service) => (service === ownService ? [] : whyNotIn(current(), service)),
    observe(target, outcome, reason) {
      // a 503 of the control API is about the request: "Redis is away", "no replica is fit"
      if (target.service === ownService || outcome === 'gateway-error') return;
      ejections.observe({ target, outcome, reason }, usableIn(current(), target.service));
    },
    report: (outcome) => log.record(outcome),
  };
}

function decisionFor(app: string): ForwardDecision {
  return Object.freeze({
    action: 'proxy',
    route: `control:${app}`,
    service: platformService(app),
    redirectStatus: 307,
    stripPrefix: '',
    rules: defaultServiceRules,
    responseMs,
  });
}

function notFound({ path }: RequestHead): RouteDecision {
  const detail = `Nothing is served at ${path.slice(0, 200)} of the control listener.`;
  return {
    action: 'refuse',
    refusal: { code: 'not_found', detail, next: 'GET /v1/openapi.json lists every path; GET /docs shows it to people' },
  };
}
