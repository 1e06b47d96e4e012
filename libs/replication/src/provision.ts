// What must a Sentinel be told so that it watches the group as it is wanted? Nothing when it does already. Never REMOVE: a Sentinel
// that forgets its epoch could bring an old primary back (sentinel.c, sentinelReceiveHelloMsg).
import { parseDurationMs, type RedisGroupInput } from '@switchyard/protocol';
import { addressKey, sameAddress, type Address } from './address.ts';
import type { SentinelPeer, SentinelReplica, SentinelView } from './sentinel-parser.ts';

/** How a group is to be watched. `given` settings are repaired where they differ; the others are only told to who knows none. */
export interface WantedWatch {
  readonly group: string;
  readonly primary: Address;
  readonly quorum: Wanted;
  readonly downAfterMs: Wanted;
  readonly failoverTimeoutMs: Wanted;
  /** The Sentinels use the same user at the nodes. */
  readonly username: string | null;
  readonly password: string | null;
  /** Also who knows the group is told user and password. */
  readonly renewAuth: boolean;
}

/** A setting, and whether somebody asked for this very value. */
export interface Wanted {
  readonly value: number;
  readonly given: boolean;
}

/** One command to one Sentinel; `shown` is without secrets. */
export interface ProvisionStep {
  readonly words: readonly string[];
  readonly shown: string;
}

/** What the yard and the images use: a crash is mended in two seconds, a moment of starvation is survived. */
export const usualDownAfterMs = 1_000;
/** Sentinel waits twice as long after a failed attempt; its own default of 180 s blocks for six minutes. */
export const usualFailoverTimeoutMs = 15_000;

/** What is wanted, from the document and from those that watch the group already. `count` is the number of all Sentinels. */
export const wantedWatch = (options: {
  readonly group: string;
  readonly input: Pick<RedisGroupInput, 'quorum' | 'downAfter' | 'failoverTimeout' | 'username' | 'password'>;
  readonly primary: Address;
  readonly count: number;
  readonly views: readonly SentinelView[];
  readonly renewAuth?: boolean;
}): WantedWatch => {
  const { group, input, primary, count, views } = options;
  const wanted = (given: number | undefined, known: readonly (number | null)[], usual: number): Wanted =>
    given === undefined ? { value: mostFrequent(known) ?? usual, given: false } : { value: given, given: true };
  return {
    group,
    primary,
    quorum: wanted(
      input.quorum,
      views.map((view) => view.quorum),
      Math.floor(count / 2) + 1,
    ),
    downAfterMs: wanted(
      parseDurationMs(input.downAfter ?? ''),
      views.map((view) => view.downAfterMs),
      usualDownAfterMs,
    ),
    failoverTimeoutMs: wanted(
      parseDurationMs(input.failoverTimeout ?? ''),
      views.map((view) => view.failoverTimeoutMs),
      usualFailoverTimeoutMs,
    ),
    username: input.username ?? null,
    password: input.password ?? null,
    renewAuth: options.renewAuth ?? false,
  };
};

/**
 * Whether all of these Sentinels were told alike to wait longer than was asked for. One alone was forgotten or mistaken; all alike is somebody's
 * work on the group, such as a rollback whose primary has to be a replica for a while.
 */
export const isMorePatient = (views: readonly SentinelView[], { downAfterMs }: WantedWatch): boolean => {
  const [first] = views;
  const longer = first?.downAfterMs ?? null;
  return (
    downAfterMs.given &&
    longer !== null &&
    longer > downAfterMs.value &&
    views.every((view) => view.downAfterMs === longer)
  );
};

