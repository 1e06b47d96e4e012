// What do all that a definition names, and all that those name, say when they are asked once? Questions only; nothing is changed.
import { channels, type RedisGroupInput } from '@switchyard/protocol';
import { createRedisNodeAdmin, type RedisAccess, type RedisNodeAdmin } from '@switchyard/redis';
import {
  addressKey,
  addressOf,
  parseInfo,
  parseSentinelPeers,
  parseSentinelReplicas,
  parseSentinelView,
  type Address,
  type ListedGroup,
  type Survey,
  type Surveyed,
} from '@switchyard/replication';
import { withDeadline, type Clock, type Logger } from '@switchyard/runtime';
import { failureOf } from '../watched-node.ts';

/** Whom to ask, and as whom. */
export interface SurveyOptions {
  readonly name: string;
  readonly input: Pick<
    RedisGroupInput,
    'kind' | 'seeds' | 'sentinels' | 'tls' | 'username' | 'password' | 'sentinelPassword'
  >;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One question; a process that is busy loading or starved may take longer than a watch would wait. */
const questionMs = 1_500;
/** One process with all its questions and second attempts. */
const processMs = 6_000;
const mostAsked = 48;
/** Those that were given, those that they name, and those that these name. */
const rounds = 3;
const mostGroups = 64;
/** What managing a group needs; asked of the ACL without running any of it. */
const neededCommands = [
  'REPLICAOF',
  'CONFIG|SET',
  'CONFIG|REWRITE',
  'CLIENT|PAUSE',
  'CLIENT|UNPAUSE',
  'CLIENT|KILL',
  'PUBLISH',
];

/** Asks everybody, all at once, in at most three rounds. Never throws: who does not answer is in the survey with the reason. */
export const takeSurvey = async (options: SurveyOptions): Promise<Survey> => {
  const { input, clock } = options;
  const startedMs = clock.monotonicMs();
  const startedUnixMs = clock.unixMs();
  const asked = new Map<string, Surveyed>();
  let next: readonly (Address & Pick<Surveyed, 'given'>)[] = [
    ...(input.sentinels ?? []).map((text) => ({ ...addressOf(text), given: 'sentinel' as const })),
    ...input.seeds.map((text) => ({ ...addressOf(text), given: 'seed' as const })),
  ];
  for (let round = 0; round < rounds && next.length > 0; round += 1) {
    const fresh = next.filter((one, at) => {
      const key = addressKey(one);
      return !asked.has(key) && next.findIndex((other) => addressKey(other) === key) === at;
    });
    const answers = await Promise.all(fresh.slice(0, mostAsked - asked.size).map(async (one) => askOne(one, options)));
    for (const answer of answers) asked.set(addressKey(answer), answer);
    next = answers.flatMap((answer) => namedBy(answer)).map((at) => ({ ...at, given: null }));
  }
  return {
    surveyed: [...asked.values()],
    clockStepMs: clock.unixMs() - startedUnixMs - (clock.monotonicMs() - startedMs),
  };
};

/** Everybody that an answer leads to. */
const namedBy = ({ info, groups }: Surveyed): readonly Address[] => [
  ...(info?.follows === null || info?.follows === undefined ? [] : [info.follows]),
  ...(info?.replicas ?? []),
  ...groups
    .filter(({ peers, replicas }) => peers.length + replicas.length > 0)
    .flatMap(({ view, peers, replicas }) => [view.primary, ...replicas, ...peers]),
];

const askOne = async (one: Address & Pick<Surveyed, 'given'>, options: SurveyOptions): Promise<Surveyed> => {
  const { input } = options;
  const node: RedisAccess = {
    ...(input.username === undefined ? {} : { username: input.username }),
    ...(input.password === undefined ? {} : { password: input.password }),
    tls: input.tls,
  };
  const sentinel: RedisAccess = {
    ...(input.sentinelPassword === undefined ? {} : { password: input.sentinelPassword }),
    tls: input.tls,
  };
  const first = await asking(one, one.given === 'sentinel' ? sentinel : node, options);
  if (first.failure === null) return first;
  // A seed may be a Sentinel, which has its own password or none.
  if (one.given !== 'sentinel' && input.kind === 'sentinel' && first.failure.kind === 'refused') {
    const second = await asking(one, sentinel, options);
    if (second.failure === null && second.info?.mode === 'sentinel') return second;
  }
  return { ...first, speaks: one.given === null ? null : await spoken(one, input.tls, first, options) };
};

const nothing = (one: Address & Pick<Surveyed, 'given'>): Surveyed => ({
  host: one.host,
  port: one.port,
  given: one.given,
  failure: null,
  speaks: null,
  info: null,
  isCluster: false,
  sentinelId: null,
  groups: [],
  clockOffsetMs: null,
  lacks: [],
});

const asking = async (
  one: Address & Pick<Surveyed, 'given'>,
  access: RedisAccess,
  { name, clock, logger }: SurveyOptions,
): Promise<Surveyed> => {
  const { host, port } = one;
  const admin = createRedisNodeAdmin({
    ...access,
    host,
    port,
    clock,
    logger,
    deadlineMs: questionMs,
    name: 'switchyard-survey',
  });
  try {
    const answer = withDeadline(answersOf(admin, name, clock), processMs, `all questions to ${addressKey(one)}`);
    return { ...nothing(one), ...(await answer) };
  } catch (error) {
    return { ...nothing(one), failure: failureOf(error) };
  } finally {
    admin.close();
  }
};

type Answers = Partial<Omit<Surveyed, 'host' | 'port' | 'given'>>;

const answersOf = async (admin: RedisNodeAdmin, name: string, clock: Clock): Promise<Answers> => {
  const text = await admin.info();
  const info = parseInfo(text);
  if (info.mode === 'sentinel') {
    const id = await admin.call('SENTINEL', 'MYID').catch(() => null);
    return { info, sentinelId: typeof id === 'string' ? id : null, groups: await groupsOf(admin, name) };
  }
  return {
    info,
    isCluster: /^cluster_enabled:1\r?$/m.test(text),
    clockOffsetMs: await clockOffset(admin, clock),
    lacks: await lacking(admin),
  };
};

const groupsOf = async (admin: RedisNodeAdmin, name: string): Promise<readonly ListedGroup[]> => {
  const listed = await admin.call('SENTINEL', 'MASTERS');
  const views = (Array.isArray(listed) ? listed.slice(0, mostGroups) : []).flatMap(
    (one) => parseSentinelView(one) ?? [],
  );
  const groups: ListedGroup[] = [];
  for (const view of views) {
    if (view.group !== name) {
      groups.push({ view, replicas: [], peers: [] });
      continue;
    }
    const { replicas } = parseSentinelReplicas(await admin.call('SENTINEL', 'REPLICAS', name));
    groups.push({ view, replicas, peers: parseSentinelPeers(await admin.call('SENTINEL', 'SENTINELS', name)) });
  }
  return groups;
};

/** The node's clock minus ours, taken at the middle of the question. */
const clockOffset = async (admin: RedisNodeAdmin, clock: Clock): Promise<number | null> => {
  const beforeMs = clock.unixMs();
  const reply = await admin.call('TIME').catch(() => null);
  const middleMs = (beforeMs + clock.unixMs()) / 2;
  if (!Array.isArray(reply)) return null;
  const [seconds, micros] = reply.map(Number);
  const nodeMs = Number(seconds) * 1_000 + Number(micros) / 1_000;
  return Number.isFinite(nodeMs) ? nodeMs - middleMs : null;
};

/** Of what managing needs, what the user may not; ACL DRYRUN runs nothing. Before Redis 7, or without +acl, it is not known. */
const lacking = async (admin: RedisNodeAdmin): Promise<readonly string[]> => {
  const lacks: string[] = [];
  try {
    const user = String(await admin.call('ACL', 'WHOAMI'));
    for (const command of neededCommands) {
      const words = argumentsOf(command);
      const reply = String(await admin.call('ACL', 'DRYRUN', user, ...words));
      if (/permission|NOPERM/i.test(reply)) lacks.push(command);
    }
  } catch {
    return lacks;
  }
  return lacks;
};

/** ACL DRYRUN wants as many arguments as the command does. */
const argumentsOf = (command: string): readonly string[] => {
  const words = command.split('|');
  if (command === 'REPLICAOF') return [...words, 'NO', 'ONE'];
  if (command === 'CONFIG|SET') return [...words, 'save', ''];
  if (command === 'CLIENT|PAUSE') return [...words, '1'];
  if (command === 'CLIENT|KILL') return [...words, 'ID', '1'];
  return command === 'PUBLISH' ? [...words, channels.redisPrimary, ''] : words;
};

/** Whether it speaks the other way, plain text instead of TLS or the reverse. Asked without a password: it could be anybody. */
const spoken = async (
  one: Address,
  tls: boolean,
  { failure }: Surveyed,
  { clock, logger }: SurveyOptions,
): Promise<Surveyed['speaks']> => {
  if (
    failure === null ||
    failure.kind === 'refused' ||
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|certificate/.test(failure.detail)
  ) {
    return null;
  }
  const { host, port } = one;
  const admin = createRedisNodeAdmin({
    host,
    port,
    tls: !tls,
    clock,
    logger,
    deadlineMs: questionMs,
    name: 'switchyard-survey',
  });
  try {
    await admin.ping();
    return tls ? 'plain' : 'tls';
  } catch (error) {
    const other = failureOf(error);
    if (other.kind === 'refused') return tls ? 'plain' : 'tls';
    // A certificate that is not trusted is proof of TLS.
    return !tls && /certificate|self.signed|altname/i.test(other.detail) ? 'tls' : null;
  } finally {
    admin.close();
  }
};
