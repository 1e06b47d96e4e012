// Does an application behind NAT follow a failover? It reaches every node under another address than the one that is announced.
import { createRedis } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, startDelayProxy, startSentinelGroup, type DelayProxy } from '@switchyard/testing';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

describe('an application behind NAT', () => {
  it('writes through the mapped addresses, before and after a failover', async () => {
    const group = await startSentinelGroup();
    const doors: DelayProxy[] = [];
    const doorOf = new Map<number, DelayProxy>();
    for (const node of group.nodes) {
      const door = await startDelayProxy({ to: node, delayMs: 0 });
      doors.push(door);
      doorOf.set(node.port, door);
    }
    const natMap = Object.fromEntries(
      group.nodes.map(({ host, port }, at) => [`${host}:${String(port)}`, { host, port: doors[at]?.port ?? 0 }]),
    );
    const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
    const settings = { kind: 'sentinel', sentinels, group: group.group, natMap } as const;
    const connections = createRedis(settings, { logger, name: 'behind-nat' });
    try {
      const redis = connections.connect('commands');
      const write = async (): Promise<void> => {
        await eventually(async () => expect(await redis.set('key', 'value')).toBe('OK'), { timeoutMs: 20_000 });
      };
      await write();
      const old = await group.primary();
      expect(doorOf.get(old.port)?.connections()).toBeGreaterThan(0);
      await old.kill();
      await write();
      const now = await group.primaryOtherThan(old, 60_000);
      await write();
      expect(doorOf.get(now.port)?.connections()).toBeGreaterThan(0);
      expect(await now.cli('GET', 'key')).toBe('value');
    } finally {
      await connections.stop();
      await Promise.all(doors.map((door) => door.stop()));
      await group.stop();
    }
  }, 150_000);
});
