// Where is Redis? By its Sentinels (the usual way), by the nodes of a Redis Cluster, or one address.
import { ConfigError, setting } from '@switchyard/runtime';
import type { ConfigOf } from '@switchyard/runtime';
import type { RedisEndpoint, RedisSettings } from './connection-options.ts';
import { natMapOf } from './nat-map.ts';

/** The part of a service's settings that every service shares. */
export const redisSettings = {
  sentinels: setting.list({
    env: 'SWITCHYARD_REDIS_SENTINELS',
    default: ['127.0.0.1:4741', '127.0.0.1:4742', '127.0.0.1:4743'],
    item: /^[^\s,]+:\d{1,5}$/,
    itemName: 'host:port',
    doc: 'Sentinels that know the group; asked in turn for the primary. Ignored when SWITCHYARD_REDIS_URL is set.',
  }),
  cluster: setting.list({
    env: 'SWITCHYARD_REDIS_CLUSTER',
    optional: true,
    item: /^[^\s,]+:\d{1,5}$/,
    itemName: 'host:port',
    doc: 'Nodes of a Redis Cluster, any of them: asked for the primary that owns the keys. Wins over Sentinels; not together with SWITCHYARD_REDIS_URL.',
  }),
  group: setting.string({
    env: 'SWITCHYARD_REDIS_GROUP',
    default: 'main',
    pattern: /^[A-Za-z0-9._-]{1,64}$/,
    doc: 'Name of the group as the Sentinels know it.',
  }),
  url: setting.url({
    env: 'SWITCHYARD_REDIS_URL',
    optional: true,
    secret: true,
    protocols: ['redis:', 'rediss:'],
    doc: 'One Redis without Sentinels: redis://[user:password@]host:port. Nobody fails it over.',
  }),
  username: setting.string({ env: 'SWITCHYARD_REDIS_USERNAME', optional: true, doc: 'ACL user of all connections.' }),
  password: setting.string({
    env: 'SWITCHYARD_REDIS_PASSWORD',
    optional: true,
    secret: true,
    doc: 'Password of all connections to Redis nodes.',
  }),
  natMap: setting.list({
    env: 'SWITCHYARD_REDIS_NAT_MAP',
    optional: true,
    item: /^[^\s,=]+:\d{1,5}=[^\s,=]+:\d{1,5}$/,
    itemName: 'host:port=host:port',
    doc: 'Behind NAT or port forwarding: an address that Sentinels or nodes announce, and where this process reaches it. Several are separated by commas.',
  }),
  sentinelPassword: setting.string({
    env: 'SWITCHYARD_REDIS_SENTINEL_PASSWORD',
    optional: true,
    secret: true,
    doc: 'Password of the Sentinels, when they have one.',
  }),
} as const;

function endpointOf(text: string): RedisEndpoint {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
}

/** The settings as the connections take them. A URL or a cluster wins over Sentinels. Throws a ConfigError. */
export function redisSettingsOf(config: ConfigOf<typeof redisSettings>): RedisSettings {
  const url = config.url === undefined ? undefined : new URL(config.url);
  const username = url?.username ? decodeURIComponent(url.username) : config.username;
  const password = url?.password ? decodeURIComponent(url.password) : config.password;
  const natMap = natMapOf(config.natMap ?? [], endpointOf);
  const access = {
    ...(natMap === undefined ? {} : { natMap }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(config.sentinelPassword === undefined ? {} : { sentinelPassword: config.sentinelPassword }),
  };
  const nodes = config.cluster?.map(endpointOf) ?? [];
  if (url && nodes.length > 0) {
    throw new ConfigError(['SWITCHYARD_REDIS_URL and SWITCHYARD_REDIS_CLUSTER are both set; keep one of them']);
  }
  if (nodes.length > 0) return { kind: 'cluster', nodes, group: config.group, ...access };
  if (!url) return { kind: 'sentinel', sentinels: config.sentinels.map(endpointOf), group: config.group, ...access };
  const database = url.searchParams.get('db') ?? url.pathname.replace('/', '');
  if (database !== '' && database !== '0') {
    throw new ConfigError([
      `SWITCHYARD_REDIS_URL names database ${database}: the catalog uses database 0 alone, because channels are shared by all databases ` +
        'and a Redis Cluster has no other. Leave the number out, and give Switchyard a Redis of its own if database 0 is taken',
    ]);
  }
  const endpoint = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 6379) };
  return { kind: 'single', endpoint, group: config.group, tls: url.protocol === 'rediss:', ...access };
}
