// Which writes were promised to somebody, and does the group still have them? A ledger for tests that kill and restart nodes.
import { eventually, type SentinelGroup, type TestRedis } from '@switchyard/testing';

/** What was promised: writes that so many replicas have. */
export interface GroupLedger {
  /** Writes `count` keys to the primary; resolves when so many replicas (1 unless told) have them. */
  write(name: string, options?: { readonly count?: number; readonly copies?: number }): Promise<void>;
  /** The keys that were promised and that this node does not have. */
  lost(node: TestRedis): Promise<readonly string[]>;
}

/** An empty ledger of a group. */
export const createGroupLedger = (group: SentinelGroup): GroupLedger => {
  const promised: string[] = [];
  return {
    async write(name, { count = 100, copies = 1 } = {}) {
      const primary = await group.primary();
      const written = Array.from({ length: count }, (_none, at) => `${name}:${String(at)}`);
      await primary.cli('MSET', ...written.flatMap((key) => [key, key]));
      const offset = Number(await primary.info('replication', 'master_repl_offset'));
      await eventually(
        async () => {
          const others = group.nodes.filter((node) => node !== primary && node.running());
          const offsets = await Promise.all(others.map((node) => node.info('replication', 'slave_repl_offset')));
          return offsets.filter((one) => Number(one) >= offset).length >= copies;
        },
        { timeoutMs: 30_000, what: `${String(copies)} replicas that have ${name}` },
      );
      promised.push(...written);
    },
    async lost(node) {
      const values = (await node.cli('MGET', ...promised)) as (string | null)[];
      return promised.filter((key, at) => values[at] !== key);
    },
  };
};

/** Resolves with the primary once most Sentinels name one, it says so itself, and every other running node follows it. */
export const wholeAgain = (group: SentinelGroup, timeoutMs = 90_000): Promise<TestRedis> =>
  eventually(
    async () => {
      const primary = await group.primary();
      for (const node of group.nodes.filter((one) => one.running())) {
        const role = (await node.cli('ROLE')) as readonly [string, string, number, string];
        if (node === primary) expect(role[0]).toBe('master');
        else expect(role.slice(0, 4)).toEqual(['slave', '127.0.0.1', primary.port, 'connected']);
      }
      return primary;
    },
    { timeoutMs, intervalMs: 100, what: 'One primary that all others follow' },
  );
