// Which part tells Sentinels again what they forgot? One that was replaced or lost its file is told what the majority of the others
// says; settings that were asked for are put right where they differ. Enforcing only: any manager may, at any time, again and again.
import type { RedisGroupInput } from '@switchyard/protocol';
import type { SentinelMember } from '@switchyard/redis';
import {
  addressKey,
  admit,
  defaultLimits,
  isMorePatient,
  isSeen,
  provisionSteps,
  sameAddress,
  seedOf,
  wantedWatch,
  type GroupProblem,
  type ProvisionStep,
  type SentinelObservation,
} from '@switchyard/replication';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';
import { takeSurvey } from '../groups/group-admission-survey.ts';
import { provision, tell } from './provision.ts';

/** So long it has to be without knowledge: between two commands of an operator it may be for a moment. */
const patienceMs = 3_000;
/** After an attempt on a Sentinel, whatever became of it. */
const againMs = 10_000;
/** A setting that differs is put right after so long: whoever changes it on all Sentinels is not done in one moment. */
const driftPatienceMs = 2_000;
/** A down-after that was raised on all of them alike: its reason is given so long, then it is put right. */
const raisedPatienceMs = 60_000;
/** When all of them forgot, the nodes are asked who is primary; not more often than this. */
const anewEveryMs = 30_000;

