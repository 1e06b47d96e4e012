// Was a write that was acknowledged lost? Writers that note every acknowledgement, as applications write: through our own library.
import { createRedis, type Redis, type RedisConnections } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import type { SentinelGroup, TestRedis } from '@switchyard/testing';

/** Writers at work. */
export interface Ledger {
  /** Acknowledged so far. */
  acked(): number;
  /** The longest time without any acknowledgement since the last call. */
  gapMs(): number;
  /** Ends the writers; resolves with how many acknowledged writes the node does not have. */
  lostAt(node: TestRedis): Promise<number>;
  stop(): Promise<void>;
}

const paceMs = 3;
const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

/** Sixteen writers over four connections; each writes ids of its own into a set of its own. */
export const startLedger = async (group: SentinelGroup, writers = 16): Promise<Ledger> => {
  const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
  const factory: RedisConnections = createRedis(
    { kind: 'sentinel', sentinels, group: group.group },
    { logger, name: 'ledger' },
  );
  const over = new AbortController();
  const ids: string[][] = [];
  let lastAckMs = performance.now();
  let longestMs = 0;

  const write = async (redis: Redis, own: string[], writer: number): Promise<void> => {
    for (let at = 0; !over.signal.aborted; at += 1) {
      const id = `${String(writer)}-${String(at)}`;
      try {
        await redis.sadd(`ledger:${String(writer)}`, id);
        own.push(id);
        const nowMs = performance.now();
        longestMs = Math.max(longestMs, nowMs - lastAckMs);
        lastAckMs = nowMs;
      } catch {
        // Not acknowledged: it may be there or not.
      }
      await pause(paceMs);
    }
  };
  const connections = Array.from({ length: 4 }, () => factory.connect('commands'));
  const working = Array.from({ length: writers }, async (_none, writer) => {
    const own: string[] = [];
    ids.push(own);
    const redis = connections[writer % connections.length];
    if (redis !== undefined) await write(redis, own, writer);
  });
  const stop = async (): Promise<void> => {
    over.abort();
    await Promise.all(working);
    await factory.stop();
  };
  while (ids.flat().length < writers) await pause(10);
  longestMs = 0;
  return {
    acked: () => ids.reduce((sum, own) => sum + own.length, 0),
    gapMs() {
      const found = Math.max(longestMs, performance.now() - lastAckMs);
      longestMs = 0;
      return Math.round(found);
    },
    async lostAt(node) {
      await stop();
      let lost = 0;
      for (const [writer, own] of ids.entries()) {
        const there = await node.cli('SMEMBERS', `ledger:${String(writer)}`);
        const kept = new Set(Array.isArray(there) ? there.map(String) : []);
        lost += own.filter((id) => !kept.has(id)).length;
      }
      return lost;
    },
    stop,
  };
};

const pause = async (ms: number): Promise<void> => {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
};
