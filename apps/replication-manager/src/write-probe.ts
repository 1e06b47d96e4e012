// Does the group take writes right now? A tiny write to the primary that expires by itself; never more than one under way.
import { sameAddress, type Address, type Endpoint } from '@switchyard/replication';
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

/** A probe with a connection of its own: a paused primary owes the probe an answer, and must not owe one to who watches it. */
export interface WriteProbe {
  /** Writes to the node, unless the last write is still open. Who was written to before is left. */
  fire(at: Endpoint): void;
  close(): void;
}

/** A probe that connects by `connect` and tells each outcome. */
export const createWriteProbe = (options: {
  readonly connect: (at: Endpoint) => RedisNodeAdmin;
  readonly onOutcome: (outcome: ProbeOutcome) => void;
}): WriteProbe => {
  const { connect, onOutcome } = options;
  let node: RedisNodeAdmin | undefined;
  let busy = false;
  const nodeAt = (at: Endpoint): RedisNodeAdmin => {
    if (node !== undefined && !sameAddress(node, at)) {
      node.close();
      node = undefined;
    }
    node ??= connect(at);
    return node;
  };
  const write = async (at: Endpoint): Promise<ProbeOutcome> => {
    const { host, port } = at;
    try {
      await nodeAt(at).probeWrite(redisProbeKey, probeTtlMs);
      return { at: { host, port }, outcome: 'acked', detail: '' };
    } catch (error) {
      const outcome = error instanceof RedisNodeError ? error.kind : 'silent';
      return { at: { host, port }, outcome, detail: error instanceof Error ? error.message : String(error) };
    }
  };
  return {
    fire(at) {
      if (busy) return;
      busy = true;
      void write(at).then((outcome) => {
        busy = false;
        onOutcome(outcome);
      });
    },
    close: () => node?.close(),
  };
};
