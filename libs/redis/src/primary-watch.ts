// Which node of a group with Sentinels is to be talked to now? Asked by all connections of a process, and told to those that are
// elsewhere. (docs/adr/0009 and 0013 say why this is not what ioredis does by itself.)
//
// A promoted replica is followed before the Sentinels name it. Otherwise all Sentinels are asked at once: the latest config epoch
// counts first, then how many name it; and nobody is sent to a node that does not say itself that it is primary.
import { parseSentinelView } from '@switchyard/replication';
import type { Announcement, PromotionNews } from '@switchyard/replication';
import { systemClock } from '@switchyard/runtime';
import type { Logger } from '@switchyard/runtime';
import type { Redis } from 'ioredis';
import { accessOf } from './connection-options.ts';
import type { RedisEndpoint, RedisSettings } from './connection-options.ts';
import { reachable } from './nat-map.ts';
import type { NodeFinder } from './primary-connector.ts';
import { createPromotionWatch } from './promotion-watch.ts';
import { primaryClaims } from './sentinel-claims.ts';
import type { SentinelClaim } from './sentinel-claims.ts';

/** The primary as far as this process knows. */
export interface KnownPrimary extends RedisEndpoint {
  /** Config epoch of the Sentinels: rises with each promotion. Null while nobody was heard saying it. */
  readonly epoch: number | null;
  /** True until the Sentinels name it, too. */
  readonly early: boolean;
}

export interface PrimaryWatch extends Required<NodeFinder> {
  /** As announced, not as reached. */
  known(): KnownPrimary | undefined;
  close(): void;
}

/** Asked so often, should a message have been missed; while an announcement waits for the Sentinels' word, each second. */
const lookEveryMs = 5_000;
const tickMs = 1_000;

const keyOf = ({ host, port }: RedisEndpoint): string => `${host}:${String(port)}`;

