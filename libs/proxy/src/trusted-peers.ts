// Whose word about the client is believed? Only that of the proxies in front that the operator named.
import { BlockList, isIP } from 'node:net';

/** Answers for the address of a connected peer. */
export interface TrustedPeers {
  isTrusted(address: string): boolean;
}

/**
 * Takes addresses and CIDR ranges, IPv4 and IPv6. Throws on anything else, naming it: a typing mistake here would
 * silently open or close the trust.
 */
export function createTrustedPeers(entries: readonly string[]): TrustedPeers {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', prefix, ...rest] = entry.split('/');
    const family = isIP(address);
    const bits = prefix === undefined ? (family === 6 ? 128 : 32) : Number(prefix);
    const valid =
      family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(prefix ?? '0') && bits <= (family === 6 ? 128 : 32);
    if (!valid) throw new Error(`"${entry}" is neither an address nor a range such as 10.0.0.0/8.`);
    list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4');
  }
  return {
    isTrusted(address) {
      const plain = plainAddress(address);
      const family = isIP(plain);
      return entries.length > 0 && family !== 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4');
    },
  };
}

/** An IPv4 address that arrived through an IPv6 socket, as IPv4; without a zone index. */
export function plainAddress(address: string): string {
  const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
  const zone = plain.indexOf('%');
  return zone < 0 ? plain : plain.slice(0, zone);
}
