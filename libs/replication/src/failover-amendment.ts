// What becomes of an entry of the history when more is learnt about the failover? Later facts are added, and correct the verdict.
import type { RedisFailover, RedisFailoverAmendment } from '@switchyard/protocol';

const mostNotes = 64;
const mostLogs = 16;

/**
 * The entry with what was learnt. Notes and log lines are appended, up to a bound; of anything else the latest counts. Bytes that
 * only the old primary had were lost for the group, whatever could be seen before.
 */
export const withAmendment = (entry: RedisFailover, amendment: RedisFailoverAmendment): RedisFailover => {
  const notes = [...(entry.notes ?? []), ...(amendment.notes ?? [])].slice(0, mostNotes);
  const logs = [...(entry.logs ?? []), ...(amendment.logs ?? [])].slice(0, mostLogs);
  return {
    ...entry,
    ...amendment,
    dataLoss: lossOf(entry.dataLoss, amendment.divergence),
    ...(notes.length === 0 ? {} : { notes }),
    ...(logs.length === 0 ? {} : { logs }),
  };
};

const lossOf = (
  known: RedisFailover['dataLoss'],
  divergence: RedisFailoverAmendment['divergence'],
): RedisFailover['dataLoss'] => {
  const isLost = divergence !== undefined && ((divergence.bytes ?? 0) > 0 || divergence.keys.length > 0);
  if (!isLost || known.verdict === 'possible') return known;
  return { verdict: 'possible', detail: divergence.detail };
};
