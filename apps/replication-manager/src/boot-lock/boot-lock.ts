// May a primary that died and is back serve again? Not before it was compared with its replicas: an empty one would empty them all.
//
//   dies --> replicas are held back (boot-lock-guard.ts) --> Sentinel names another one ------------------> released
//                                                        --> it is back and nobody is ahead --------------> released, let in
//                                                        --> it is back and behind: locked, Sentinel is asked to fail over
//
// `advise` compares and says; only `enforce` changes anything.
import {
  countKeys,
  defaultLimits,
  defaultLockUsers,
  isSeen,
  judgeBoot,
  noFindings,
  parseInfo,
  sameAddress,
  type BootFacts,
  type BootVerdict,
  type Findings,
  type NodeObservation,
  type PrimaryVerdict,
} from '@switchyard/replication';
import type { Refusal } from '@switchyard/protocol';
import { createAlarm, type Alarm } from './boot-lock-alarm.ts';
import { createDoors } from './boot-lock-doors.ts';
import { createFailoverRequest } from './boot-lock-failover.ts';
import { createReplicaGuard } from './boot-lock-guard.ts';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';

/** A primary as it was while all was well. */
interface Before extends BootFacts {
  readonly runId: string | null;
}

const learnEveryMs = 1_000;
/** Short: while it is paused our own probe write waits, too, and hides what becomes of the node. */
const pauseMs = 1_500;
const repauseMs = 700;
/** An answer that was on its way when the connection closed. */
const answerMs = 50;
/** Without memory, a primary that runs for so long was not restarted just now. */
const youngSeconds = 120;
/** Nodes that are away cannot be compared with; after so long it goes on without them, if writes count more. */
const absentPatienceMs = 30_000;
/** How long it stays said that a primary came back with less. */
const toldMs = 3_600_000;

