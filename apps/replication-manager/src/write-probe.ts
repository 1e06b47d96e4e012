// Does the group take writes right now? A tiny write to the primary that expires by itself; never more than one under way.
import type { Address } from '@switchyard/replication';
import { redisProbeKey } from '@switchyard/protocol';
import { RedisNodeError, type RedisNodeAdmin } from '@switchyard/redis';

/** How a probe ended. */
export interface ProbeOutcome {
  readonly at: Address;
  readonly outcome: 'acked' | 'gone' | 'silent' | 'refused';
  /** Why not, for people; empty when it was acknowledged. */
  readonly detail: string;
}

/** Gone long before anybody could wonder about it, and still there for a look with redis-cli. */
const probeTtlMs = 10_000;

/** A probe; `fire` writes to `node` unless the last write is still open, and tells the outcome. */
export const createWriteProbe = (onOutcome: (outcome: ProbeOutcome) => void): { fire(node: RedisNodeAdmin): void } => {
  let busy = false;
  const write = async (node: RedisNodeAdmin): Promise<ProbeOutcome> => {
    const at = { host: node.host, port: node.port };
    try {
      await node.probeWrite(redisProbeKey, probeTtlMs);
      return { at, outcome: 'acked', detail: '' };
    } catch (error) {
      const outcome = error instanceof RedisNodeError ? error.kind : 'silent';
      return { at, outcome, detail: error instanceof Error ? error.message : String(error) };
    }
  };
  return {
    fire(node) {
      if (busy) return;
      busy = true;
      void write(node).then((outcome) => {
        busy = false;
        onOutcome(outcome);
      });
    },
  };
};