/** Watches the group, and sends every connection in `open` that is at a node that is primary no more away. */
export function watchPrimary(
  settings: RedisSettings & { readonly kind: 'sentinel' },
  { logger, name, open }: { readonly logger: Logger; readonly name: string; readonly open: ReadonlySet<Redis> },
): PrimaryWatch {
  const { natMap, sentinels, group } = settings;
  let known: KnownPrimary | undefined;
  let underWay: Promise<RedisEndpoint> | undefined;
  let lookedAtMs = 0;
  const waiting = new Set<() => void>();

  /** Undefined when there is news before the work has ended. */
  const orNews = async <T>(work: Promise<T>): Promise<T | undefined> => {
    let wake = (): void => undefined;
    const woken = new Promise<undefined>((resolve) => {
      wake = (): void => resolve(undefined);
    });
    waiting.add(wake);
    try {
      return await Promise.race([work, woken]);
    } finally {
      waiting.delete(wake);
    }
  };
  const sendAway = (stale: readonly Redis[], fields: object, event: string): void => {
    if (stale.length > 0) logger.info({ ...fields, connections: stale.length }, event);
    for (const redis of stale) redis.disconnect(true);
  };
  const elsewhere = (at: RedisEndpoint): readonly Redis[] =>
    [...open].filter((redis) => isElsewhere(redis, reachable(natMap, at)));
  const follow = (next: KnownPrimary): void => {
    const before = known;
    known = next;
    if (before === undefined || keyOf(before) === keyOf(next)) return;
    sendAway(elsewhere(next), { primary: keyOf(next), epoch: next.epoch, early: next.early }, 'redis.switched');
  };
  const onNews = (one: PromotionNews): void => {
    if (one.type === 'announced') follow({ ...one.primary, epoch: one.epoch, early: true });
    else if (one.type === 'confirmed') follow({ ...one.primary, epoch: one.epoch, early: false });
    else if (one.type === 'retracted') {
      const stale = [...open].filter((redis) => isAt(redis, reachable(natMap, one.primary)));
      known = undefined;
      sendAway(stale, { primary: keyOf(one.primary), why: one.why }, 'redis.retracted');
    } else if (known === undefined || keyOf(known) !== keyOf(one.primary)) {
      // they ask the others, too, before they go there
      sendAway(elsewhere(one.primary), { primary: keyOf(one.primary) }, 'redis.switched');
    }
    for (const wake of waiting) wake();
  };
  const promotions = createPromotionWatch({
    sentinels,
    group,
    name,
    logger,
    clock: systemClock,
    onNews,
    access: accessOf(settings),
    ...(settings.sentinelPassword === undefined ? {} : { sentinelAccess: { password: settings.sentinelPassword } }),
    ...(natMap === undefined ? {} : { natMap }),
  });

  const look = async (): Promise<RedisEndpoint> => {
    lookedAtMs = performance.now();
    const announced = promotions.announced();
    if (announced !== null && (await isUsable(announced.primary))) return reachable(natMap, announced.primary);
    const faults: string[] = [];
    const claims = await askSentinels(faults);
    const { candidates, majority } = primaryClaims(claims, {
      sentinels: sentinels.length,
      epoch: known?.epoch ?? null,
    });
    for (const { primary, epoch } of candidates) {
      // it was replaced, whatever the Sentinels say as yet
      if (isFrom(promotions.announced(), primary)) continue;
      if (!(await isUsable(primary))) continue;
      if (majority !== undefined) promotions.majority(majority.primary, majority.epoch);
      if (promotions.announced() === null) follow({ ...primary, epoch, early: false });
      return reachable(natMap, primary);
    }
    if (claims.length === 0) throw new Error(`All sentinels are unreachable: ${faults.slice(0, 3).join('; ')}`);
    const named = candidates.map(({ primary }) => keyOf(primary)).join(', ');
    throw new Error(`MASTERDOWN the Sentinels name ${named}, and nobody there says that it is primary`);
  };
  const isUsable = async (at: RedisEndpoint): Promise<boolean> => {
    const said = await promotions.role(at);
    // what is wrong with user or password is told by the connection itself
    return said === 'primary' || said === 'unknown';
  };
  /** Resolves as soon as more than half agree, so that one that is frozen delays nobody. */
  const askSentinels = async (faults: string[]): Promise<readonly SentinelClaim[]> => {
    const claims: SentinelClaim[] = [];
    let agreed = (): void => undefined;
    const agreement = new Promise<void>((resolve) => {
      agreed = resolve;
    });
    const asked = sentinels.map(async (sentinel) => {
      try {
        const view = parseSentinelView(await promotions.askSentinel(sentinel, ['SENTINEL', 'MASTER', group]));
        if (view !== null) claims.push({ primary: view.primary, epoch: view.epoch });
      } catch (error) {
        faults.push(`${keyOf(sentinel)}: ${(error as Error).message}`);
      }
      const said = new Set(claims.map(({ primary, epoch }) => `${keyOf(primary)} ${String(epoch)}`));
      if (said.size === 1 && claims.length > sentinels.length / 2) agreed();
    });
    await Promise.race([agreement, Promise.all(asked)]);
    return [...claims];
  };
  /** What was found before the latest news counts no more. */
  const findNow = async (): Promise<RedisEndpoint> => {
    for (let round = 0; round < 3; round += 1) {
      const looking = look();
      looking.catch(() => undefined);
      const found = await orNews(looking);
      if (found !== undefined) return found;
    }
    return look();
  };
  const find = (): Promise<RedisEndpoint> => {
    underWay ??= findNow().finally(() => (underWay = undefined));
    return underWay;
  };
  const looks = setInterval(() => {
    const waitMs = promotions.announced() === null ? lookEveryMs : 0;
    // what goes wrong is told by the connections that need a primary
    if (performance.now() - lookedAtMs >= waitMs) find().catch(() => undefined);
  }, tickMs);

  return {
    find,
    async pause(ms) {
      let timer: NodeJS.Timeout | undefined;
      await orNews(
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, ms);
        }),
      );
      clearTimeout(timer);
    },
    isStale: (at) => known !== undefined && keyOf(reachable(natMap, known)) !== keyOf(at),
    known: () => known,
    close() {
      clearInterval(looks);
      promotions.close();
    },
  };
}

const isFrom = (announced: Announcement | null, at: RedisEndpoint): boolean =>
  announced !== null && announced.from !== null && keyOf(announced.from) === keyOf(at);

/** One that is between two connections asks for the primary anyway, and must not be disturbed while it does. */
export function isElsewhere(redis: Redis, primary: RedisEndpoint): boolean {
  // a Sentinel may announce a name, or another address of the same node: then it is only sent away in vain
  return isConnected(redis) && !isThere(redis, primary);
}

function isAt(redis: Redis, node: RedisEndpoint): boolean {
  return isConnected(redis) && isThere(redis, node);
}

const isConnected = ({ status }: Redis): boolean => status === 'ready' || status === 'connect';

const isThere = ({ stream }: Redis, { host, port }: RedisEndpoint): boolean =>
  stream.remotePort === port && stream.remoteAddress === host;
