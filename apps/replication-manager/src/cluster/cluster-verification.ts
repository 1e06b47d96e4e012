// Did a failover leave the shard as it should be? As verification.ts, for a Redis Cluster: the rest of the shard follows, and has the
// same data.
import type { RedisFailover, RedisVerification } from '@switchyard/protocol';
import type { ClusterFacts } from '@switchyard/replication';
import type { Consistency } from '../consistency/consistency.ts';
import type { GroupTools } from '../group-part.ts';

type Check = RedisVerification['checks'][number];

/** Looks after each failover or switchover. */
export interface ClusterVerification {
  finished(entry: RedisFailover): void;
  stop(): Promise<void>;
}

/** More keys than this are not all compared after a failover, but so many of them. */
const sampling = { above: 500_000, keys: 20_000 } as const;
const checkDeadlineMs = 60_000;
const settleDeadlineMs = 60_000;
const lookEveryMs = 250;
/** Another check is under way. */
const retryEveryMs = 3_000;

/** Adds `verification` to the history some seconds after each entry. */
export const createClusterVerification = (
  tools: GroupTools,
  consistency: Pick<Consistency, 'check'>,
  facts: () => ClusterFacts,
): ClusterVerification => {
  const { clock, logger, history, definition } = tools;
  const group = definition.name;
  const stopped = new AbortController();
  const under = new Set<Promise<void>>();

  const replicasOf = ({ to }: RedisFailover) =>
    facts().shards.find(({ primary }) => primary.name === to.name)?.replicas;

  /** Waits until every replica of the shard that can be reached is in step; also for the one that comes back. */
  const followed = async (entry: RedisFailover): Promise<Check> => {
    const startedMs = clock.monotonicMs();
    for (;;) {
      const replicas = replicasOf(entry)?.filter(({ seen }) => seen) ?? [];
      const names = replicas.map(({ name }) => name).join(', ');
      if (replicas.length > 0 && replicas.every(({ observation }) => observation?.info?.link === 'up')) {
        return { name: 'replicas follow', ok: true, detail: `${names} follow ${entry.to.name}` };
      }
      if (clock.monotonicMs() - startedMs > settleDeadlineMs) {
        const detail = replicas.length === 0 ? 'no replica of the shard can be reached' : `${names} are not in step`;
        return { name: 'replicas follow', ok: false, detail: `after ${String(settleDeadlineMs / 1_000)} s: ${detail}` };
      }
      await clock.sleep(lookEveryMs, stopped.signal);
    }
  };

  const compared = async (entry: RedisFailover): Promise<readonly Check[]> => {
    const startedMs = clock.monotonicMs();
    for (;;) {
      const nodes =
        replicasOf(entry)
          ?.filter(({ seen }) => seen)
          .map(({ name }) => name) ?? [];
      if (nodes.length === 0) return [{ name: 'data', ok: null, detail: 'there is no replica to compare with' }];
      const found = await consistency.check(
        { input: { digest: true, dutyPercent: 50, nodes }, cause: entry.id, deadlineMs: checkDeadlineMs, sampling },
        { signal: stopped.signal, progress: () => undefined },
      );
      if (found.ok) {
        const replicas = found.value.nodes.filter(({ role }) => role !== 'primary');
        return replicas.map(({ node, verdict, detail }) => ({
          name: `data of ${node}`,
          ok: verdict === 'same' ? true : verdict === 'different' ? false : null,
          detail,
        }));
      }
      const isOver = clock.monotonicMs() - startedMs > settleDeadlineMs;
      if (found.error.code !== 'conflict' || isOver) return [{ name: 'data', ok: null, detail: found.error.detail }];
      await clock.sleep(retryEveryMs, stopped.signal);
    }
  };

  const verify = async (entry: RedisFailover): Promise<void> => {
    const checks = [await followed(entry), ...(await compared(entry))];
    const wrong = checks.filter(({ ok }) => ok === false);
    const ok = wrong.length > 0 ? false : checks.some((check) => check.ok === null) ? null : true;
    history.amend(entry.id, { verification: { ok, checks, atMs: clock.unixMs() } });
    logger[ok === false ? 'error' : 'info']({ group, failover: entry.id, ok, wrong }, 'redis.failover_verified');
  };

  return {
    finished(entry) {
      const work = verify(entry).catch((error: unknown) => {
        if (!stopped.signal.aborted) {
          logger.warn({ group, failover: entry.id, err: error }, 'redis.verification_failed');
        }
      });
      under.add(work);
      void work.finally(() => under.delete(work));
    },
    async stop() {
      stopped.abort();
      await Promise.all(under);
    },
  };
};
