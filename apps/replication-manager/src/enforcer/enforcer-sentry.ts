// Who stands at the bed of a node that is away, to be the first thing that it sees when it wakes? One question that waits for it.
//
// A frozen process keeps its sockets: what was sent to it is read the moment it goes on, before most of what its clients send next.
// A process that is gone refuses connections until it listens again, so it is asked forty times a second.
import { parseInfo, type Endpoint, type NodeObservation } from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { GroupTools } from '../group-part.ts';

/** A watch at one node, until `close`. */
export interface Sentry {
  readonly at: Endpoint;
  close(): void;
}

const againMs = 25;
/** A node that was away for so long is asked less often. */
const patienceMs = 3_600_000;
const laterMs = 250;
/** Beyond the limit after which a silent connection is given up by itself: that one renews it. */
const questionMs = 10_000;

/** Begins at once. `onAnswer` gets the answer and the connection that it came over; what it returns is waited for. */
export const createSentry = (
  tools: GroupTools,
  at: Endpoint,
  onAnswer: (node: NodeObservation, admin: RedisNodeAdmin) => Promise<void>,
): Sentry => {
  const { clock, logger, definition } = tools;
  const ended = new AbortController();
  const startedMs = clock.monotonicMs();
  let admin: RedisNodeAdmin | undefined;

  const ask = async (): Promise<void> => {
    admin = tools.connect(at, { deadlineMs: questionMs, name: 'switchyard-sentry' });
    try {
      const info = parseInfo(await admin.info());
      if (ended.signal.aborted) return;
      const node = { ...at, info, savePoints: null, answeredAtMs: clock.monotonicMs(), failure: null };
      await onAnswer(node, admin);
    } finally {
      admin.close();
      admin = undefined;
    }
  };

  const stand = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await ask().catch((error: unknown) =>
        logger.debug({ group: definition.name, node: at.name, err: error }, 'redis.sentry_unanswered'),
      );
      const isNew = clock.monotonicMs() - startedMs < patienceMs;
      await clock.sleep(isNew ? againMs : laterMs, ended.signal).catch(() => undefined);
    }
  };
  void stand();

  return {
    at,
    close() {
      ended.abort();
      admin?.close();
    },
  };
};
