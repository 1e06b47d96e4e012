import * as fc from 'fast-check';
import { parseSentinelEvent, parseSentinelPeers, parseSentinelReplicas, parseSentinelView } from './sentinel-parser.ts';

const flat = (
  'name main ip 127.0.0.1 port 4731 flags s_down,master config-epoch 3 num-slaves 2 num-other-sentinels 2 quorum 2 ' +
  'down-after-milliseconds 1000 failover-timeout 180000'
).split(' ');
const pairs = Array.from({ length: flat.length / 2 }, (_none, at) => [flat[2 * at], flat[2 * at + 1]] as const);

describe('replies of a Sentinel', () => {
  it.each([
    ['a flat array', flat],
    ['a map', new Map(pairs)],
    ['an object', Object.fromEntries(pairs)],
  ])('are the same facts as %s', (_shape, reply) => {
    expect(parseSentinelView(reply)).toEqual({
      group: 'main',
      primary: { host: '127.0.0.1', port: 4731 },
      flags: ['s_down', 'master'],
      epoch: 3,
      quorum: 2,
      otherSentinels: 2,
      replicas: 2,
      downAfterMs: 1000,
      failoverTimeoutMs: 180_000,
    });
  });

  it('are null when they name no usable primary', () => {
    for (const nonsense of [null, [], 'x', ['name', 'main'], ['name', 'main', 'ip', '?', 'port', '0']]) {
      expect(parseSentinelView(nonsense)).toBeNull();
    }
  });

  it('list replicas, and count the ghosts that backup streams left', () => {
    const reply = [
      ['name', '127.0.0.1:4732', 'ip', '127.0.0.1', 'port', '4732', 'flags', 'slave', 'slave-priority', '100'],
      ['name', '127.0.0.1:0', 'ip', '127.0.0.1', 'port', '0', 'flags', 's_down,slave'],
    ];
    expect(parseSentinelReplicas(reply)).toEqual({
      replicas: [{ host: '127.0.0.1', port: 4732, flags: ['slave'], priority: 100 }],
      ghosts: 1,
    });
  });

  it('list the other Sentinels', () => {
    expect(parseSentinelPeers([['ip', '10.0.0.2', 'port', '4742', 'runid', 'abc', 'flags', 'sentinel']])).toEqual([
      { host: '10.0.0.2', port: 4742, id: 'abc', flags: ['sentinel'] },
    ]);
  });
});

describe('messages of a Sentinel', () => {
  const primary = { host: '127.0.0.1', port: 4731 };

  it('about the primary name it', () => {
    expect(parseSentinelEvent('+odown', 'master main 127.0.0.1 4731 #quorum 2/2')).toMatchObject({
      type: '+odown',
      group: 'main',
      subject: { kind: 'primary', ...primary },
      primary,
      text: '+odown master main 127.0.0.1 4731 #quorum 2/2',
    });
  });

  it('about a replica name it and its primary, without the old word in the type', () => {
    const message = 'slave 127.0.0.1:4733 127.0.0.1 4733 @ main 127.0.0.1 4731';
    expect(parseSentinelEvent('+selected-slave', message)).toMatchObject({
      type: '+selected-replica',
      group: 'main',
      subject: { kind: 'replica', host: '127.0.0.1', port: 4733 },
      primary,
    });
  });

  it('of a switch name both sides', () => {
    expect(parseSentinelEvent('+switch-master', 'main 127.0.0.1 4731 127.0.0.1 4732')).toMatchObject({
      group: 'main',
      primary,
      to: { host: '127.0.0.1', port: 4732 },
    });
  });

  it('about epochs carry the number', () => {
    expect(parseSentinelEvent('+new-epoch', '7').epoch).toBe(7);
    expect(parseSentinelEvent('+vote-for-leader', 'e0d60cbe 7').epoch).toBe(7);
  });

  it('never throw, whatever they say', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ maxLength: 700 }), (channel, message) => {
        const event = parseSentinelEvent(channel, message);
        expect(event.text.length).toBeLessThan(600);
      }),
    );
  });
});
