// What do the levels of durability ask of Redis, and was it reached?

/**
 * - `async`: the primary has executed it; it is lost when the primary dies before its replicas got it
 * - `replicated`: so many replicas have it, too (WAIT)
 * - `fsynced`: it is on the disk of the primary and of so many replicas (WAITAOF, Redis 7.2 or later with append-only files)
 */
export type DurabilityLevel = 'async' | 'replicated' | 'fsynced';

/** The question for a level; null where nobody is asked. */
export const waitWords = (
  level: DurabilityLevel,
  replicas: number,
  deadlineMs: number,
): [string, ...string[]] | null => {
  if (level === 'async') return null;
  const [wanted, within] = [String(replicas), String(deadlineMs)];
  return level === 'replicated' ? ['WAIT', wanted, within] : ['WAITAOF', '1', wanted, within];
};

/** How many replicas have it, and in words why that is not enough; `why` is null when it is. */
export const reachesLevel = (
  level: DurabilityLevel,
  replicas: number,
  answer: { readonly value: unknown } | { readonly error: Error } | undefined,
): { readonly count: number; readonly why: string | null } => {
  if (level === 'async') return { count: 0, why: null };
  if (answer === undefined) return { count: 0, why: 'nobody said who has it' };
  if ('error' in answer) return { count: 0, why: `nobody could say who has it (${answer.error.message})` };
  const [local, remote] = Array.isArray(answer.value) ? (answer.value as readonly unknown[]) : [1, answer.value];
  const count = Number(remote);
  if (Number(local) < 1) return { count, why: 'the primary did not write it to its disk' };
  return { count, why: count >= replicas ? null : `${String(count)} of ${String(replicas)} replicas had it` };
};
