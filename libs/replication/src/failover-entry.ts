// How is a finished failover told? Phases, cause, evidence, how long writes failed, and whether writes may be lost.
import type { RedisFailover } from '@switchyard/protocol';
import { addressKey, sameAddress } from './address.ts';
import { failoverPhases, type Attempt, type FollowerState } from './failover-state.ts';

/** A look at the old primary that is older than this, when trouble began, says little about what it had at its end. */
const freshLookMs = 2_000;

/**
 * The entry of an attempt whose target is known. `startedAtMs` is on the clock of the follower (monotonic): the caller puts
 * it on the wall clock. The id is the same for every observer of the same promotion.
 */
export const entryOf = (
  state: FollowerState,
  attempt: Attempt,
  target: NonNullable<Attempt['target']>,
): RedisFailover => ({
  id: `${state.group}-${String(target.epoch)}`,
  group: state.group,
  kind: attempt.requested ? 'switchover' : 'failover',
  startedAtMs: attempt.startedAtMs,
  from: attempt.from,
  to: target.to,
  epoch: target.epoch,
  phases: phasesOf(attempt),
  cause: attempt.cause,
  evidence: evidenceOf(attempt),
  writesUnavailableMs: attempt.writesUnavailableMs === null ? null : Math.round(attempt.writesUnavailableMs),
  dataLoss: dataLossOf(state, attempt, target),
});

const phasesOf = (attempt: Attempt): RedisFailover['phases'] =>
  failoverPhases
    .flatMap((name) => {
      const atMs = attempt.reachedAtMs[name];
      return atMs === undefined ? [] : [{ name, atMs: Math.max(0, Math.round(atMs - attempt.startedAtMs)) }];
    })
    .sort((a, b) => a.atMs - b.atMs);

const evidenceOf = (attempt: Attempt): string[] => {
  const lines = attempt.evidence.map(
    ({ atMs, text }) => `+${String(Math.max(0, Math.round(atMs - attempt.startedAtMs)))} ms ${text}`,
  );
  if (attempt.omittedEvidence > 0) lines.push(`${String(attempt.omittedEvidence)} more lines were left out`);
  const unseen = failoverPhases.filter(
    (phase) => attempt.reachedAtMs[phase] === undefined && isExpected(attempt, phase),
  );
  if (unseen.length > 0) lines.push(`not seen: ${unseen.join(', ')}`);
  return lines;
};

/** A failover on request has no down phases. */
const isExpected = (attempt: Attempt, phase: string): boolean =>
  !(attempt.requested && (phase === 'sdown' || phase === 'odown'));

type Verdict = RedisFailover['dataLoss'];

const dataLossOf = (state: FollowerState, attempt: Attempt, target: NonNullable<Attempt['target']>): Verdict => {
  const unknown = (why: string): Verdict => ({ verdict: 'unknown', detail: why });
  if (attempt.missed) return unknown('the failover was over before it was seen');
  const old = state.primaryOffset;
  if (old === null) return unknown('the old primary was never seen before it failed');
  const lookAgoMs = Math.round(attempt.startedAtMs - old.atMs);
  if (lookAgoMs > freshLookMs) {
    return unknown(`the old primary was last seen ${String(lookAgoMs)} ms before the first sign`);
  }
  const has = sharedBytes(state, attempt, target);
  if (has === null) return unknown(`${target.to.name} does not say what it has of the old primary's stream`);
  const name = attempt.from?.name ?? 'the old primary';
  const lost = old.offset - has;
  const look = lookAgoMs >= 0 ? `${String(lookAgoMs)} ms before the first sign` : 'afterwards';
  const facts = `${name} was last seen at byte ${String(old.offset)} (${look}), ${target.to.name} continued at byte ${String(has)}`;
  return lost > 0
    ? {
        verdict: 'possible',
        detail: `${facts}: ${String(lost)} bytes of the old stream are not in the new one`,
      }
    : {
        verdict: 'none-expected',
        detail: `${facts}: nothing that was seen is missing; what was written after that look cannot be seen`,
      };
};

/** How far the new primary's data goes in the old primary's stream. */
const sharedBytes = (
  state: FollowerState,
  { after }: Attempt,
  { to }: NonNullable<Attempt['target']>,
): number | null => {
  const sameStream = after !== null && sameAddress(after, to) && after.previousLineage === state.primaryOffset?.lineage;
  if (sameStream && after.sharedOffset !== null) return after.sharedOffset;
  return state.replicaOffsets[addressKey(to)] ?? null;
};
