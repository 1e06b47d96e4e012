// May a node be copied at this moment? A copy forks it: it needs memory for what is written meanwhile, and a group that is being changed
// is left alone. Each reason is waited out, with patience, and named.

/** What speaks for or against it. */
export interface BaseGuardFacts {
  /** Null when the node did not say; then it does not stand in the way. */
  readonly memory: {
    readonly usedBytes: number;
    readonly machineBytes: number | null;
  } | null;
  readonly isBusy: boolean;
  readonly isInFailover: boolean;
  /** Work on the group that is under way, as its lease says: a switchover, a rollback. */
  readonly workBy: string | null;
}

/** Part of its memory that a node may write to, and so double, while it is copied. */
const writtenMeanwhile = 0.25;

/** Why the node `name` is not copied now; empty when nothing speaks against it. */
export function whyNoBaseNow(name: string, facts: BaseGuardFacts): string[] {
  const { memory, isBusy, isInFailover, workBy } = facts;
  const why: string[] = [];
  if (isInFailover) why.push('a failover is under way');
  if (workBy !== null) why.push(`work on the group is under way: ${workBy}`);
  if (isBusy) why.push(`${name}: it saves or rewrites its data already`);
  if (memory !== null && memory.machineBytes !== null) {
    const neededBytes = Math.ceil(memory.usedBytes * (1 + writtenMeanwhile));
    if (neededBytes > memory.machineBytes) {
      why.push(
        `${name}: its machine has too little memory for a fork: ${memory.machineBytes} bytes, it uses ${memory.usedBytes} and may need ${neededBytes}`,
      );
    }
  }
  return why;
}

/** What lies behind the newest base of a timeline. */
export interface StreamSinceBase {
  /** End of the archive. */
  readonly offset: number;
  /** The newest usable base on the timeline; null when there is none. */
  readonly base: { readonly offset: number; readonly rawBytes: number } | null;
  /** Age of the newest backup of the group, on whatever timeline; null when there is none. */
  readonly ageMs: number | null;
}

/** Bounds of `whyBaseWanted`. */
export interface BaseBounds {
  readonly mostBytes: number;
  /** The schedule: a run is missed when a quarter more has gone by. */
  readonly everyMs: number;
}

/**
 * Why a base is wanted now, before the next one is due: replaying a long stream takes longer than loading a data set. Null = it is not.
 * The bound is `mostBytes`, or twice the base where that is more. A run that the queue has missed is made up for.
 */
export function whyBaseWanted(
  { offset, base, ageMs }: StreamSinceBase,
  { mostBytes, everyMs }: BaseBounds,
): string | null {
  if (ageMs !== null && ageMs > everyMs * 1.25)
    return `the newest backup is ${Math.round(ageMs / 1_000)} s old: a run was missed`;
  if (base === null) return 'the timeline has no base yet';
  const streamBytes = offset - base.offset;
  const bound = Math.max(mostBytes, 2 * base.rawBytes);
  return streamBytes > bound ? `${streamBytes} bytes of the stream follow the newest base, more than ${bound}` : null;
}