/** The part; does nothing in a group that is only observed, while a failover is under way, or while somebody works on the group. */
export const createProvisionPart = (tools: GroupTools): GroupPart => {
  const { definition, clock, logger, manages } = tools;
  const { name, settings } = definition;
  const unawareSince = new Map<string, number>();
  const toldAtMs = new Map<string, number>();
  const faults = new Map<string, string>();
  const differsSince = new Map<string, number>();
  let raisedSinceMs: number | null = null;
  let anewAtMs = -Infinity;
  let isBusy = false;

  /** The document with the passwords that the connections use: those of the group of the settings are in the settings. */
  const input: RedisGroupInput = {
    ...definition.input,
    ...(settings.username === undefined ? {} : { username: settings.username }),
    ...(settings.password === undefined ? {} : { password: settings.password }),
    ...(settings.sentinelPassword === undefined ? {} : { sentinelPassword: settings.sentinelPassword }),
  };

  const isDue = (one: SentinelObservation, nowMs: number): boolean =>
    nowMs - (toldAtMs.get(addressKey(one)) ?? -Infinity) >= againMs;

  /** Those that do not know the group for longer than a moment. */
  const unaware = (seen: readonly SentinelObservation[], nowMs: number): readonly SentinelObservation[] => {
    const now = seen.filter(({ view, answeredAtMs }) => view === null && answeredAtMs !== null);
    for (const key of unawareSince.keys()) if (!now.some((one) => addressKey(one) === key)) unawareSince.delete(key);
    for (const one of now) if (!unawareSince.has(addressKey(one))) unawareSince.set(addressKey(one), nowMs);
    return now.filter((one) => nowMs - (unawareSince.get(addressKey(one)) ?? nowMs) >= patienceMs);
  };

  const tellOne = async (member: SentinelMember, steps: readonly ProvisionStep[]): Promise<void> => {
    const at = { host: member.host, port: member.port };
    const call = async (command: string, ...args: readonly (string | number)[]): Promise<unknown> =>
      member.call(command, ...args);
    const told = await tell({ name: member.name, at, call }, steps);
    if (told.error === null) faults.delete(member.name);
    else faults.set(member.name, told.error);
    logger.warn({ group: name, ...told }, 'redis.sentinel_told');
    tools.wake();
  };

  const mend = async (
    { verdict, nowMs }: GroupLook,
    seen: readonly SentinelObservation[],
    count: number,
  ): Promise<void> => {
    if (verdict.named === null) return;
    const views = seen.flatMap(({ view }) => (view !== null && sameAddress(view.primary, verdict.named) ? [view] : []));
    const asked = wantedWatch({ group: name, input, primary: verdict.named, count, views });
    const isRaised = isMorePatient(views, asked);
    raisedSinceMs = isRaised ? (raisedSinceMs ?? nowMs) : null;
    const isLeft = raisedSinceMs !== null && nowMs - raisedSinceMs < raisedPatienceMs;
    const wanted = isLeft ? { ...asked, downAfterMs: { ...asked.downAfterMs, given: false } } : asked;
    const strangers = unaware(seen, nowMs);
    const work = seen.flatMap((one) => {
      const isOurs = one.view === null ? strangers.includes(one) : sameAddress(one.view.primary, verdict.named);
      const differing = isOurs ? provisionSteps(one.view, wanted) : [];
      if (differing.length === 0) differsSince.delete(addressKey(one));
      else if (!differsSince.has(addressKey(one))) differsSince.set(addressKey(one), nowMs);
      const isLasting = one.view === null || nowMs - (differsSince.get(addressKey(one)) ?? nowMs) >= driftPatienceMs;
      const steps = isLasting && isDue(one, nowMs) ? differing : [];
      const member = tools.sentinels().find((each) => sameAddress(each, one));
      return steps.length === 0 || member === undefined ? [] : [{ one, member, steps }];
    });
    for (const { one } of work) toldAtMs.set(addressKey(one), nowMs);
    // Another manager may have been faster: who knows the group by now has no fault.
    for (const { name: sentinel, view } of seen) {
      if (view !== null && !work.some(({ one }) => one.name === sentinel)) faults.delete(sentinel);
    }
    await Promise.all(work.map(async ({ member, steps }) => tellOne(member, steps)));
  };

  /** All forgot: who is primary, the nodes say, and only if they leave no doubt. */
  const anew = async ({ observation }: GroupLook): Promise<void> => {
    const seeds = observation.nodes.map(seedOf);
    const document = {
      ...input,
      seeds: seeds.length === 0 ? input.seeds : seeds,
      sentinels: observation.sentinels.map(seedOf),
    };
    const survey = await takeSurvey({ name, input: document, clock, logger });
    const admission = admit({ name, input: document, survey, others: [] });
    const reason = admission.problems.find(({ weight }) => weight === 'refused');
    if (!admission.admitted) {
      faults.set(
        'all',
        `all Sentinels forgot the group, and the nodes do not settle who is primary: ${reason?.detail ?? 'unknown'}`,
      );
      return;
    }
    const done = await provision({ name, input: document, members: admission.members, survey, clock, logger });
    if (done.ok) faults.delete('all');
    else
      faults.set(
        'all',
        done.sentinels
          .map(({ error }) => error ?? '')
          .join(' ')
          .trim() || 'they do not watch alike yet',
      );
    tools.wake();
  };

  const begin = (work: Promise<void>): void => {
    isBusy = true;
    work
      .catch((error: unknown) => logger.error({ group: name, err: error }, 'redis.provision_failed'))
      .finally(() => {
        isBusy = false;
      });
  };

  return {
    name: 'provision',
    look(look) {
      const { observation, verdict, follower, nowMs } = look;
      if (!manages || observation.kind !== 'sentinel' || isBusy) return;
      if (follower.attempt !== null || tools.gate.current() !== null) return;
      // Who is named, but is being given other data: whoever does that has told the Sentinels to wait.
      const named = observation.nodes.find((node) => sameAddress(node, verdict.named));
      if (named?.info?.role === 'replica' && isSeen(named, nowMs, defaultLimits.staleAfterMs)) return;
      const all = observation.sentinels;
      const seen = all.filter((one) => isSeen(one, nowMs, defaultLimits.staleAfterMs) && one.failure === null);
      if (verdict.by === 'sentinels') {
        faults.delete('all');
        begin(mend(look, seen, all.length));
        return;
      }
      const strangers = unaware(seen, nowMs);
      const allForgot = seen.length > 0 && strangers.length === seen.length && 2 * seen.length > all.length;
      if (!allForgot || nowMs - anewAtMs < anewEveryMs) return;
      anewAtMs = nowMs;
      begin(anew(look));
    },
    findings: () => ({
      problems: [...faults].map(([sentinel, fault]): GroupProblem => ({
        code: 'provisioning_failed',
        detail: sentinel === 'all' ? fault : `Sentinel ${sentinel} could not be told what to watch: ${fault}`,
        next: 'mend what it names; it is tried again every 10 s',
        advice: false,
      })),
      nodes: [],
    }),
  };
};
