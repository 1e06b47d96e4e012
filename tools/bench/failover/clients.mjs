// Who writes? ioredis as it comes, ioredis as an expert sets it up, or the connections of this project.
import { createRedis } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { Redis } from 'ioredis';

/** What the guides recommend for Sentinel: listen for +switch-master, give up a socket that owes an answer for 3 s. */
export const tuned = { failoverDetector: true, socketTimeout: 3_000 };
export const silent = createLogger('bench', { level: 'silent' });

const endpointsOf = (text) =>
  text.split(',').map((address) => {
    const [host, port] = address.split(':');
    return { host, port: Number(port) };
  });

/** Options of ioredis to find the primary through its Sentinels. */
export const followSentinels = ({ sentinels, group }, more = {}) => ({
  sentinels: endpointsOf(sentinels),
  name: group,
  ...more,
});

/** The connections of this project to the same group. */
export const ownConnections = ({ sentinels, group }) =>
  createRedis({ kind: 'sentinel', sentinels: endpointsOf(sentinels), group }, { logger: silent, name: 'bench' });

/** A connection for writes and the way to end it. */
export function openClient(kind, place) {
  if (kind === 'ours') {
    const connections = ownConnections(place);
    const redis = connections.connect('commands');
    return { redis, connections, close: () => connections.stop() };
  }
  const redis = new Redis(optionsOf(kind, place));
  // errors come with each command, too
  redis.on('error', () => undefined);
  return { redis, close: () => redis.disconnect() };
}

function optionsOf(kind, place) {
  if (kind === 'ioredis') return followSentinels(place);
  if (kind === 'ioredis-tuned') return followSentinels(place, tuned);
  // One that knows nothing of Sentinels and stays with its node, whatever that is by now.
  if (kind === 'stubborn') {
    return {
      ...endpointsOf(place.address)[0],
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: () => 20,
    };
  }
  throw new Error(`there is no client ${kind}`);
}
