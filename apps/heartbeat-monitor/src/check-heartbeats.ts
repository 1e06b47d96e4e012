// Which answers to checks are heartbeats still to be told? Those since the last batch; one batch is on its way at a time.
import type { Checked } from '@switchyard/failure-detection';
import type { CheckBeat } from '@switchyard/redis';

export interface CheckHeartbeats {
  /** One has answered, and holds for `reachMs` when it does not beat by itself. */
  answered(checked: Pick<Checked, 'member' | 'version'>, reachMs: number): void;
  /** Tells what there is, unless a batch is on its way. Rejects when Redis is away: what was in the batch is lost. */
  tell(): Promise<void>;
  retain(isKnown: (member: string) => boolean): void;
}

/** None. Holds as many as there are instances. */
export function createCheckHeartbeats(
  beat: (beats: readonly CheckBeat[]) => Promise<readonly (number | undefined)[]>,
): CheckHeartbeats {
  /** what was left in Redis the last time, to know who beats by itself */
  const deadlines = new Map<string, { readonly version: string; readonly deadlineMs: number }>();
  let waiting = new Map<string, { readonly version: string; readonly reachMs: number }>();
  let telling = false;
  const tellAll = async (batch: typeof waiting): Promise<void> => {
    const beats = [...batch].map(([member, { version, reachMs }]) => {
      const left = deadlines.get(member);
      return left?.version === version ? { member, reachMs, deadlineMs: left.deadlineMs } : { member, reachMs };
    });
    const held = await beat(beats);
    for (const [at, { member }] of beats.entries()) {
      const [deadlineMs, version] = [held[at], batch.get(member)?.version];
      if (deadlineMs === undefined || version === undefined) deadlines.delete(member);
      else deadlines.set(member, { version, deadlineMs });
    }
  };
  return {
    answered: ({ member, version }, reachMs) => waiting.set(member, { version, reachMs }),
    async tell() {
      if (telling || waiting.size === 0) return;
      const batch = waiting;
      waiting = new Map();
      telling = true;
      await tellAll(batch).finally(() => (telling = false));
    },
    retain(isKnown) {
      for (const member of deadlines.keys()) if (!isKnown(member)) deadlines.delete(member);
    },
  };
}