/** The commands for a Sentinel with this view of the group (null: it does not know it). Empty when nothing is to be done. */
export const provisionSteps = (view: SentinelView | null, wanted: WantedWatch): readonly ProvisionStep[] => {
  const { group, primary, quorum, downAfterMs, failoverTimeoutMs } = wanted;
  const secrets: readonly (readonly [string, string])[] = [
    ...(wanted.username === null ? [] : [['auth-user', wanted.username] as const]),
    ...(wanted.password === null ? [] : [['auth-pass', wanted.password] as const]),
  ];
  if (view === null) {
    return [
      step(['SENTINEL', 'MONITOR', group, primary.host, String(primary.port), String(quorum.value)]),
      setStep(group, [
        ['down-after-milliseconds', String(downAfterMs.value)],
        ['failover-timeout', String(failoverTimeoutMs.value)],
        ['parallel-syncs', '1'],
        ...secrets,
      ]),
    ];
  }
  const drift = ([name, is, wants]: readonly [string, number | null, Wanted]): readonly (readonly [
    string,
    string,
  ])[] => (wants.given && is !== wants.value ? [[name, String(wants.value)]] : []);
  const settings = [
    ...drift(['quorum', view.quorum, quorum]),
    ...drift(['down-after-milliseconds', view.downAfterMs, downAfterMs]),
    ...drift(['failover-timeout', view.failoverTimeoutMs, failoverTimeoutMs]),
    ...(wanted.renewAuth ? secrets : []),
  ];
  return settings.length === 0 ? [] : [setStep(group, settings)];
};

/** The commands that make a Sentinel tell others another address of itself; it keeps them over restarts. */
export const announceSteps = (
  now: { readonly host: string; readonly port: number },
  wanted: Address,
): readonly ProvisionStep[] => [
  ...(now.host === wanted.host ? [] : [step(['SENTINEL', 'CONFIG', 'SET', 'announce-ip', wanted.host])]),
  ...(now.port === wanted.port ? [] : [step(['SENTINEL', 'CONFIG', 'SET', 'announce-port', String(wanted.port)])]),
];

const step = (words: readonly string[]): ProvisionStep => ({ words, shown: words.join(' ') });

const setStep = (group: string, settings: readonly (readonly [string, string])[]): ProvisionStep => ({
  words: ['SENTINEL', 'SET', group, ...settings.flat()],
  shown: `SENTINEL SET ${group} ${settings.map(([name, value]) => `${name} ${name === 'auth-pass' ? '***' : value}`).join(' ')}`,
});

/** Of equals the larger one: the more patient. */
const mostFrequent = (values: readonly (number | null)[]): number | null => {
  const counts = new Map<number, number>();
  for (const value of values) if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([a, countA], [b, countB]) => countB - countA || b - a)[0]?.[0] ?? null;
};

/** What one Sentinel says after it was told. */
export interface WatchingSentinel {
  readonly name: string;
  readonly view: SentinelView | null;
  readonly peers: readonly SentinelPeer[];
  readonly replicas: readonly SentinelReplica[];
  /** The words of CKQUORUM; null when it was not asked. */
  readonly quorum: { readonly ok: boolean; readonly text: string } | null;
}

/** One thing that was looked at afterwards. */
export interface ProvisionCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Whether all Sentinels watch the group alike: the same primary and epoch, all replicas, each other, and their own word. */
export const provisionChecks = (
  sentinels: readonly WatchingSentinel[],
  wanted: Pick<WantedWatch, 'primary'> & { readonly replicas: readonly Address[] },
): readonly ProvisionCheck[] => {
  const each = sentinels.flatMap((one): readonly ProvisionCheck[] => {
    const others = sentinels.length - 1;
    const missing = wanted.replicas.filter((at) => !one.replicas.some((replica) => sameAddress(replica, at)));
    const names = one.view === null ? 'no primary' : addressKey(one.view.primary);
    return [
      {
        name: `${one.name} names the primary`,
        ok: sameAddress(one.view?.primary ?? null, wanted.primary),
        detail: `it names ${names}`,
      },
      {
        name: `${one.name} knows the other Sentinels`,
        ok: one.peers.length >= others,
        detail: `it knows ${String(one.peers.length)} of ${String(others)}`,
      },
      {
        name: `${one.name} knows all replicas`,
        ok: missing.length === 0,
        detail:
          missing.length === 0
            ? `it knows ${String(one.replicas.length)}`
            : `without ${missing.map(addressKey).join(', ')}`,
      },
      { name: `${one.name} has a quorum`, ok: one.quorum?.ok === true, detail: one.quorum?.text ?? 'it was not asked' },
    ];
  });
  const epochs = [...new Set(sentinels.map(({ view }) => view?.epoch ?? null))];
  const shared = {
    name: 'one epoch',
    ok: epochs.length === 1 && epochs[0] !== null,
    detail: `epochs ${epochs.join(', ')}`,
  };
  return [...each, shared];
};
