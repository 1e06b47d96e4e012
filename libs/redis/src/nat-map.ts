// Under which address does this process reach a node that announces another one? As the setting says (NAT, port forwarding).
import { ConfigError } from '@switchyard/runtime';
import type { RedisEndpoint } from './connection-options.ts';

/** Where to connect instead, by the announced `host:port`. */
export type NatMap = Readonly<Record<string, RedisEndpoint>>;

/** The address to connect to. */
export const reachable = (natMap: NatMap | undefined, { host, port }: RedisEndpoint): RedisEndpoint =>
  natMap?.[`${host}:${String(port)}`] ?? { host, port };

/** Reads `announced=reachable` pairs. Throws a ConfigError when one address is mapped twice. */
export const natMapOf = (pairs: readonly string[], endpointOf: (text: string) => RedisEndpoint): NatMap | undefined => {
  const map: Record<string, RedisEndpoint> = {};
  for (const pair of pairs) {
    const [announced = '', here = ''] = pair.split('=');
    const { host, port } = endpointOf(announced);
    const key = `${host}:${String(port)}`;
    if (key in map) throw new ConfigError([`SWITCHYARD_REDIS_NAT_MAP maps ${key} twice; keep one of the two`]);
    map[key] = endpointOf(here);
  }
  return pairs.length === 0 ? undefined : map;
};
