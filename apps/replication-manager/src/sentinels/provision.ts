// How are Sentinels told what to watch, and do they then? Carries out what libs/replication decides, and looks afterwards.
import type { RedisGroupInput } from '@switchyard/protocol';
import { createRedisNodeAdmin, RedisNodeError } from '@switchyard/redis';
import {
  addressKey,
  addressOf,
  announceSteps,
  isSentinel,
  knownAs,
  parseSentinelPeers,
  parseSentinelReplicas,
  parseSentinelView,
  provisionChecks,
  provisionSteps,
  surveyedAt,
  wantedWatch,
  type Address,
  type Members,
  type ProvisionCheck,
  type ProvisionStep,
  type Survey,
  type WatchingSentinel,
} from '@switchyard/replication';
import { withDeadline, type Clock, type Logger } from '@switchyard/runtime';

/** A Sentinel that commands are sent to. */
export interface SentinelLine {
  readonly name: string;
  readonly at: Address;
  call(command: string, ...args: readonly (string | number)[]): Promise<unknown>;
}

/** What one Sentinel was told. */
export interface ToldSentinel {
  readonly sentinel: string;
  /** Without secrets; empty when it needed nothing. */
  readonly told: readonly string[];
  /** Why it could not be told all. */
  readonly error: string | null;
}

/** What became of provisioning. */
export interface Provisioning {
  /** All were told and all checks hold. */
  readonly ok: boolean;
  readonly tookMs: number;
  readonly sentinels: readonly ToldSentinel[];
  readonly checks: readonly ProvisionCheck[];
}

