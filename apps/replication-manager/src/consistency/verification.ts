// Did a failover leave the group as it should be? The part of a group that looks afterwards: a write that arrives everywhere, one
// stream that goes on where the old one ended, all replicas behind the new primary, the same data on all of them.
import type { RedisFailover, RedisVerification } from '@switchyard/protocol';
import { addressKey, parseInfo, sameAddress, type NodeInfo } from '@switchyard/replication';
import type { Check } from './consistency-probe.ts';
import type { Consistency } from './consistency.ts';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';

/** More keys than this are not all compared after a failover, but so many of them. */
const sampling = { above: 500_000, keys: 20_000 } as const;
const checkDeadlineMs = 60_000;
/** For replicas to follow and to copy what they lack. */
const settleDeadlineMs = 60_000;
const lookEveryMs = 250;
/** Another check is under way. */
const retryEveryMs = 3_000;
const mostNodes = 64;

/** The part; it adds `verification` to the history some seconds after each failover or switchover. */
export const createVerification = (tools: GroupTools, consistency: Consistency): GroupPart => {
  const { clock, logger, history, definition } = tools;
  const group = definition.name;
  const stopped = new AbortController();
  const under = new Set<Promise<void>>();
  /** The stream of each primary, as it was seen last, by its address. */
  const streams = new Map<string, Pick<NodeInfo, 'lineage' | 'offset'>>();
  let latest: GroupLook | null = null;

  const verify = async (
    entry: RedisFailover,
    before: Pick<NodeInfo, 'lineage' | 'offset'> | undefined,
  ): Promise<void> => {
    const checks: Check[] = [await followed(entry), await continued(entry, before)];
    const found = await compared(entry);
    checks.push(...found);
    const isWrong = checks.some(({ ok }) => ok === false);
    const verification: RedisVerification = {
      ok: isWrong ? false : checks.some(({ ok }) => ok === null) ? null : true,
      checks: checks.map((check) => ({ ...check })),
      atMs: clock.unixMs(),
    };
    history.amend(entry.id, { verification });
    const wrong = checks.filter(({ ok }) => ok === false);
    logger[isWrong ? 'error' : 'info'](
      { group, failover: entry.id, ok: verification.ok, wrong },
      'redis.failover_verified',
    );
  };

  /** Waits until every node that can be reached follows the new primary, in sync. */
  const followed = async (entry: RedisFailover): Promise<Check> => {
    const name = 'replicas follow';
    const startedMs = clock.monotonicMs();
    for (;;) {
      const view = latest?.view;
      const others = view?.nodes.filter((node) => !sameAddress(node, entry.to)) ?? [];
      const reachable = others.filter(({ state }) => state !== 'unreachable');
      const wrong = reachable.filter(
        ({ role, state }) => role !== 'replica' || (state !== 'ok' && state !== 'diverged'),
      );
      const isThere = sameAddress(view?.primary ?? null, entry.to);
      if (isThere && wrong.length === 0 && reachable.length > 0) {
        const names = reachable.map((node) => node.name).join(', ');
        const away = others.length - reachable.length;
        return {
          name,
          ok: true,
          detail: `${names} follow ${entry.to.name}${away > 0 ? `; ${String(away)} away` : ''}`,
        };
      }
      if (clock.monotonicMs() - startedMs > settleDeadlineMs) {
        if (!isThere) return { name, ok: null, detail: `${view?.primary?.name ?? 'nobody'} is primary by now` };
        if (reachable.length === 0) return { name, ok: false, detail: 'no replica can be reached' };
        const states = wrong.map((node) => `${node.name}: ${node.state}`).join(', ');
        return { name, ok: false, detail: `after ${String(settleDeadlineMs / 1_000)} s: ${states}` };
      }
      await clock.sleep(lookEveryMs, stopped.signal);
    }
  };

  /** Whether the new stream goes on where the old one ended, and what was seen of the old one beyond that. */
  const continued = async (
    entry: RedisFailover,
    before: Pick<NodeInfo, 'lineage' | 'offset'> | undefined,
  ): Promise<Check> => {
    const name = 'lineage';
    const info = await tools.observer
      .nodeAt(entry.to)
      ?.info('replication')
      .then(parseInfo, () => null);
    if (info === null || info === undefined) return { name, ok: null, detail: `${entry.to.name} did not answer` };
    if (before?.lineage === undefined || before.lineage === null) {
      return { name, ok: null, detail: 'the stream of the former primary was never seen' };
    }
    if (info.lineage === before.lineage) return { name, ok: true, detail: 'the stream is the same as before' };
    if (info.previousLineage !== before.lineage) {
      return {
        name,
        ok: false,
        detail: `it does not continue the stream ${before.lineage}, but ${info.previousLineage ?? 'none'}: it has a history of its own`,
      };
    }
    const shared = info.sharedOffset ?? 0;
    const beyond = (before.offset ?? 0) - shared;
    const lost = beyond > 0 ? `, ${String(beyond)} bytes less than the former primary was seen at` : '';
    // How much was lost is told by `dataLoss`; here it is whether one stream became another.
    return { name, ok: true, detail: `it continues the former stream from offset ${String(shared)} on${lost}` };
  };

  const compared = async (entry: RedisFailover): Promise<readonly Check[]> => {
    const startedMs = clock.monotonicMs();
    for (;;) {
      const found = await consistency.check(
        { input: { digest: true, dutyPercent: 50 }, cause: entry.id, deadlineMs: checkDeadlineMs, sampling },
        { signal: stopped.signal, progress: () => undefined },
      );
      if (found.ok) {
        const nodes = found.value.nodes.filter(({ role }) => role !== 'primary');
        return [
          ...found.value.checks,
          ...nodes.map(({ node, verdict, detail }) => ({
            name: `data of ${node}`,
            ok: verdict === 'same' ? true : verdict === 'different' ? false : null,
            detail,
          })),
        ];
      }
      const isOver = clock.monotonicMs() - startedMs > settleDeadlineMs;
      if (found.error.code !== 'conflict' || isOver) return [{ name: 'data', ok: null, detail: found.error.detail }];
      await clock.sleep(retryEveryMs, stopped.signal);
    }
  };

  return {
    name: 'verification',
    look(look) {
      latest = look;
      for (const node of look.observation.nodes) {
        const { info } = node;
        if (info?.role !== 'primary' || !sameAddress(node, look.verdict.named)) continue;
        streams.delete(addressKey(node));
        streams.set(addressKey(node), { lineage: info.lineage, offset: info.offset });
        for (const oldest of streams.keys()) if (streams.size > mostNodes) streams.delete(oldest);
      }
    },
    finished(entry) {
      const before = entry.from === null ? undefined : streams.get(addressKey(entry.from));
      const work = verify(entry, before).catch((error: unknown) => {
        if (!stopped.signal.aborted)
          logger.warn({ group, failover: entry.id, err: error }, 'redis.verification_failed');
      });
      under.add(work);
      void work.finally(() => under.delete(work));
    },
    async stop() {
      stopped.abort();
      await Promise.all(under);
    },
  };
};
