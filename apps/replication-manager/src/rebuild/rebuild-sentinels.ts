// How do the Sentinels learn that a node is gone for good, and that one is new? SENTINEL RESET on one after the other, each only when
// all of them know everybody again: one that has just been reset knows no replica and could not carry out a failover.
import { ok, refuse, type Refusal, type Result } from '@switchyard/protocol';
import {
  addressKey,
  parseSentinelReplicas,
  parseSentinelView,
  sameAddress,
  type Address,
} from '@switchyard/replication';
import type { SentinelMember } from '@switchyard/redis';
import type { GroupTools } from '../group-part.ts';

/** What is to be forgotten, and who must be known. */
export interface ForgetOptions {
  readonly node: Address;
  /** Replicas that follow the primary and stay. */
  readonly stay: readonly Address[];
  /** Asked before each Sentinel: a refusal ends it. */
  readonly recheck: () => Promise<Refusal | null>;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, of: number, detail: string) => void;
}

const knowsAgainMs = 30_000;
const seenMs = 40_000;
const lookEveryMs = 100;
/** The period of INFO while a Sentinel learns anew; its own is 10 s. */
const hurriedMs = 300;

/** Lets all Sentinels of the group forget `node`. Those that were reset stay reset when it ends early. */
export const forgetNode = async (
  tools: GroupTools,
  options: ForgetOptions,
): Promise<Result<{ readonly tookMs: number }>> => {
  const { clock, definition } = tools;
  const members = tools.sentinels();
  const startedMs = clock.monotonicMs();
  for (const [at, member] of members.entries()) {
    const refusal = (await options.recheck()) ?? (await notIdle(members));
    if (refusal !== null) return { ok: false, error: refusal };
    options.onProgress(at, members.length, `${member.name} forgets and learns anew`);
    const restore = await hurry(member);
    try {
      await member.call('SENTINEL', 'RESET', definition.name);
      const known = await until(tools, { ms: knowsAgainMs, signal: options.signal }, () =>
        knowsAll(member, { ...options, others: members.length - 1 }),
      );
      if (options.signal.aborted) return refuse('cancelled', 'cancelled between two Sentinels');
      if (!known) {
        return refuse(
          'timed_out',
          `${member.name} was reset and does not know everybody again after ${String(knowsAgainMs / 1_000)} s`,
          {
            next: 'look at its log and at GET /v1/redis/groups/{group}; the other Sentinels were left as they are',
          },
        );
      }
    } finally {
      await restore();
    }
  }
  options.onProgress(members.length, members.length, 'no Sentinel lists it any more');
  return ok({ tookMs: Math.round(clock.monotonicMs() - startedMs) });
};

/** Waits until every Sentinel lists `node` as a replica that it reaches; false when that takes too long. */
export const seenBySentinels = async (tools: GroupTools, node: Address, signal: AbortSignal): Promise<boolean> => {
  const members = tools.sentinels();
  return until(tools, { ms: seenMs, signal }, async () => {
    const lists = await Promise.all(members.map((member) => member.replicas().then(parseSentinelReplicas, () => null)));
    return lists.every((list) => list?.replicas.some((one) => sameAddress(one, node) && !isDown(one.flags)) ?? false);
  });
};

const isDown = (flags: readonly string[]): boolean => flags.some((flag) => ['s_down', 'disconnected'].includes(flag));

const knowsAll = async (
  member: SentinelMember,
  { node, stay, others }: Pick<ForgetOptions, 'node' | 'stay'> & { readonly others: number },
): Promise<boolean> => {
  const [view, listed] = await Promise.all([member.master().then(parseSentinelView), member.replicas()]);
  const { replicas } = parseSentinelReplicas(listed);
  const knows = (at: Address): boolean => replicas.some((one) => sameAddress(one, at) && !isDown(one.flags));
  return (
    view !== null &&
    (view.otherSentinels ?? 0) >= others &&
    stay.every(knows) &&
    !replicas.some((one) => sameAddress(one, node))
  );
};

/** Why no Sentinel may be reset just now. */
const notIdle = async (members: readonly SentinelMember[]): Promise<Refusal | null> => {
  for (const member of members) {
    const view = await member.master().then(parseSentinelView, () => null);
    if (view === null) {
      return refuse('conflict', `${member.name} does not answer: it would not be told`, {
        next: 'start it, then try again',
      }).error;
    }
    const busy = view.flags.find((flag) => ['s_down', 'o_down', 'failover_in_progress'].includes(flag));
    if (busy !== undefined) {
      const detail = `${member.name} says ${busy} of ${addressKey(view.primary)}: no Sentinel is reset while something is wrong`;
      return refuse('conflict', detail, { next: 'wait until the group is well again' }).error;
    }
  }
  return null;
};

/** Lets it ask for INFO more often; resolves with what puts that back. Servers before 7.0 cannot: there it only takes longer. */
const hurry = async (member: SentinelMember): Promise<() => Promise<void>> => {
  try {
    const before = periodOf(await member.call('SENTINEL', 'DEBUG'));
    await member.call('SENTINEL', 'DEBUG', 'INFO-PERIOD', hurriedMs);
    return async () => {
      await member.call('SENTINEL', 'DEBUG', 'INFO-PERIOD', before).catch(() => undefined);
    };
  } catch {
    return () => Promise.resolve();
  }
};

const periodOf = (reply: unknown): string => {
  const words = Array.isArray(reply) ? (reply as readonly unknown[]).map(String) : [];
  const at = words.findIndex((word) => word.toUpperCase() === 'INFO-PERIOD');
  return words[at + 1] ?? '10000';
};

const until = async (
  { clock }: Pick<GroupTools, 'clock'>,
  { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
  isSo: () => Promise<boolean>,
): Promise<boolean> => {
  const endMs = clock.monotonicMs() + ms;
  while (clock.monotonicMs() < endMs && !signal.aborted) {
    if (await isSo().catch(() => false)) return true;
    await clock.sleep(lookEveryMs, signal).catch(() => undefined);
  }
  return false;
};
