import { describe, expect, it } from '@jest/globals';
import { advertisedHost, advertisedUrl } from './advertise.ts';

const interfaces = {
  lo: [{ family: 'IPv4', internal: true, address: '127.0.0.1' }],
  eth0: [
    { family: 'IPv6', internal: false, address: 'fe80::1' },
    { family: 'IPv4', internal: false, address: '10.0.0.5' },
  ],
};

describe('the advertised host', () => {
  it.each([
    [{ bindHost: '127.0.0.1' }, '127.0.0.1'],
    [{ bindHost: '127.0.0.1', advertiseHost: '' }, '127.0.0.1'],
    [{ bindHost: '0.0.0.0', advertiseHost: 'node-a' }, 'node-a'],
    [{ bindHost: '0.0.0.0' }, '10.0.0.5'],
    [{ bindHost: '::' }, '10.0.0.5'],
    [{ bindHost: '0.0.0.0', interfaces: { lo: interfaces.lo, none: undefined } }, '127.0.0.1'],
  ])('for %j is %s', (given, expected) => {
    expect(advertisedHost({ interfaces, ...given })).toBe(expected);
  });

  it('makes a URL, with brackets around IPv6', () => {
    expect(advertisedUrl({ bindHost: '127.0.0.1', port: 4721 })).toBe('http://127.0.0.1:4721');
    expect(advertisedUrl({ bindHost: '0.0.0.0', advertiseHost: 'fd00::1', port: 1 })).toBe('http://[fd00::1]:1');
  });
});
