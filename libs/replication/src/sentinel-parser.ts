// What does a Sentinel say? Replies of SENTINEL MASTER, REPLICAS and SENTINELS, and the messages of its channels, as facts.
// Message formats: https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#pubsub-messages and sentinel.c.
import { address, type Address } from './address.ts';

/** SENTINEL MASTER: how this Sentinel sees the group. */
export interface SentinelView {
  readonly group: string;
  readonly primary: Address;
  /** `s_down`, `o_down`, `failover_in_progress`, ... */
  readonly flags: readonly string[];
  /** Rises with each promotion; the fencing token of everything that follows from it. */
  readonly epoch: number | null;
  /** Sentinels that must agree that the primary is down. */
  readonly quorum: number | null;
  readonly otherSentinels: number | null;
  readonly replicas: number | null;
  readonly downAfterMs: number | null;
  readonly failoverTimeoutMs: number | null;
}

/** One line of SENTINEL REPLICAS. */
export interface SentinelReplica extends Address {
  readonly flags: readonly string[];
  readonly priority: number | null;
}

/** One line of SENTINEL SENTINELS. */
export interface SentinelPeer extends Address {
  readonly id: string;
  readonly flags: readonly string[];
}

/** What a channel's message is about. `replica` stands for what Sentinel calls slave. */
export interface SentinelSubject extends Address {
  readonly kind: 'primary' | 'replica' | 'sentinel';
}

/** One message of a Sentinel. `type` is its channel without the old word: `+selected-replica`. */
export interface SentinelEvent {
  readonly type: string;
  /** Null for messages about the Sentinel itself (`+tilt`, `+new-epoch`). */
  readonly group: string | null;
  readonly subject: SentinelSubject | null;
  /** The group's primary as this Sentinel names it in the message. */
  readonly primary: Address | null;
  /** Of `+switch-master`: where to. */
  readonly to: Address | null;
  readonly epoch: number | null;
  /** As it was said, for people. */
  readonly text: string;
}

/** A message is a line; what is longer is cut before it is read. */
const longestMessage = 512;
const mostListed = 64;

/** Reads SENTINEL MASTER; null when the reply names no usable primary. */
export const parseSentinelView = (reply: unknown): SentinelView | null => {
  const facts = recordOf(reply);
  const primary = address(facts.get('ip'), numberOf(facts.get('port')));
  const group = facts.get('name');
  if (primary === null || group === undefined) return null;
  const count = (name: string): number | null => numberOf(facts.get(name));
  return {
    group,
    primary,
    flags: flagsOf(facts.get('flags')),
    epoch: count('config-epoch'),
    quorum: count('quorum'),
    otherSentinels: count('num-other-sentinels'),
    replicas: count('num-slaves'),
    downAfterMs: count('down-after-milliseconds'),
    failoverTimeoutMs: count('failover-timeout'),
  };
};

/** Reads SENTINEL REPLICAS: those that have an address, and how many ghosts (`port 0`, left by backup streams) there are. */
export const parseSentinelReplicas = (
  reply: unknown,
): { readonly replicas: readonly SentinelReplica[]; readonly ghosts: number } => {
  const listed = listOf(reply);
  const replicas = listed.flatMap((facts): readonly SentinelReplica[] => {
    const at = address(facts.get('ip'), numberOf(facts.get('port')));
    return at === null
      ? []
      : [{ ...at, flags: flagsOf(facts.get('flags')), priority: numberOf(facts.get('slave-priority')) }];
  });
  return { replicas, ghosts: listed.length - replicas.length };
};

/** Reads SENTINEL SENTINELS: the others that this one knows. */
export const parseSentinelPeers = (reply: unknown): readonly SentinelPeer[] =>
  listOf(reply).flatMap((facts): readonly SentinelPeer[] => {
    const at = address(facts.get('ip'), numberOf(facts.get('port')));
    return at === null ? [] : [{ ...at, id: facts.get('runid') ?? '', flags: flagsOf(facts.get('flags')) }];
  });

/** Reads a message. Never throws: what is not understood keeps its type and text, and says nothing else. */
export const parseSentinelEvent = (channel: string, message: string): SentinelEvent => {
  const type = channel.slice(0, 64).replaceAll('slave', 'replica');
  const said = message.slice(0, longestMessage);
  const text = `${channel.slice(0, 64)} ${said}`.trim();
  const words = said.split(' ');
  const nothing = { type, group: null, subject: null, primary: null, to: null, epoch: null, text };
  if (channel === '+switch-master') {
    const [group = '', fromHost, fromPort, toHost, toPort] = words;
    const from = address(fromHost, numberOf(fromPort));
    const to = address(toHost, numberOf(toPort));
    return group === '' || to === null ? nothing : { ...nothing, group, primary: from, to };
  }
  if (channel === '+new-epoch') return { ...nothing, epoch: numberOf(words[0]) };
  if (channel === '+vote-for-leader') return { ...nothing, epoch: numberOf(words[1]) };
  return { ...nothing, ...instanceOf(words) };
};

/** `<kind> <name> <ip> <port> @ <group> <ip> <port> ...`, the part from @ on only when the subject is not the primary. */
const instanceOf = (words: readonly string[]): Partial<SentinelEvent> => {
  const [word, name = '', host, port, at, group = '', primaryHost, primaryPort] = words;
  const kind = kindOf(word);
  const where = address(host, numberOf(port));
  if (kind === null || where === null) return {};
  const subject = { kind, ...where };
  if (kind === 'primary') return { group: name, subject, primary: where };
  if (at !== '@' || group === '') return { subject };
  return { group, subject, primary: address(primaryHost, numberOf(primaryPort)) };
};

const kindOf = (word: string | undefined): SentinelSubject['kind'] | null => {
  if (word === 'master') return 'primary';
  if (word === 'slave') return 'replica';
  return word === 'sentinel' ? 'sentinel' : null;
};

/** RESP2 gives a flat array, RESP3 a map, some clients an object: all become one map of strings. */
const recordOf = (reply: unknown): ReadonlyMap<string, string> => {
  const facts = new Map<string, string>();
  for (const [name, value] of pairsOf(reply)) {
    if (typeof name === 'string' && (typeof value === 'string' || typeof value === 'number')) {
      facts.set(name, String(value));
    }
  }
  return facts;
};

const pairsOf = (reply: unknown): Iterable<readonly [unknown, unknown]> => {
  if (Array.isArray(reply)) {
    const flat = reply as readonly unknown[];
    return Array.from(
      { length: Math.floor(flat.length / 2) },
      (_none, at) => [flat[2 * at], flat[2 * at + 1]] as const,
    );
  }
  if (reply instanceof Map) return reply as ReadonlyMap<unknown, unknown>;
  return typeof reply === 'object' && reply !== null ? Object.entries(reply) : [];
};

const listOf = (reply: unknown): readonly ReadonlyMap<string, string>[] =>
  Array.isArray(reply) ? reply.slice(0, mostListed).map(recordOf) : [];

const flagsOf = (value: string | undefined): readonly string[] =>
  value === undefined || value === '' ? [] : value.split(',');

const numberOf = (value: string | undefined): number | null =>
  value !== undefined && /^-?\d+$/.test(value) ? Number(value) : null;
