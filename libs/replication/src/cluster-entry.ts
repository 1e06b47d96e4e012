// How is the finished failover of a shard told? As failover-entry.ts, for a Redis Cluster.
import type { RedisFailover } from '@switchyard/protocol';
import { shardPhases, type ShardAttempt } from './cluster-follower-state.ts';

/** A look at the old primary that is older than this, when trouble began, says little about what it had at its end. */
const freshLookMs = 2_000;

/**
 * The entry of an attempt whose target is known. `startedAtMs` is on the clock of the follower (monotonic): the caller puts it
 * on the wall clock. The id is the same for every observer: no two promotions of a cluster share a config epoch.
 */
export const shardEntryOf = (group: string, attempt: ShardAttempt): RedisFailover => {
  const { target, shard } = attempt;
  if (target === null) throw new Error('an attempt without a target has no entry');
  return {
    id: `${group}-${String(target.epoch)}`,
    group,
    kind: attempt.requested ? 'switchover' : 'failover',
    startedAtMs: attempt.startedAtMs,
    from: shard.primary,
    to: target.to,
    epoch: target.epoch,
    shard: shard.name,
    phases: shardPhases
      .flatMap((name) => {
        const atMs = attempt.reachedAtMs[name];
        return atMs === undefined ? [] : [{ name, atMs: Math.max(0, Math.round(atMs - attempt.startedAtMs)) }];
      })
      .sort((a, b) => a.atMs - b.atMs),
    cause: attempt.cause,
    evidence: evidenceOf(attempt),
    writesUnavailableMs: attempt.writesUnavailableMs === null ? null : Math.round(attempt.writesUnavailableMs),
    dataLoss: dataLossOf(attempt),
  };
};

const evidenceOf = ({ evidence, reachedAtMs, requested }: ShardAttempt): string[] => {
  const expected = shardPhases.filter((phase) => !(requested && (phase === 'pfail' || phase === 'fail')));
  const unseen = expected.filter((phase) => reachedAtMs[phase] === undefined);
  return unseen.length === 0 ? [...evidence] : [...evidence, `not seen: ${unseen.join(', ')}`];
};

const dataLossOf = ({ shard, target, startedAtMs, requested }: ShardAttempt): RedisFailover['dataLoss'] => {
  const unknown = (detail: string): RedisFailover['dataLoss'] => ({ verdict: 'unknown', detail });
  const old = shard.offset;
  if (old === null) return unknown('the old primary was never seen before it was replaced');
  const lookAgoMs = Math.round(startedAtMs - old.atMs);
  if (lookAgoMs > freshLookMs)
    return unknown(`the old primary was last seen ${String(lookAgoMs)} ms before the first sign`);
  const has = target?.sharedOffset ?? null;
  const name = target?.to.name ?? 'the new primary';
  if (has === null) return unknown(`${name} does not say what it has of the old primary's stream`);
  const facts = `${shard.primary.name} was last seen at byte ${String(old.offset)}, ${name} continued at byte ${String(has)}`;
  const lost = old.offset - has;
  if (lost > 0)
    return { verdict: 'possible', detail: `${facts}: ${String(lost)} bytes of the old stream are not in the new one` };
  const rest = requested
    ? 'the old one had stopped its writers until the new one had everything'
    : 'nothing that was seen is missing; what was written after that look cannot be seen';
  return { verdict: 'none-expected', detail: `${facts}: ${rest}` };
};
