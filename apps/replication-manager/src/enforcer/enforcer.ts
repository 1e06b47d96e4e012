// Who sees to it that the group is as the Sentinels' majority decided? Former primaries are fenced at first sight, replicas that
// follow nobody are repointed. What may be done is decided in libs/replication, here it is carried out.
import {
  addressKey,
  defaultLimits,
  enforcementState,
  fenceOf,
  primaryVerdict,
  sameAddress,
  stepEnforcement,
  type Address,
  type EnforcementAction,
  type EnforcementInput,
  type Findings,
  type GroupProblem,
  type NodeObservation,
} from '@switchyard/replication';
import type { RedisDivergence, RedisSalvage } from '@switchyard/protocol';
import type { RedisNodeAdmin } from '@switchyard/redis';
import { createAmendments } from './enforcer-amendments.ts';
import { demote, fence, type Fenced, type TakeSalvage } from './enforcer-fence.ts';
import { createSentry, type Sentry } from './enforcer-sentry.ts';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';

/** What the enforcer works with. */
export interface EnforcerOptions {
  readonly tools: GroupTools;
  readonly takeSalvage: TakeSalvage;
  readonly salvageMs: number;
  /** Finds out which keys differ; never rejects. */
  readonly examine: (salvage: RedisSalvage, divergence: RedisDivergence) => Promise<RedisDivergence>;
}

/** After a failure, so that a node that refuses is not asked all the time. */
const retryMs = 1_000;
/** For one command to the node. */
const commandMs = 2_000;
const mostSentries = 16;

interface Work {
  readonly type: EnforcementAction['type'];
  state: 'under-way' | 'done' | 'failed';
  detail: string;
  sinceMs: number;
}

