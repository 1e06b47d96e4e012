// Which part keeps an eye on the health of the Sentinels themselves? It asks the little that no other look shows; the rest is judged
// from what is seen anyway.
import { doctorState, examineSentinels, hearSentinel, isSeen, defaultLimits, noAnswers } from '@switchyard/replication';
import type { DoctorState, GroupProblem, SentinelAnswers } from '@switchyard/replication';
import { RedisNodeError, type SentinelMember } from '@switchyard/redis';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';

/** Judged so often; everything that it says lasts longer. */
const examineEveryMs = 1_000;
const namesEveryMs = 30_000;
/** It writes a file on each Sentinel's disk, so seldom. Never for a group that is only observed. */
const flushEveryMs = 300_000;
const quorumEveryMs = 2_000;

/** The part; it changes nothing. */
export const createSentinelDoctor = (tools: GroupTools): GroupPart => {
  const { clock, manages } = tools;
  let state: DoctorState = doctorState;
  let answers: SentinelAnswers = noAnswers;
  let problems: readonly GroupProblem[] = [];
  let examinedAtMs = -Infinity;
  let isAsking = false;
  const askedAtMs = { names: -Infinity, flush: -Infinity, quorum: -Infinity };

  const isDue = (what: keyof typeof askedAtMs, everyMs: number): boolean => {
    if (clock.monotonicMs() - askedAtMs[what] < everyMs) return false;
    askedAtMs[what] = clock.monotonicMs();
    return true;
  };

  const ask = async ({ observation, verdict, nowMs }: GroupLook): Promise<void> => {
    const there = observation.sentinels.filter(
      (one) => one.view !== null && isSeen(one, nowMs, defaultLimits.staleAfterMs),
    );
    const members = tools
      .sentinels()
      .filter((member) => there.some(({ host, port }) => host === member.host && port === member.port));
    if (members.length === 0) return;
    if (isDue('names', namesEveryMs)) {
      answers = { ...answers, resolvesNames: await askAll(members, resolvesNames) };
    }
    if (manages && isDue('flush', flushEveryMs)) answers = { ...answers, flush: await askAll(members, flushFault) };
    if (verdict.quorum.ok) {
      answers = { ...answers, ckquorum: {} };
    } else if (isDue('quorum', quorumEveryMs)) {
      answers = { ...answers, ckquorum: await askAll(members, async (member) => (await member.ckquorum()).text) };
    }
  };

  return {
    name: 'sentinel-doctor',
    look(look) {
      if (look.observation.kind !== 'sentinel' || look.nowMs - examinedAtMs < examineEveryMs) return;
      examinedAtMs = look.nowMs;
      const { observation: group, verdict, nowMs } = look;
      const examined = examineSentinels(state, { group, verdict, answers }, nowMs);
      ({ state, problems } = examined);
      // While a failover is under way nobody needs more questions.
      if (isAsking || look.follower.attempt !== null) return;
      isAsking = true;
      void ask(look).finally(() => {
        isAsking = false;
      });
    },
    hear({ sentinel, event }) {
      state = hearSentinel(state, { sentinel, event }, clock.monotonicMs());
    },
    findings: () => ({ problems, nodes: [] }),
  };
};

/** Everybody's answer by name; who gives none is null. */
const askAll = async <T>(
  members: readonly SentinelMember[],
  ask: (member: SentinelMember) => Promise<T>,
): Promise<Readonly<Record<string, T | null>>> =>
  Object.fromEntries(
    await Promise.all(members.map(async (one) => [one.name, await ask(one).catch(() => null)] as const)),
  );

/** Unknown before Redis 6.2. */
const resolvesNames = async (member: SentinelMember): Promise<boolean | null> => {
  const reply = await member.call('SENTINEL', 'CONFIG', 'GET', 'resolve-hostnames');
  return Array.isArray(reply) && reply[0] === 'resolve-hostnames' ? reply[1] === 'yes' : null;
};

const flushFault = async (member: SentinelMember): Promise<string | null> => {
  try {
    await member.call('SENTINEL', 'FLUSHCONFIG');
    return null;
  } catch (error) {
    return error instanceof RedisNodeError && error.kind === 'refused' ? error.message : null;
  }
};
