// The switchover's steps up to the promotion. Each checks again what the plan was made on; any overrun is taken back.
import { addressKey, sameAddress, type Endpoint } from './address.ts';
import { beginForward, beginUndo, leaveToSentinel } from './switchover-course.ts';
import type { SwitchoverPlan, SwitchoverSentinel, SwitchoverStep } from './switchover-plan.ts';
import {
  actingOf,
  ask,
  goTo,
  hasMovedOn,
  isAnswered,
  isOver,
  nodeOf,
  noted,
  risenOf,
  toNode,
  toSentinel,
  wait,
} from './switchover-turn.ts';
import type { Turn } from './switchover-turn.ts';

/** What speaks against the next step: nothing, or it cannot be told yet, or it has to be taken back. */
type Guard = { readonly say: 'go' } | { readonly say: 'wait' | 'undo' | 'superseded'; readonly reason: string };

/** Compare before acting: epoch, roles, lineage, and nobody else at it. */
const guard = ({ state, look }: Turn): Guard => {
  const { plan } = state;
  const from = nodeOf(look, plan.from);
  const to = nodeOf(look, plan.to);
  if (hasMovedOn(state, look)) return { say: 'superseded', reason: 'the Sentinels name another primary' };
  if (from.reachable && from.role === 'replica') {
    // It hands over by itself: the target says so in a moment.
    const say = state.promotionAsked ? 'wait' : 'superseded';
    return { say, reason: `${from.name} is no primary any more` };
  }
  if (from.reachable && from.lineage !== plan.lineage)
    return { say: 'undo', reason: `${from.name} has begun another lineage` };
  if (to.reachable && to.role === 'primary' && !state.promotionAsked) {
    return { say: 'superseded', reason: `${to.name} became primary without us` };
  }
  if (to.reachable && to.role === 'replica' && !sameAddress(to.follows, plan.from)) {
    return { say: 'undo', reason: `${to.name} does not follow ${plan.from.name} any more` };
  }
  if (!from.reachable) return { say: 'wait', reason: `${from.name} does not answer` };
  if (to.reachable && to.link === 'down' && !state.promotionAsked)
    return { say: 'wait', reason: `the link of ${to.name} is down` };
  if (!to.reachable) return { say: 'wait', reason: `${to.name} does not answer` };
  return plan.acting === null ? { say: 'go' } : sentinelGuard({ state, look, nowMs: 0 });
};

const sentinelGuard = ({ state, look }: Turn): Guard => {
  const { plan } = state;
  const acting = actingOf(state, look);
  if (acting === null) return { say: 'wait', reason: `Sentinel ${plan.acting?.name ?? ''} does not answer` };
  if (acting.inProgress && !state.promotionAsked)
    return { say: 'superseded', reason: 'a Sentinel fails over by itself' };
  if (look.named === null) return { say: 'wait', reason: 'no majority of the Sentinels names a primary' };
  if (look.epoch !== plan.epoch)
    return { say: 'undo', reason: `the epoch is ${String(look.epoch)}, not ${String(plan.epoch)}` };
  return { say: 'go' };
};

/** Goes on when the guard lets it; gives up when it does not, or when the step has taken too long. */
const guarded = (turn: Turn, limitMs: number, then: () => SwitchoverStep): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const found = guard(turn);
  if (found.say === 'superseded') return leaveToSentinel(state, found.reason, nowMs);
  if (found.say === 'undo') return beginUndo(state, found.reason, nowMs);
  if (isOver(turn, limitMs)) {
    const { waitsFor, plan } = state;
    const reason =
      found.say === 'wait' ? found.reason : `${overrunOf(turn)} within ${String(limitMs)} ms (${waitsFor})`;
    // A primary that died during the pause is Sentinel's business.
    return !nodeOf(look, plan.from).reachable && !state.promotionAsked
      ? leaveToSentinel(state, reason, nowMs)
      : beginUndo(state, reason, nowMs);
  }
  return found.say === 'wait' ? wait(state) : then();
};

const overrunOf = ({ state, look }: Turn): string => {
  const { plan, barrier } = state;
  if (state.waitsFor === 'target-preferred')
    return `Sentinel ${plan.acting?.name ?? ''} did not prefer ${plan.to.name}`;
  if (state.waitsFor === 'replicas-level' && barrier !== null) {
    const behind = behindOf({ state, look, nowMs: 0 });
    return `${behind ?? 'a replica'} did not reach offset ${String(barrier)}`;
  }
  return state.waitsFor === 'promoted' ? `${plan.to.name} was not promoted` : `${plan.from.name} did not confirm`;
};

/** The first replica that has not every byte. A replica that is away or cut off cannot be waited for. */
const behindOf = ({ state, look }: Turn): string | null => {
  const { plan, barrier } = state;
  if (barrier === null) return plan.to.name;
  const lags = (at: typeof plan.to): boolean => (nodeOf(look, at).offset ?? -1) < barrier;
  if (lags(plan.to)) return plan.to.name;
  const other = plan.others.find((at) => {
    const node = nodeOf(look, at);
    return node.reachable && node.link === 'up' && sameAddress(node.follows, plan.from) && lags(at);
  });
  return other?.name ?? null;
};

