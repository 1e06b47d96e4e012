import { createTrustedPeers, plainAddress } from './trusted-peers.ts';

describe('createTrustedPeers', () => {
  it('trusts addresses and ranges of both families and nobody else', () => {
    const peers = createTrustedPeers(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1']);
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.7', '2001:db8::5', '::1']) {
      expect([address, peers.isTrusted(address)]).toEqual([address, true]);
    }
    for (const address of ['11.0.0.1', '192.0.2.8', '2001:db9::1', '', 'nonsense']) {
      expect([address, peers.isTrusted(address)]).toEqual([address, false]);
    }
  });

  it('trusts nobody when nobody is named', () => {
    expect(createTrustedPeers([]).isTrusted('127.0.0.1')).toBe(false);
  });

  it.each(['', 'host', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '::1/129', '10.0.0/8'])(
    'refuses the entry %j',
    (entry) => {
      expect(() => createTrustedPeers([entry])).toThrow(/neither an address nor a range/);
    },
  );
});

describe('plainAddress', () => {
  it('unwraps IPv4 and drops the zone', () => {
    expect([plainAddress('::ffff:1.2.3.4'), plainAddress('fe80::1%eth0')]).toEqual(['1.2.3.4', 'fe80::1']);
  });
});