/** The enforcer of a group; without `manages` it does nothing, ever. */
export const createEnforcer = ({ tools, takeSalvage, salvageMs, examine }: EnforcerOptions): GroupPart => {
  const { definition, observer, gate, clock, logger, metrics } = tools;
  const group = definition.name;
  const amendments = createAmendments(tools.history, clock);
  const fenced = metrics.counter('redis_fenced_total', 'Former primaries that were made replicas', ['group']);
  let state = enforcementState;
  let lastLook: Pick<GroupLook, 'follower'> | null = null;
  let problems: readonly GroupProblem[] = [];
  const work = new Map<string, Work>();
  const sentries = new Map<string, Sentry>();
  let closed = false;

  /** Everything as it is now; `node` in place of what the observer knows of it. */
  const inputNow = (node?: NodeObservation): EnforcementInput => {
    const seen = observer.observe();
    const nodes = seen.nodes.map((one) => (node !== undefined && sameAddress(one, node) ? node : one));
    const observation = { ...seen, nodes };
    const nowMs = clock.monotonicMs();
    const attempt = lastLook?.follower.attempt ?? null;
    const verdict = primaryVerdict(observation, nowMs, defaultLimits);
    // Its leader is at work on the primary that the majority names: the answer will be another one.
    const isLeaving = observation.sentinels.some(
      ({ view }) => sameAddress(view?.primary ?? null, verdict.named) && view?.flags.includes('failover_in_progress'),
    );
    return {
      observation,
      verdict,
      limits: defaultLimits,
      isUnderWay: isLeaving || (attempt !== null && attempt.target === null && attempt.progressAtMs !== null),
      selected: attempt?.target === null ? attempt.selected : null,
      isHeld: (address: Address) => gate.isHeld(address),
      nowMs,
    };
  };
  const confirm = (node: NodeObservation): EnforcementAction | null =>
    closed ? null : fenceOf(state, inputNow(node), node);

  const isBusy = (key: string): boolean => {
    const one = work.get(key);
    return one?.state === 'under-way' || (one?.state === 'failed' && clock.monotonicMs() - one.sinceMs < retryMs);
  };

  const told = (action: EnforcementAction, outcome: Fenced): void => {
    fenced.inc({ group });
    const { divergence, salvage, unsaved, tookMs } = outcome;
    const detail = unsaved === '' ? divergence.detail : `${divergence.detail}; ${unsaved}`;
    logger.warn(
      { group, node: action.node.name, epoch: action.epoch, because: action.because, ...divergence, unsaved, tookMs },
      'redis.fenced',
    );
    const found = { node: action.node.name, bytes: divergence.bytes, keys: [], truncated: false, detail };
    amendments.add(action, {
      divergence: found,
      ...(salvage === null ? {} : { salvage }),
      notes: [`${action.node.name} was fenced in ${String(tookMs)} ms: ${action.because}`],
    });
    if (salvage === null) return;
    void examine(salvage, found).then((examined) => amendments.add(action, { divergence: examined }));
  };

  const carryOut = async (action: EnforcementAction, admin: RedisNodeAdmin, node: NodeObservation): Promise<void> => {
    const key = addressKey(node);
    const mine: Work = { type: action.type, state: 'under-way', detail: action.because, sinceMs: clock.monotonicMs() };
    work.set(key, mine);
    try {
      if (action.type === 'fence') {
        const outcome = await fence({ tools, admin, node, confirm, takeSalvage, salvageMs });
        if (outcome === null) {
          work.delete(key);
          return;
        }
        told(action, outcome);
      } else {
        await demote(admin, action);
        const { primary, because } = action;
        logger.warn({ group, node: node.name, primary: primary.name, because }, 'redis.repointed');
      }
      mine.state = 'done';
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // Killed, frozen or cut off again: the next look decides anew.
      logger.warn({ group, node: node.name, action: action.type, reason }, 'redis.enforcing_failed');
      mine.state = 'failed';
      mine.detail = reason;
    }
    mine.sinceMs = clock.monotonicMs();
    tools.wake();
  };

  const begin = async (action: EnforcementAction, over?: RedisNodeAdmin): Promise<void> => {
    const node = observer.observe().nodes.find((one) => sameAddress(one, action.node));
    if (node === undefined || isBusy(addressKey(node))) return;
    const admin = over ?? tools.connect(action.node, { deadlineMs: commandMs, name: 'switchyard-enforcer' });
    try {
      await carryOut(action, admin, node);
    } finally {
      if (over === undefined) admin.close();
    }
  };

  const stand = (awaited: readonly { readonly name: string; readonly host: string; readonly port: number }[]): void => {
    const wanted = new Map(awaited.slice(0, mostSentries).map((at) => [addressKey(at), at]));
    for (const [key, sentry] of sentries) {
      // One that is just at work with its connection ends by itself with the next look.
      if (wanted.has(key) || work.get(key)?.state === 'under-way') continue;
      sentry.close();
      sentries.delete(key);
    }
    for (const [key, at] of wanted) {
      if (sentries.has(key)) continue;
      const answered = async (node: NodeObservation, admin: RedisNodeAdmin): Promise<void> => {
        const action = confirm(node);
        if (action !== null) await begin(action, admin);
        tools.wake();
      };
      sentries.set(key, createSentry(tools, at, answered));
    }
  };

  const forget = ({ observation }: GroupLook, input: EnforcementInput): void => {
    for (const [key, one] of work) {
      const node = observation.nodes.find((other) => addressKey(other) === key);
      const joined = node?.info?.role === 'replica' && node.info.link === 'up' && node.failure === null;
      const isOver = node === undefined || sameAddress(node, input.verdict.named) || (joined && one.state === 'done');
      if (isOver && one.state !== 'under-way') work.delete(key);
    }
  };

  return {
    name: 'enforcer',
    look(look) {
      lastLook = look;
      const input = inputNow();
      const step = stepEnforcement(state, input);
      state = step.state;
      problems = step.problems;
      if (!tools.manages || closed) return;
      forget(look, input);
      amendments.settle();
      stand(step.awaited);
      for (const action of step.actions) void begin(action);
    },
    findings: (): Findings => ({
      problems: tools.manages ? problems : [],
      nodes: [...work].flatMap(([key, { type, state: how, detail }]) => {
        const node = observer.observe().nodes.find((one) => addressKey(one) === key);
        if (node === undefined || type !== 'fence') return [];
        const { name, host, port } = node;
        const reason =
          how === 'failed'
            ? `${name} calls itself primary, and making it a replica failed: ${detail}`
            : `it is made a replica: ${detail}`;
        return [{ host, port, eligible: false, reason, ...(how === 'failed' ? {} : { state: 'fenced' as const }) }];
      }),
    }),
    stop() {
      closed = true;
      for (const sentry of sentries.values()) sentry.close();
      return Promise.resolve();
    },
  };
};