/** Waits until the acting Sentinel would choose the target, and the old primary sends no pings of its own. */
export const targetPreferred = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  return guarded(turn, plan.limits.preferMs, () => {
    const { acting } = plan;
    const quiet = plan.saved.some(({ name }) => name === pingPeriod)
      ? [toNode(plan.from, 'quiet', 'CONFIG', 'SET', pingPeriod, 3_600)]
      : [];
    const hurry = plan.hurried.map((at) =>
      toSentinel(at, `hurry ${addressKey(at)}`, 'SENTINEL', 'DEBUG', 'INFO-PERIOD', 200),
    );
    const prefer = plan.prefer ? [toNode(plan.to, 'prefer', 'CONFIG', 'SET', 'replica-priority', 1)] : [];
    const commands = [...quiet, ...hurry, ...prefer];
    // The other Sentinels are waited for only a moment: they are needed only should the acting one die.
    const isPatient = !isOver(turn, othersPatienceMs);
    const isReady = commands.every(({ key, at }) => isAnswered(state, key) || (!isPatient && !isActing(plan, at)));
    const picks = (one: SwitchoverSentinel): boolean => sameAddress(one.picks, plan.to);
    const hurriedPick = look.sentinels.every((one) => picks(one) || !one.reachable || !hurriedAt(plan, one));
    const acts = actingOf(state, look);
    const isChosen = acting === null || (acts !== null && picks(acts) && (hurriedPick || !isPatient));
    if (isReady && isChosen) return wait(goTo(state, plan.way === 'sentinel' ? 'writes-paused' : 'promoted', nowMs));
    return ask(turn, ...commands);
  });
};

const othersPatienceMs = 1_000;
const isActing = (plan: SwitchoverPlan, at: Endpoint): boolean =>
  sameAddress(at, plan.acting) || sameAddress(at, plan.to) || sameAddress(at, plan.from);
const hurriedAt = (plan: SwitchoverPlan, at: Endpoint): boolean => plan.hurried.some((one) => sameAddress(one, at));

/** A replica ends exactly where the target ended only while the old primary adds nothing of its own. */
export const pingPeriod = 'repl-ping-replica-period';

/** Waits for the pause of all writers; it ends by itself, whatever becomes of us. */
export const writesPaused = (turn: Turn): SwitchoverStep => {
  const { state, nowMs } = turn;
  const { limits, from } = state.plan;
  return guarded(turn, limits.pausedMs, () => {
    if (isAnswered(state, 'pause')) return wait(goTo(state, 'replicas-level', nowMs));
    const asked = ask(turn, toNode(from, 'pause', 'CLIENT', 'PAUSE', limits.pauseMs, 'WRITE'));
    return asked.commands.length === 0 ? asked : { ...asked, state: paused(asked.state, nowMs, limits.pauseMs) };
  });
};

const paused = (state: Turn['state'], nowMs: number, limitMs: number): Turn['state'] => ({
  ...state,
  pausedAtMs: state.pausedAtMs ?? nowMs,
  pauseEndsMs: Math.max(state.pauseEndsMs ?? 0, nowMs + state.plan.limits.retryMs + limitMs),
});

/** Waits until the target and every replica in touch have what the paused primary has. */
export const replicasLevel = (turn: Turn): SwitchoverStep => {
  const { look, nowMs } = turn;
  const offset = nodeOf(look, turn.state.plan.from).offset;
  const barrier = offset === null ? turn.state.barrier : Math.max(offset, turn.state.barrier ?? 0);
  const state = { ...turn.state, barrier };
  const now = { ...turn, state };
  return guarded(now, state.plan.limits.levelMs, () =>
    wait(behindOf(now) === null ? goTo(state, 'old-bounded', nowMs) : state),
  );
};

/**
 * Waits until the old primary is paused for the time of the promotion, and would refuse to write once the target has left it:
 * the fence that holds even when nobody is there to close it.
 */
export const oldBounded = (turn: Turn): SwitchoverStep => {
  const { state, nowMs } = turn;
  const { limits, from, bound } = state.plan;
  return guarded(turn, limits.boundMs, () => {
    const commands = [
      toNode(from, 'pause-again', 'CLIENT', 'PAUSE', limits.promotionPauseMs, 'WRITE'),
      ...(bound > 0 ? [toNode(from, 'bound', 'CONFIG', 'SET', 'min-replicas-to-write', bound)] : []),
    ];
    if (commands.every(({ key }) => isAnswered(state, key))) return wait(goTo(state, 'promoted', nowMs));
    const asked = ask(turn, ...commands);
    return asked.commands.length === 0
      ? asked
      : { ...asked, state: paused(asked.state, nowMs, limits.promotionPauseMs) };
  });
};

/** Waits until a node other than the old primary calls itself primary. */
export const promoted = (turn: Turn): SwitchoverStep => {
  const { state, look } = turn;
  const { plan } = state;
  const risen = risenOf(state, look);
  if (risen !== null && state.promotionAsked) return beginForward(turn, risen);
  return guarded(turn, plan.limits.promotedMs, () => {
    // Asked only while the target has every byte; once asked, it is either confirmed or aborted.
    if (!state.promotionAsked && plan.way === 'sentinel' && behindOf(turn) !== null) return wait(state);
    if (actingOf(state, look)?.inProgress === true) return wait(state);
    const asked = ask(turn, promotion(turn));
    return {
      ...asked,
      state: noted({ ...asked.state, promotionAsked: true }, `the promotion of ${plan.to.name} was asked for`),
    };
  });
};

const promotion = ({ state: { plan } }: Turn): ReturnType<typeof toNode> => {
  if (plan.acting === null) {
    return toNode(plan.from, 'failover', 'FAILOVER', 'TO', plan.to.host, plan.to.port, 'TIMEOUT', 1_500);
  }
  const mode = plan.way === 'coordinated' ? ['COORDINATED'] : [];
  return toSentinel(plan.acting, 'failover', 'SENTINEL', 'FAILOVER', plan.group, ...mode);
};