/** What a survey found, and what is asked for. */
export interface ProvisionOptions {
  readonly name: string;
  readonly input: RedisGroupInput;
  readonly members: Members;
  readonly survey: Survey;
  /** User or password were changed: Sentinels that know the group are told the new ones. */
  readonly renewAuth?: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

const questionMs = 1_500;
/** Sentinels greet each other every 2 s, and ask the primary for its replicas at once. */
const verifyMs = 8_000;
const lookEveryMs = 200;

/** What each reachable Sentinel would be told: for a dry run. */
export const plannedSteps = (
  options: Pick<ProvisionOptions, 'name' | 'input' | 'members' | 'survey' | 'renewAuth'>,
): readonly { readonly at: Address; readonly steps: readonly ProvisionStep[] }[] => {
  const { name, input, members, survey, renewAuth = false } = options;
  const { primary, sentinels } = members;
  if (input.kind !== 'sentinel' || input.manage !== 'manage' || primary === null) return [];
  const reached = sentinels.flatMap((at) => {
    const one = surveyedAt(survey, at);
    return one !== undefined && isSentinel(one) ? [{ at, view: knownAs(one, name)?.view ?? null }] : [];
  });
  const views = reached.flatMap(({ view }) => view ?? []);
  const wanted = wantedWatch({ group: name, input, primary, count: sentinels.length, views, renewAuth });
  return reached.map(({ at, view }) => ({ at, steps: provisionSteps(view, wanted) }));
};

/** Tells everybody what is planned, all at once, and waits until they watch alike or 8 s are over. Never throws. */
export const provision = async (options: ProvisionOptions): Promise<Provisioning> => {
  const { name, input, members, clock, logger } = options;
  const startedMs = clock.monotonicMs();
  const lines = members.sentinels.map((at) => openLine(at, options));
  try {
    const planned = plannedSteps(options);
    const told = await Promise.all(
      lines.map(async (line) => {
        const steps = planned.find(({ at }) => addressKey(at) === addressKey(line.at))?.steps ?? [];
        return tell(line, [...(await announcing(line, input)), ...steps]);
      }),
    );
    for (const one of told) {
      if (one.told.length > 0 || one.error !== null) logger.info({ group: name, ...one }, 'redis.sentinel_told');
    }
    const checks = await verified(lines, options, startedMs + verifyMs);
    const ok = told.every(({ error }) => error === null) && checks.every((check) => check.ok);
    return { ok, tookMs: Math.round(clock.monotonicMs() - startedMs), sentinels: told, checks };
  } finally {
    for (const line of lines) line.close();
  }
};

/** Sends the steps in their order and stops at the first that fails. Never throws. */
export const tell = async (line: SentinelLine, steps: readonly ProvisionStep[]): Promise<ToldSentinel> => {
  const told: string[] = [];
  for (const { words, shown } of steps) {
    const [command = '', ...args] = words;
    try {
      await line.call(command, ...args);
      told.push(shown);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      return { sentinel: line.name, told, error: `${shown}: ${said.slice(0, 160)}` };
    }
  }
  return { sentinel: line.name, told, error: null };
};

/** What has to be told about the address that it announces; nothing unless the document asks for it. */
const announcing = async (line: SentinelLine, input: RedisGroupInput): Promise<readonly ProvisionStep[]> => {
  const text = Object.entries(input.announce ?? {}).find(
    ([at]) => addressKey(addressOf(at)) === addressKey(line.at),
  )?.[1];
  if (text === undefined) return [];
  try {
    const reply = await line.call('SENTINEL', 'CONFIG', 'GET', 'announce-*');
    const words = Array.isArray(reply) ? reply.map(String) : [];
    const of = (name: string): string => words[words.indexOf(name) + 1] ?? '';
    return announceSteps({ host: of('announce-ip'), port: Number(of('announce-port')) }, addressOf(text));
  } catch {
    return announceSteps({ host: '', port: 0 }, addressOf(text));
  }
};

const openLine = (at: Address, { input, clock, logger }: ProvisionOptions): SentinelLine & { close(): void } => {
  const admin = createRedisNodeAdmin({
    host: at.host,
    port: at.port,
    ...(input.sentinelPassword === undefined ? {} : { password: input.sentinelPassword }),
    tls: input.tls,
    clock,
    logger,
    deadlineMs: questionMs,
    name: 'switchyard-provision',
  });
  return { name: addressKey(at), at, call: (...words) => admin.call(...words), close: () => admin.close() };
};

const verified = async (
  lines: readonly SentinelLine[],
  { name, members, clock }: ProvisionOptions,
  untilMs: number,
): Promise<readonly ProvisionCheck[]> => {
  const { primary } = members;
  if (primary === null) return [];
  const replicas = members.nodes.filter((at) => addressKey(at) !== addressKey(primary));
  for (;;) {
    const seen = await Promise.all(lines.map((line) => watching(line, name)));
    const checks = provisionChecks(seen, { primary, replicas });
    if (checks.every(({ ok }) => ok) || clock.monotonicMs() >= untilMs) return checks;
    await clock.sleep(lookEveryMs);
  }
};

/** How a Sentinel watches the group now; what it does not answer is empty. */
export const watching = async (line: SentinelLine, group: string): Promise<WatchingSentinel> => {
  const ask = (...words: readonly string[]): Promise<unknown> =>
    withDeadline(line.call('SENTINEL', ...words), 2 * questionMs, line.name).catch(() => null);
  const view = parseSentinelView(await ask('MASTER', group));
  if (view === null) return { name: line.name, view, peers: [], replicas: [], quorum: null };
  const { replicas } = parseSentinelReplicas(await ask('REPLICAS', group));
  const peers = parseSentinelPeers(await ask('SENTINELS', group));
  return { name: line.name, view, peers, replicas, quorum: await quorumOf(line, group) };
};

const quorumOf = async (line: SentinelLine, group: string): Promise<WatchingSentinel['quorum']> => {
  try {
    return { ok: true, text: String(await line.call('SENTINEL', 'CKQUORUM', group)) };
  } catch (error) {
    return error instanceof RedisNodeError && error.kind === 'refused' ? { ok: false, text: error.message } : null;
  }
};
