// How does a replica get a fresh copy of everything, without a restart and without its disk? By a moment without history:
//
//   MULTI; REPLICAOF NO ONE; REPLICAOF <primary>; EXEC
//
// As its own primary it takes a new replication id; asked to continue from that one, the primary knows nothing of it and sends a
// snapshot. Both happen in one transaction: nobody ever sees it as a primary and it accepts no write (tried on 7.0.15: INFO, ROLE
// and writers saw a replica throughout). It answers reads from its old data until the snapshot is there, then refuses them while
// it loads. Its own replicas are cut off and copy anew after it.
import { refuse, ok, type Refusal, type Result } from '@switchyard/protocol';
import {
  parseSyncFacts,
  sameAddress,
  syncProgress,
  type Address,
  type SyncFacts,
  type SyncProgress,
} from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';

/** Between whom. Connections of one's own, not the observer's; their deadlines are those of one question. */
export interface SyncOptions {
  readonly replica: RedisNodeAdmin;
  readonly primary: RedisNodeAdmin;
  /** The primary as the replica is to know it; by its connection's address unless given. */
  readonly at?: Address;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** For the whole copy; a copy that does not move for `stalledAfterMs` fails sooner. */
  readonly deadlineMs: number;
  /** For the first connection to the primary: a wrong password or a firewall shows here. */
  readonly connectMs?: number;
  readonly onProgress?: (progress: SyncProgress) => void;
  /** Asked with each look: a refusal ends the wait. What was begun goes on by itself, nothing is undone. */
  readonly recheck?: () => Refusal | null;
}

/** What was done. */
export interface SyncOutcome {
  readonly tookMs: number;
  /** Of the snapshot; null when it was too quick to be seen. */
  readonly copiedBytes: number | null;
  readonly offset: number;
  readonly lineage: string | null;
}

const lookEveryMs = 200;
const usualConnectMs = 20_000;
/** No byte, no key and no percent more for so long. A primary waits up to 60 s for more replicas if it is told to. */
const stalledAfterMs = 90_000;
/** Copies that the primary began anew: from the third on it will never end (output buffer or timeout too small). */
const mostBeginnings = 3;

/**
 * Makes `replica` copy everything from the primary, and waits until it is in sync. The replica must follow that primary, or be
 * meant to from now on; whoever calls has made sure that its data may go.
 */
export const fullResync = async (options: SyncOptions): Promise<Result<SyncOutcome>> => {
  const { replica, primary, at = primary } = options;
  const before = parseSyncFacts(await primary.info());
  const { role, link, loading, follows } = before.info;
  const serves = !loading && (role === 'primary' || (link === 'up' && !sameAddress(follows, replica)));
  if (!serves) {
    return refuse(
      'conflict',
      `${primary.host}:${String(primary.port)} has nothing to copy from, or is a replica of the other: nothing was begun`,
    );
  }
  await replica.transaction([
    ['REPLICAOF', 'NO', 'ONE'],
    ['REPLICAOF', at.host, at.port],
  ]);
  return followSync(options, before);
};

/** Waits until `replica`, which was told already whom to follow, is in sync with the primary as it is now. */
export const followSync = async (options: SyncOptions, before?: SyncFacts): Promise<Result<SyncOutcome>> => {
  const { replica, primary, clock, signal, deadlineMs, connectMs = usualConnectMs, onProgress, recheck } = options;
  const startedMs = clock.monotonicMs();
  const first = before ?? parseSyncFacts(await primary.info());
  const targetOffset = first.info.offset ?? 0;
  let source: SyncFacts | null = first;
  let copiedBytes: number | null = null;
  let moved = { at: startedMs, mark: '' };
  let said = '';
  let connected = false;
  for (;;) {
    const [seen, primarySeen] = await Promise.all([ask(replica), ask(primary)]);
    source = primarySeen ?? source;
    if (seen !== null) {
      const progress = syncProgress(seen, { primary: source, targetOffset });
      copiedBytes = seen.readBytes ?? copiedBytes;
      connected ||= seen.info.syncing || seen.info.loading || seen.info.link === 'up';
      if (progress.detail !== said) onProgress?.(progress);
      said = progress.detail;
      if (progress.phase === 'done') {
        const tookMs = Math.round(clock.monotonicMs() - startedMs);
        return ok({ tookMs, copiedBytes, offset: seen.info.offset ?? 0, lineage: seen.info.lineage });
      }
      const mark = `${progress.phase} ${progress.detail} ${String(seen.info.offset)} ${String(source.savedKeys)}`;
      if (mark !== moved.mark) moved = { at: clock.monotonicMs(), mark };
    }
    const why =
      recheck?.() ??
      stopReason({ first, source, startedMs, movedMs: moved.at, nowMs: clock.monotonicMs(), deadlineMs });
    if (why !== null) return { ok: false, error: why };
    if (!connected && clock.monotonicMs() - startedMs > connectMs) return notConnected(replica, primary);
    if (signal.aborted)
      return refuse('cancelled', 'nobody waits for the copy any more; the replica goes on with it by itself');
    await clock.sleep(lookEveryMs, signal).catch(() => undefined);
  }
};

const notConnected = ({ host, port }: RedisNodeAdmin, primary: RedisNodeAdmin): Result<never> =>
  refuse('timed_out', `${host}:${String(port)} gets no connection to ${primary.host}:${String(primary.port)}`, {
    next: 'check masterauth and masteruser on it, and that it reaches that address: its log says why',
  });

const ask = (node: RedisNodeAdmin): Promise<SyncFacts | null> =>
  // A node that loads is silent at times: the deadline of the whole decides, not one answer.
  node.info().then(parseSyncFacts, () => null);

const stopReason = (facts: {
  readonly first: SyncFacts;
  readonly source: SyncFacts;
  readonly startedMs: number;
  readonly movedMs: number;
  readonly nowMs: number;
  readonly deadlineMs: number;
}): Refusal | null => {
  const { first, source, startedMs, movedMs, nowMs, deadlineMs } = facts;
  const begun = (source.fullSyncs ?? 0) - (first.fullSyncs ?? 0);
  if (begun > mostBeginnings) {
    return refuse('timed_out', `the primary began ${String(begun)} copies and none came to its end`, {
      next: 'most often client-output-buffer-limit for replicas or repl-timeout is too small: GET .../settings-advice names values',
    }).error;
  }
  if (nowMs - movedMs > stalledAfterMs) {
    return refuse('timed_out', `the copy has not moved for ${String(Math.round((nowMs - movedMs) / 1_000))} s`).error;
  }
  return nowMs - startedMs > deadlineMs
    ? refuse('timed_out', `the copy takes longer than ${String(Math.round(deadlineMs / 1_000))} s`, {
        next: 'it goes on by itself: the state of the node tells when it is in sync',
      }).error
    : null;
};
