// Does a process behind NAT find a group whose addresses it cannot reach, also after a failover?
import { createLogger } from '@switchyard/runtime';
import { eventually, startDelayProxy, startRedis, startSentinel } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createRedis } from './index.ts';
import { natMapOf, reachable } from './nat-map.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

const endpointOf = (text: string): { host: string; port: number } => {
  const [host = '', port] = text.split(':');
  return { host, port: Number(port) };
};

describe('the NAT map', () => {
  it('gives the address to connect to, and leaves others as they are', () => {
    const map = natMapOf(['10.0.0.1:6379=127.0.0.1:4731', 'r2:6379=127.0.0.1:4732'], endpointOf);

    expect(reachable(map, { host: 'r2', port: 6379 })).toEqual({ host: '127.0.0.1', port: 4732 });
    expect(reachable(map, { host: 'r3', port: 6379 })).toEqual({ host: 'r3', port: 6379 });
    expect(reachable(undefined, { host: 'r3', port: 6379 })).toEqual({ host: 'r3', port: 6379 });
    expect(natMapOf([], endpointOf)).toBeUndefined();
    expect(() => natMapOf(['a:1=b:2', 'a:1=b:3'], endpointOf)).toThrow(/a:1 twice/);
  });
});

describe('connections through a NAT', () => {
  it('follow the group by the addresses of the map, and hear of a promotion by them', async () => {
    const started: TestRedis[] = [];
    // where the nodes really are; as a firewall would, the test gives the process the relays only
    const nodes = [await startRedis()];
    const [first] = nodes as [TestRedis];
    nodes.push(await startRedis({ replicaOf: first }));
    const relays = await Promise.all(nodes.map((node) => startDelayProxy({ to: node, delayMs: 0 })));
    const sentinel = await startSentinel([
      'sentinel announce-ip 127.0.0.1',
      `sentinel monitor main ${first.host} ${first.port} 1`,
      'sentinel down-after-milliseconds main 1000',
    ]);
    started.push(...nodes, sentinel);
    const keyOf = ({ host, port }: { host: string; port: number }): string => `${host}:${port}`;
    const natMap = Object.fromEntries(
      nodes.map((node, i) => [keyOf(node), { host: '127.0.0.1', port: relays[i]?.port ?? 0 }]),
    );
    const sentinels = [{ host: '127.0.0.1', port: sentinel.port }];
    const connections = createRedis({ kind: 'sentinel', sentinels, group: 'main', natMap }, { logger, name: 'test' });
    try {
      const commands = connections.connect('commands');
      await eventually(async () => expect(await commands.set('key', 1)).toBe('OK'), { timeoutMs: 10_000 });
      expect(commands.stream.remotePort).toBe(relays[0]?.port);
      await eventually(
        async () => {
          const listed = await sentinel.cli('SENTINEL', 'REPLICAS', 'main');
          expect(JSON.stringify(listed)).toContain('"master-link-status","ok"');
        },
        { timeoutMs: 20_000, what: 'a replica that the Sentinel knows' },
      );

      await first.kill();

      await eventually(async () => expect(await commands.set('key', 2)).toBe('OK'), { timeoutMs: 20_000 });
      expect(commands.stream.remotePort).toBe(relays[1]?.port);
    } finally {
      await connections.stop();
      await Promise.all(started.map((one) => one.stop()));
      await Promise.all(relays.map((one) => one.stop()));
    }
  }, 60_000);
});