/** The lock of one group; `mayInitiate` says why nothing may be begun, or null. */
export const createBootLock = (tools: GroupTools, mayInitiate: () => Refusal | null): GroupPart => {
  const { definition, observer, gate, clock, logger } = tools;
  const { bootLock: mode, policy } = definition.input;
  const group = definition.name;
  const acts = mode === 'enforce' && tools.manages;
  const guard = createReplicaGuard(tools);
  const doors = createDoors(tools, defaultLockUsers);
  const request = createFailoverRequest({ ...tools, sentinels: () => tools.sentinels() });
  let alarm: Alarm | null = null;
  let before: Before | null = null;
  /** The process that died while it was primary. */
  let dead: { readonly at: NodeObservation; readonly runId: string | null; readonly atMs: number } | null = null;
  let waitingSinceMs: number | null = null;
  let locked: { readonly at: NodeObservation; readonly detail: string } | null = null;
  let told: { readonly detail: string; readonly atMs: number } | null = null;
  let examining = false;
  let learntAtMs = -Infinity;
  let pausedAtMs = -Infinity;

  const factsOf = async (node: NodeObservation): Promise<BootFacts | null> => {
    const text = await observer
      .nodeAt(node)
      ?.info()
      .catch(() => undefined);
    if (text === undefined) return null;
    return { name: node.name, host: node.host, port: node.port, info: parseInfo(text), keys: countKeys(text) };
  };
  const singly = (work: () => Promise<void>): void => {
    if (examining) return;
    examining = true;
    void work()
      .catch((error: unknown) => logger.debug({ group, err: error }, 'redis.boot_lock_unanswered'))
      .finally(() => {
        examining = false;
      });
  };

  const followersOf = (primary: NodeObservation): readonly NodeObservation[] =>
    observer.observe().nodes.filter((node) => node.info?.role === 'replica' && sameAddress(node.info.follows, primary));

  const died = (primary: NodeObservation): void => {
    if (gate.isHeld(primary)) return;
    guard.hold(followersOf(primary));
    dead = { at: primary, runId: primary.info?.runId ?? null, atMs: clock.monotonicMs() };
    tools.wake();
  };

  const stand = (named: NodeObservation | undefined): void => {
    if (!acts || named?.info?.role !== 'primary' || sameAddress(alarm?.at ?? null, named)) return;
    alarm?.close();
    const at = { host: named.host, port: named.port };
    alarm = createAlarm(at, clock, () => {
      const primary = observer.observe().nodes.find((node) => sameAddress(node, at));
      if (primary !== undefined) died(primary);
    });
  };

  const letIn = (named: NodeObservation, held: readonly NodeObservation[]): void => {
    guard.release(held);
    if (acts && doors.isLocked(named) === true) doors.open(named);
    dead = null;
    locked = null;
    waitingSinceMs = null;
  };

  const keepOut = (named: NodeObservation, verdict: PrimaryVerdict, detail: string): void => {
    if (locked?.detail !== detail) logger.warn({ group, node: named.name, detail }, 'redis.boot_locked');
    locked = { at: named, detail };
    if (clock.monotonicMs() - pausedAtMs >= repauseMs) {
      pausedAtMs = clock.monotonicMs();
      // What is written to it now would be lost with it.
      void observer
        .nodeAt(named)
        ?.call('CLIENT', 'PAUSE', pauseMs, 'WRITE')
        .catch(() => undefined);
    }
    request.ask(named, verdict, mayInitiate()?.detail ?? null);
  };

  /** Compares the named primary with the others, and lets it in or keeps it out. */
  const examine = (named: NodeObservation, look: GroupLook, held: readonly NodeObservation[]): void =>
    singly(async () => {
      const { observation, verdict, nowMs } = look;
      waitingSinceMs ??= nowMs;
      const others = observation.nodes.filter((node) => !sameAddress(node, named));
      const [mine, theirs] = await Promise.all([factsOf(named), Promise.all(others.map(factsOf))]);
      if (mine === null) return;
      const seen = theirs.flatMap((facts) => facts ?? []);
      const judged = judgeBoot(mine, seen);
      if (!judged.trusted) return keepOut(named, verdict, judged.detail);
      const patient = policy === 'consistency' || nowMs - waitingSinceMs < absentPatienceMs;
      if (seen.length < others.length && held.length === 0 && patient) return;
      logger.info({ group, node: named.name, detail: judged.detail }, 'redis.boot_trusted');
      letIn(named, held);
    });

  /** Remembers the primary while all is well, and says when it came back with less. */
  const learn = (named: NodeObservation): void => {
    const runId = named.info?.runId ?? null;
    const isRestarted = before !== null && sameAddress(before, named) && before.runId !== runId;
    if (!isRestarted && clock.monotonicMs() - learntAtMs < learnEveryMs) return;
    learntAtMs = clock.monotonicMs();
    void factsOf(named).then((facts) => {
      if (facts === null) return;
      const was = before;
      before = { ...facts, runId };
      if (!isRestarted || was === null) return;
      const verdict: BootVerdict = judgeBoot(facts, [{ ...was, name: `${was.name} before its restart` }]);
      if (!verdict.trusted) {
        told = { detail: verdict.detail, atMs: clock.monotonicMs() };
        logger.error({ group, node: named.name, detail: verdict.detail }, 'redis.primary_restarted_behind');
      }
    });
  };

  const enforce = (look: GroupLook, named: NodeObservation | undefined): void => {
    const { observation, verdict, follower, nowMs } = look;
    const seen = observation.nodes.filter((node) => isSeen(node, nowMs, defaultLimits.staleAfterMs));
    guard.learn(seen);
    doors.learn(seen);
    const held = seen.filter((node) => guard.isHeld(node));
    for (const node of seen) {
      const isJoined = node.info?.role === 'replica' && node.info.link === 'up';
      if (isJoined && doors.isLocked(node) === true) doors.open(node);
    }
    const promoted = seen.find(
      (node) => node.info?.role === 'primary' && sameAddress(node, follower.attempt?.selected ?? null),
    );
    // A replica that still follows the dead one would go back to it: it is let go when it has been told whom to follow.
    const free = held.filter(
      (node) => node.info?.role === 'primary' || dead === null || !sameAddress(node.info?.follows ?? null, dead.at),
    );
    if (promoted !== undefined) return guard.release(free);
    if (named === undefined || verdict.by !== 'sentinels') return;
    // What it said before it died says nothing about now.
    const isFresh = (named.answeredAtMs ?? -Infinity) > (dead?.atMs ?? -Infinity) + answerMs;
    if (dead !== null && sameAddress(dead.at, named) && !isFresh) return;
    const isShut = doors.isLocked(named) === true;
    const isBack = dead !== null && sameAddress(dead.at, named) && dead.runId !== (named.info?.runId ?? null);
    const isYoung = (named.info?.uptimeSeconds ?? Infinity) < youngSeconds;
    const isStrange = dead === null && locked === null && held.length > 0 && isYoung;
    const isStillLocked = locked !== null && sameAddress(locked.at, named);
    if (isShut || isBack || isStrange || isStillLocked) return examine(named, look, held);
    const isGone = dead !== null && !sameAddress(dead.at, named);
    if (!isGone) return letIn(named, held);
    guard.release(free);
    if (free.length === held.length) letIn(named, held);
    else locked = null;
  };

  return {
    name: 'boot-lock',
    look(look) {
      const { observation, verdict, nowMs } = look;
      if (mode === 'off' || observation.kind !== 'sentinel') return;
      const node = observation.nodes.find((one) => sameAddress(one, verdict.named));
      const serves =
        node !== undefined && isSeen(node, nowMs, defaultLimits.staleAfterMs) && node.info?.role === 'primary';
      const named = serves && node.info !== null && !node.info.loading ? node : undefined;
      if (named !== undefined) learn(named);
      stand(named);
      if (acts) enforce(look, named);
    },
    findings(): Findings {
      const nowMs = clock.monotonicMs();
      if (locked !== null) {
        const { at, detail } = locked;
        const asked = request.outcome();
        const why = asked === '' ? 'Sentinel was asked to fail over' : `a failover was not begun: ${asked}`;
        const next = asked === '' ? 'wait for the failover' : `mend that, or SENTINEL FAILOVER ${group}`;
        const reason = `it was restarted and is locked: ${detail}`;
        return {
          problems: [
            { code: 'primary_locked', detail: `${at.name} is locked: ${detail}; ${why}`, next, advice: false },
          ],
          nodes: [{ host: at.host, port: at.port, state: 'locked', eligible: false, reason }],
        };
      }
      if (told === null || nowMs - told.atMs > toldMs || acts) return noFindings;
      const detail = `the primary was restarted with less than it had: ${told.detail}; its replicas copied it`;
      const next = `restore a backup (POST /v1/rollbacks); bootLock "enforce" keeps this from happening`;
      return { problems: [{ code: 'primary_restarted_behind', detail, next, advice: false }], nodes: [] };
    },
    async stop() {
      alarm?.close();
      // Nobody stands guard from here on: a replica that cannot follow its primary would be worse.
      if (acts && locked === null) guard.release(observer.observe().nodes);
      await guard.settled();
    },
  };
};
