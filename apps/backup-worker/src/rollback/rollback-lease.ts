// How do managers and other workers see that somebody works on the group? By the lease that managers use among each other. It may lie in
// the very data that are rolled back, so nothing rests on it: what is done compares before it acts.
import { createLeases, type Redis } from '@switchyard/redis';
import { withDeadline, type Logger } from '@switchyard/runtime';
import type { RollbackLease } from './rollback-tools.ts';

const deadlineMs = 700;

/** The lease of `group` for this process. */
export function createRollbackLease(options: {
  readonly redis: () => Redis;
  readonly group: string;
  readonly holder: string;
  readonly logger: Logger;
}): RollbackLease {
  const { group, holder, logger } = options;
  const name = `redis-group-${group}`;
  return {
    take: async (operation, forMs) => {
      const ttl = `${Math.min(3_600_000, Math.max(1_000, Math.ceil(forMs)))}ms`;
      try {
        const asked = createLeases(options.redis()).acquire(name, { holder, ttl, meta: { operation } });
        const answer = await withDeadline(asked, deadlineMs, `the lease ${name}`);
        return answer.ok || answer.error.code !== 'lease_held' ? null : answer.error.detail;
      } catch (error) {
        logger.debug({ group, err: error }, 'rollback.lease_unavailable');
        return null;
      }
    },
    give: async () => {
      try {
        await withDeadline(createLeases(options.redis()).release(name, { holder }), deadlineMs, `the lease ${name}`);
      } catch (error) {
        logger.debug({ group, err: error }, 'rollback.lease_not_released');
      }
    },
  };
}
