// What do all Sentinels of a group say and announce? Each is asked directly, and the messages of all come in one stream.
import type { Clock, Logger } from '@switchyard/runtime';
import { openDirect, openSocket, RedisNodeError, socketSilenceMs, type RedisAccess } from './direct-connection.ts';
import { keepSubscribed } from './subscription.ts';

/** A Sentinel and the name that people use for it. */
export interface SentinelAddress {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** One message of a Sentinel, as it came. */
export interface SentinelMessage {
  /** Name of the Sentinel that said it. */
  readonly sentinel: string;
  readonly channel: string;
  readonly message: string;
  /** False when another Sentinel said the very same within the last 10 s. */
  readonly first: boolean;
}

/** Which Sentinels, and who hears them. */
export interface SentinelWatchOptions {
  readonly sentinels: readonly SentinelAddress[];
  readonly group: string;
  readonly access?: RedisAccess;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly name?: string;
  /** Must not throw; called in the order of arrival, which between Sentinels is only roughly the order of events. */
  readonly onMessage: (message: SentinelMessage) => void;
  /** Ms that one question may take; 500. */
  readonly deadlineMs?: number;
}

/** Questions to one Sentinel; replies as they came. Each rejects with a RedisNodeError within the deadline. */
export interface SentinelMember extends SentinelAddress {
  /** SENTINEL MASTER; `null` when this Sentinel does not know the group. */
  master(): Promise<unknown>;
  replicas(): Promise<unknown>;
  sentinels(): Promise<unknown>;
  /** INFO of the section `sentinel`. */
  info(): Promise<string>;
  /** SENTINEL CKQUORUM in its own words. Counts tilted Sentinels as usable: do not trust it alone. */
  ckquorum(): Promise<{ readonly ok: boolean; readonly text: string }>;
  /** Any other command, for work that changes what the Sentinel does; its reply as it came. */
  call(command: string, ...args: readonly (string | number)[]): Promise<unknown>;
}

/** All Sentinels of a group. */
export interface SentinelWatch {
  members(): readonly SentinelMember[];
  /** Watches one more; one that is known already, or beyond `mostSentinels`, is not added. */
  add(sentinel: SentinelAddress): void;
  remove(sentinel: SentinelAddress): void;
  close(): void;
}

/** More Sentinels than this guard no group. */
const mostSentinels = 16;
/** For how long the same words of another Sentinel count as the same message. */
const echoMs = 10_000;
const mostRemembered = 256;

interface Watched {
  readonly member: SentinelMember;
  close(): void;
}

/** Connects in the background, twice to each Sentinel: for questions and for messages. */
export const createSentinelWatch = (options: SentinelWatchOptions): SentinelWatch => {
  const watched = new Map<string, Watched>();
  const isEcho = echoes(options.clock);
  const hear = (sentinel: string, channel: string, message: string): void => {
    options.onMessage({ sentinel, channel, message, first: !isEcho(sentinel, `${channel} ${message}`) });
  };
  const watch: SentinelWatch = {
    members: () => [...watched.values()].map(({ member }) => member),
    add(sentinel) {
      if (watched.has(keyOf(sentinel)) || watched.size >= mostSentinels) return;
      watched.set(keyOf(sentinel), watchOne(sentinel, options, hear));
    },
    remove(sentinel) {
      watched.get(keyOf(sentinel))?.close();
      watched.delete(keyOf(sentinel));
    },
    close() {
      for (const one of watched.values()) one.close();
      watched.clear();
    },
  };
  for (const sentinel of options.sentinels) watch.add(sentinel);
  return watch;
};

const keyOf = ({ host, port }: SentinelAddress): string => `${host}:${String(port)}`;

const watchOne = (
  sentinel: SentinelAddress,
  options: SentinelWatchOptions,
  hear: (sentinel: string, channel: string, message: string) => void,
): Watched => {
  const { group, access = {}, name = 'switchyard-watch', logger } = options;
  const shared = { host: sentinel.host, port: sentinel.port, access, name, logger };
  const questions = openDirect({
    ...shared,
    ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
  });
  const messages = openSocket(shared);
  messages.on('pmessage', (_pattern: string, channel: string, message: string) =>
    hear(sentinel.name, channel, message),
  );
  keepSubscribed(messages, ['*'], 'psubscribe');

  let silentSinceMs: number | null = null;
  const ask = async (command: string, ...args: readonly string[]): Promise<unknown> => {
    try {
      const reply = await questions.call(command, ...args);
      // Subscriptions owe no answer, so a dead one goes unnoticed: renew it when the Sentinel was away for long. Not sooner:
      // while it is renewed, messages are missed.
      const awayMs = silentSinceMs === null ? 0 : options.clock.monotonicMs() - silentSinceMs;
      if (awayMs >= socketSilenceMs) messages.disconnect(true);
      silentSinceMs = null;
      return reply;
    } catch (error) {
      if (error instanceof RedisNodeError && error.kind === 'silent') silentSinceMs ??= options.clock.monotonicMs();
      throw error;
    }
  };
  const askForGroup = async (command: string): Promise<unknown> => {
    try {
      return await ask('SENTINEL', command, group);
    } catch (error) {
      if (error instanceof RedisNodeError && /no such master/i.test(error.message)) return null;
      throw error;
    }
  };
  return {
    member: {
      ...sentinel,
      master: () => askForGroup('MASTER'),
      replicas: () => askForGroup('REPLICAS'),
      sentinels: () => askForGroup('SENTINELS'),
      info: async () => String(await ask('INFO', 'sentinel')),
      call: ask,
      async ckquorum() {
        try {
          return { ok: true, text: String(await ask('SENTINEL', 'CKQUORUM', group)) };
        } catch (error) {
          if (error instanceof RedisNodeError && error.kind === 'refused') return { ok: false, text: error.message };
          throw error;
        }
      },
    },
    close() {
      questions.close();
      messages.disconnect();
    },
  };
};

/** Tells whether another Sentinel said the same a moment ago. */
const echoes = (clock: Clock): ((sentinel: string, text: string) => boolean) => {
  const said = new Map<string, { readonly atMs: number; readonly sentinel: string }>();
  return (sentinel, text) => {
    const nowMs = clock.monotonicMs();
    const before = said.get(text);
    if (before !== undefined && nowMs - before.atMs < echoMs && before.sentinel !== sentinel) return true;
    said.delete(text);
    said.set(text, { atMs: nowMs, sentinel });
    for (const oldest of said.keys()) {
      if (said.size <= mostRemembered) break;
      said.delete(oldest);
    }
    return false;
  };
};
