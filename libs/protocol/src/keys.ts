// Which names does Switchyard use in Redis? All of them; nothing else in the house spells one out.
//
// Keys that one script touches share the hash tag {switchyard}, so that they live in one slot of a Redis Cluster.

const key = (name: string): string => `{switchyard}:${name}`;

/** Keys. Each line: type, content. */
export const keys = Object.freeze({
  /** hash: `epoch`, `revision`, `runId` of the Redis that gave them out */
  catalogMeta: key('catalog'),
  /** hash: member -> `<revision>|<instance document>` */
  instances: key('instances'),
  /** hash: service -> `<revision>|<policy document>` */
  services: key('services'),
  /** hash: route -> `<revision>|<route document>` */
  routes: key('routes'),
  /** hash: service -> revision of its last change */
  serviceRevisions: key('service-revisions'),
  /** stream: id `<revision>-0`, one event each, in the short form of libs/redis; the truth about what happened */
  events: key('events'),
  /** sorted set: member -> deadline, milliseconds on Redis's clock */
  deadlines: key('deadlines'),
  /** hash: member -> time to live in ms, where it is not the usual 3000 */
  ttls: key('ttls'),
  /** hash: member -> how busy the instance said it was; no part of the catalog, and no event tells of it */
  loads: key('loads'),
  /** string: when a leading monitor last swept, milliseconds on Redis's clock; shows that the clock has stepped back */
  swept: key('swept'),
  /** string: the default route was written once; whoever deletes it does not get it back */
  seeded: key('seeded'),
  /** string with expiry: holder of the lease */
  lease: (name: string): string => key(`lease:${name}`),
  /** string with the expiry of the lease: fencing token of its holder; never goes back */
  fence: (name: string): string => key(`fence:${name}`),
  /** hash: lease of somebody outside -> `<epoch>|<token>|<since ms>|<document>` */
  leaseDocuments: key('leases'),
  /** sorted set: the same leases -> when they run out, milliseconds on Redis's clock */
  leaseExpiries: key('lease-expiries'),
  /** list: latest failovers and switchovers of a group, newest first */
  redisHistory: (group: string): string => key(`redis-history:${group}`),
  /** hash: group of Redis nodes -> what the managers are to know about it, without secrets */
  redisGroups: key('redis-groups'),
  /** string: who has looked why a group failed over again and again, newest first */
  redisAcknowledgements: (group: string): string => key(`redis-acknowledgements:${group}`),
  /** hash: operation id -> document */
  operations: key('operations'),
  /** sorted set: dispatcher id -> when it was last heard, milliseconds on Redis's clock */
  dispatcherBeats: key('dispatcher-beats'),
  /** hash: dispatcher id -> what it tells about itself once a second */
  dispatcherStates: key('dispatcher-states'),
  /** hash: dispatcher id -> whom it does not pick any more, and what it still has under way there */
  dispatcherDrains: key('dispatcher-drains'),
  /** string with expiry: who was granted the one repetition of a keyed request; `digest` is in hex */
  replay: (digest: string): string => key(`replay:${digest}`),
  /** prefix of all BullMQ keys */
  queuePrefix: key('queue'),
});

/** Channels. They wake readers and serve people with redis-cli; losing every message changes only latency. */
export const channels = Object.freeze({
  /** CloudEvents, one for each revision */
  events: 'switchyard:events',
  /** people without a library: register */
  register: 'switchyard:register',
  /** people without a library: heartbeat */
  heartbeat: 'switchyard:heartbeat',
  /** somebody saw an instance fail: monitors ask it at once */
  doubt: 'switchyard:doubt',
  /** who takes writes in a group from now on, or that it was said too early; published at every node that is reachable */
  redisPrimary: 'switchyard:redis-primary',
});

/** BullMQ queues. */
export const queues = Object.freeze({ backup: 'backup' });

/** Leases. */
export const leases = Object.freeze({ monitor: 'monitor' });

/** The catalog service under which a service of the control plane registers itself. */
export const platformService = (app: string): string => `switchyard-${app}`;
