// Who is primary before the Sentinels say so? Their messages and the ROLE of whom they select, put together by libs/replication.
import {
  askedForRole,
  parseInfo,
  parseRole,
  parseSentinelEvent,
  promotionState,
  stepPromotion,
} from '@switchyard/replication';
import type { Announcement, PromotionInput, PromotionNews } from '@switchyard/replication';
import type { Clock, Logger } from '@switchyard/runtime';
import type { RedisEndpoint } from './connection-options.ts';
import { openSocket, RedisNodeError } from './direct-connection.ts';
import type { RedisAccess } from './direct-connection.ts';
import { reachable } from './nat-map.ts';
import type { NatMap } from './nat-map.ts';
import { createNodeQuestions } from './node-questions.ts';
import { keepSubscribed } from './subscription.ts';

/** Which group, and who hears of it. */
export interface PromotionWatchOptions {
  readonly sentinels: readonly RedisEndpoint[];
  readonly group: string;
  /** Of the Sentinels, and of the nodes. */
  readonly sentinelAccess?: RedisAccess;
  readonly access?: RedisAccess;
  readonly natMap?: NatMap;
  /** Shown by CLIENT LIST. */
  readonly name: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Must not throw. Addresses are as the Sentinels announce them. */
  readonly onNews: (news: PromotionNews) => void;
}

/** What a node says about itself; `unknown`: it answered with an error (a missing permission, a wrong password). */
export type SaidRole = 'primary' | 'replica' | 'unknown' | 'away';

/** The watch over the promotions of one group. */
export interface PromotionWatch {
  /** The promotion that the Sentinels have yet to name, if any. */
  announced(): Announcement | null;
  /** Tells whom a majority of the Sentinels names, and the epoch that all of it have reached. */
  majority(primary: RedisEndpoint, epoch: number | null): void;
  /** Asks a node. Never rejects; an answer takes half a second at most. */
  role(at: RedisEndpoint): Promise<SaidRole>;
  /** Asks a Sentinel. Rejects with a RedisNodeError within half a second. */
  askSentinel(at: RedisEndpoint, words: readonly [string, ...string[]]): Promise<unknown>;
  close(): void;
}

const askEveryMs = 20;
const tickEveryMs = 1_000;
const deadlineMs = 500;
/** Asked now and then, so that a Sentinel that vanished is noticed. */
const pingEveryMs = 5_000;

/** Connects to each Sentinel in the background, and to nodes when they are asked. */
export const createPromotionWatch = (options: PromotionWatchOptions): PromotionWatch => {
  const { natMap, clock, logger, name, access = {}, sentinelAccess = {} } = options;
  const questions = createNodeQuestions({ logger, name: `${name}:roles`, deadlineMs });
  let state = promotionState(options.group);
  let asks: NodeJS.Timeout | undefined;
  let closed = false;
  let mayAskRole = true;
  const asking = new Set<string>();

  const ask = (at: RedisEndpoint, words: readonly [string, ...string[]]): Promise<unknown> =>
    questions.ask(reachable(natMap, at), access, words);
  const roleSaid = async (at: RedisEndpoint): Promise<string | null | undefined> => {
    if (mayAskRole) {
      try {
        return parseRole(await ask(at, ['ROLE']))?.role;
      } catch (error) {
        if (!(error instanceof RedisNodeError) || !error.message.startsWith('NOPERM')) throw error;
        // users of applications often have no dangerous commands but INFO
        mayAskRole = false;
      }
    }
    return parseInfo(String(await ask(at, ['INFO', 'replication']))).role;
  };
  const role = async (at: RedisEndpoint): Promise<SaidRole> => {
    try {
      const said = await roleSaid(at);
      return said === 'primary' || said === 'replica' ? said : 'unknown';
    } catch (error) {
      return error instanceof RedisNodeError && error.kind === 'refused' ? 'unknown' : 'away';
    }
  };
  const hear = (input: PromotionInput): void => {
    if (closed) return;
    const { state: next, news } = stepPromotion(state, input, clock.monotonicMs());
    state = next;
    for (const one of news) options.onNews(one);
    const isWaiting = askedForRole(state, clock.monotonicMs()).length > 0;
    if (isWaiting) asks ??= setInterval(askAll, askEveryMs);
    else stopAsking();
  };
  const stopAsking = (): void => {
    clearInterval(asks);
    asks = undefined;
  };
  const askAll = (): void => {
    const asked = askedForRole(state, clock.monotonicMs());
    if (asked.length === 0) stopAsking();
    for (const at of asked) void askOne(at);
  };
  const askOne = async (at: RedisEndpoint): Promise<void> => {
    const key = `${at.host}:${String(at.port)}`;
    if (asking.has(key)) return;
    asking.add(key);
    const said = await role(at);
    asking.delete(key);
    if (said === 'primary' || said === 'replica') hear({ type: 'role', at, isPrimary: said === 'primary' });
  };

  const sockets = options.sentinels.map(({ host, port }) => {
    const sentinel = `${host}:${String(port)}`;
    const redis = openSocket({ host, port, name: `${name}:switches`, logger, access: sentinelAccess });
    redis.on('pmessage', (_pattern: string, channel: string, message: string) =>
      hear({ type: 'event', sentinel, event: parseSentinelEvent(channel, message) }),
    );
    redis.on('close', () => hear({ type: 'deaf', sentinel }));
    keepSubscribed(redis, ['*'], 'psubscribe');
    return redis;
  });
  const pings = setInterval(() => {
    for (const redis of sockets) if (redis.status === 'ready') redis.ping().catch(() => undefined);
  }, pingEveryMs);
  const ticks = setInterval(() => hear({ type: 'tick' }), tickEveryMs);

  return {
    announced: () => state.announced,
    majority: (primary, epoch) => hear({ type: 'majority', primary, epoch }),
    role,
    askSentinel: (at, words) => questions.ask(at, sentinelAccess, words),
    close() {
      if (closed) return;
      closed = true;
      clearInterval(pings);
      clearInterval(ticks);
      for (const redis of sockets) redis.disconnect();
      stopAsking();
      questions.close();
    },
  };
};
