// Does each shard take writes right now? A tiny write to each primary that expires by itself; of each shard never more than one
// under way. As write-probe.ts, with a key in the slots of the shard.
import { redisProbeKey } from '@switchyard/protocol';
import { hasSlot, keyInSlots, slotOfKey, type Address, type ClusterShard } from '@switchyard/replication';
import { RedisNodeError, type RedisNodeAdmin } from '@switchyard/redis';
import type { ProbeOutcome } from '../write-probe.ts';

const probeTtlMs = 10_000;
const homeSlot = slotOfKey(redisProbeKey);

/** The key of a probe write to these slots; null when none was found. Keys of shards are remembered. */
export const probeKeys = (): ((shard: ClusterShard) => string | null) => {
  const keys = new Map<string, string | null>();
  return ({ name, primary: { slots } }) => {
    if (hasSlot(slots, homeSlot)) return redisProbeKey;
    const known = keys.get(name);
    if (typeof known === 'string' && hasSlot(slots, slotOfKey(known))) return known;
    const key = keyInSlots(slots, 'switchyard:probe');
    keys.set(name, key);
    return key;
  };
};

/** Probes; `fire` writes to the primary of the shard unless its last write is still open, and tells the outcome. */
export const createClusterProbe = (options: {
  readonly writerAt: (at: Address) => RedisNodeAdmin | undefined;
  readonly onOutcome: (outcome: ProbeOutcome, shard: ClusterShard) => void;
}): { fire(shard: ClusterShard): void } => {
  const keyOf = probeKeys();
  const busy = new Set<string>();
  const write = async (node: RedisNodeAdmin, key: string): Promise<ProbeOutcome> => {
    const at = { host: node.host, port: node.port };
    try {
      await node.probeWrite(key, probeTtlMs);
      return { at, outcome: 'acked', detail: '' };
    } catch (error) {
      const outcome = error instanceof RedisNodeError ? error.kind : 'silent';
      return { at, outcome, detail: error instanceof Error ? error.message : String(error) };
    }
  };
  return {
    fire(shard) {
      const { id, host, port } = shard.primary;
      const node = options.writerAt({ host, port });
      const key = keyOf(shard);
      if (node === undefined || key === null || busy.has(id)) return;
      busy.add(id);
      void write(node, key).then((outcome) => {
        busy.delete(id);
        options.onOutcome(outcome, shard);
      });
    },
  };
};
