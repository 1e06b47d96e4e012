// What must be true before a test may kill a primary without losing data? All replicas have what it has.
import { eventually } from '@switchyard/testing';
import type { SentinelGroup, TestRedis } from '@switchyard/testing';

/** Resolves with the primary when every other living node has all that it had at the call. (WAIT only knows its own client.) */
export async function replicatedPrimary(group: SentinelGroup): Promise<TestRedis> {
  const primary = await group.primary();
  const offset = Number(await primary.info('replication', 'master_repl_offset'));
  await eventually(
    async () => {
      const replicas = group.nodes.filter((node) => node !== primary && node.running());
      const offsets = await Promise.all(replicas.map((node) => node.info('replication', 'slave_repl_offset')));
      return offsets.every((each) => Number(each) >= offset);
    },
    { timeoutMs: 10_000, what: 'Replication' },
  );
  return primary;
}
