// Who takes writes before the Sentinels say so? As soon as the replica that the elected Sentinel has selected says that it is
// primary, the view and /primary name it, and every reachable node of the group publishes it: about 0.9 s earlier. libs/replication
// decides (promotion.ts); what was announced is confirmed or retracted.
import { channels } from '@switchyard/protocol';
import {
  addressKey,
  askedForRole,
  endpointOf,
  noFindings,
  parseRole,
  promotionState,
  stepPromotion,
  type Address,
  type Announcement,
  type PromotionInput,
  type PromotionNews,
} from '@switchyard/replication';
import type { GroupPart, GroupTools } from '../group-part.ts';

const askEveryMs = 20;
/** The longest that Sentinel's own work takes at its usual settings; after that nobody needs the times any more. */
const rememberMs = 60_000;

/** The part; it asks nobody while no failover is under way. */
export const createEarlyPrimary = (tools: GroupTools): GroupPart => {
  const { observer, history, clock, logger, definition } = tools;
  const group = definition.name;
  let state = promotionState(group);
  let asks: NodeJS.Timeout | undefined;
  let early: { readonly primary: Address; readonly atMs: number; readonly confirmedAtMs: number | null } | null = null;
  const asking = new Set<string>();

  const nameOf = (at: Address): string => endpointOf(observer.observe().nodes, at).name;
  const publish = (news: Exclude<PromotionNews, { type: 'named' }>): void => {
    // What is published at a primary goes into its replication stream: not in a group that is only observed.
    if (!tools.manages) return;
    const { host, port } = news.primary;
    const message = JSON.stringify({
      group,
      type: news.type,
      epoch: news.epoch,
      name: nameOf(news.primary),
      host,
      port,
    });
    for (const node of observer.observe().nodes) {
      // Who is gone cannot tell it to anybody; a subscriber there has lost its connection, too.
      if (node.failure !== null) continue;
      observer
        .nodeAt(node)
        ?.call('PUBLISH', channels.redisPrimary, message)
        .catch(() => undefined);
    }
  };
  const tell = (news: PromotionNews): void => {
    if (news.type === 'named') return;
    const at = { group, primary: nameOf(news.primary), epoch: news.epoch, by: news.by };
    if (news.type === 'announced') {
      early = { primary: news.primary, atMs: clock.monotonicMs(), confirmedAtMs: null };
      logger.info(at, 'redis.primary_announced');
    } else if (news.type === 'confirmed') {
      if (early !== null) early = { ...early, confirmedAtMs: clock.monotonicMs() };
      logger.info(at, 'redis.primary_confirmed');
    } else {
      early = null;
      logger.warn({ ...at, why: 'why' in news ? news.why : '' }, 'redis.primary_retracted');
    }
    publish(news);
    tools.wake();
  };

  const take = (input: PromotionInput): void => {
    const step = stepPromotion(state, input, clock.monotonicMs());
    state = step.state;
    for (const news of step.news) tell(news);
    if (askedForRole(state, clock.monotonicMs()).length > 0) asks ??= setInterval(askAll, askEveryMs);
    else stopAsking();
  };
  const stopAsking = (): void => {
    clearInterval(asks);
    asks = undefined;
  };
  const askOne = async (at: Address): Promise<void> => {
    const key = addressKey(at);
    const node = observer.nodeAt(at);
    if (asking.has(key) || node === undefined) return;
    asking.add(key);
    try {
      const said = parseRole(await node.role())?.role;
      if (said === 'primary' || said === 'replica') take({ type: 'role', at, isPrimary: said === 'primary' });
    } catch {
      // it is asked again in a moment
    } finally {
      asking.delete(key);
    }
  };
  const askAll = (): void => {
    const asked = askedForRole(state, clock.monotonicMs());
    if (asked.length === 0) stopAsking();
    for (const at of asked) void askOne(at);
  };

  return {
    name: 'early-primary',
    hear: ({ sentinel, event }) => take({ type: 'event', sentinel, event }),
    look({ verdict, observation }) {
      for (const { name, failure } of observation.sentinels) {
        if (failure !== null && state.attempts[name] !== undefined) take({ type: 'deaf', sentinel: name });
      }
      if (verdict.by === 'sentinels' && verdict.named !== null) {
        take({ type: 'majority', primary: verdict.named, epoch: verdict.epoch });
      }
      take({ type: 'tick' });
    },
    finished(entry) {
      const nowMs = clock.monotonicMs();
      if (early === null || nowMs - early.atMs > rememberMs) return;
      if (addressKey(early.primary) !== addressKey(entry.to) || early.confirmedAtMs === null) return;
      const beginMs = nowMs - (clock.unixMs() - entry.startedAtMs);
      const gainedMs = Math.round(early.confirmedAtMs - early.atMs);
      history.amend(entry.id, {
        notes: [
          `announced ${String(Math.max(0, Math.round(early.atMs - beginMs)))} ms after the first sign, ` +
            `${String(gainedMs)} ms before a Sentinel named it`,
        ],
      });
      early = null;
    },
    findings() {
      const { announced } = state;
      return announced === null ? noFindings : { ...noFindings, promoted: promotedOf(announced) };
    },
    async stop() {
      stopAsking();
    },
  };
};

const promotedOf = ({ primary, epoch }: Announcement): Address & { readonly epoch: number | null } => ({
  host: primary.host,
  port: primary.port,
  epoch,
});
