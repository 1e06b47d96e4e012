// May the group be copied now? Asked of the survey, and of the lease that managers and rollbacks hold while they work on it.
import { whyNoBaseNow } from '@switchyard/backup';
import { createLeases, type RedisConnections } from '@switchyard/redis';
import { withDeadline } from '@switchyard/runtime';
import type { GroupSurvey, SurveyedNode } from '../source/group-survey.ts';

/** Why `source` is not copied now; empty when it may be. Never rejects: a lease that cannot be read does not stand in the way. */
export type BaseGate = (source: SurveyedNode, survey: GroupSurvey) => Promise<readonly string[]>;

/** Redis that does not answer within this time is away. */
const leaseDeadlineMs = 700;

/** The gate of `group`. */
export function createBaseGate(options: { readonly group: string; readonly connections: RedisConnections }): BaseGate {
  const { group, connections } = options;
  const leases = createLeases(connections.connect('commands'));
  return async (source, { isInFailover }) => {
    const workBy = await withDeadline(leases.read(`redis-group-${group}`), leaseDeadlineMs, 'the lease of the group')
      .then((found) => (found.ok ? `${found.value.meta['operation'] ?? 'unknown'} by ${found.value.holder}` : null))
      .catch(() => null);
    const { name, memory, isBusy } = source;
    return whyNoBaseNow(name, { memory, isBusy, isInFailover, workBy });
  };
}
