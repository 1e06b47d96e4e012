// What has to be looked at before a node is rebuilt, added or removed, and what follows from it? A list for people, and the one refusal.
import { refuse, type ErrorCode, type RedisGroupView, type Refusal } from '@switchyard/protocol';
import { sameAddress, type Address } from './address.ts';
import type { GroupObservation, NodeObservation } from './observation.ts';

/** One thing that was looked at. */
export interface PlanCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** What helps; of a check that is not ok. */
  readonly next?: string;
  /** Of a check that is not ok: the operator may say that it does not matter. */
  readonly confirmable?: boolean;
  /** `refused_for_safety` unless given. */
  readonly code?: ErrorCode;
}

/** The group as it is now. */
export interface PlanGroup {
  readonly observation: GroupObservation;
  readonly view: RedisGroupView;
  /** A failover or switchover is followed. */
  readonly underWay: boolean;
  /** Why requested work has to wait: somebody is at work by hand. */
  readonly byHand: string | null;
  /** Keys of the health problems that are there: `fork_headroom r1`. */
  readonly pressed: ReadonlySet<string>;
}

/**
 * Whom a replica follows that is being removed: a port that nobody listens on. It takes no writes, copies nothing, is never promoted,
 * and every manager and every Sentinel can see what it is.
 */
export const nowhere: Address = Object.freeze({ host: '127.0.0.1', port: 1 });

/** Whether this node was told to leave its group. */
export const isLeaving = (node: Pick<NodeObservation, 'info'>): boolean =>
  sameAddress(node.info?.follows ?? null, nowhere);

/** The check in one line. */
export const check = (name: string, ok: boolean, detail: string, more: Partial<PlanCheck> = {}): PlanCheck => ({
  name,
  ok,
  detail,
  ...(ok ? {} : more),
});

/** Why nothing may be begun; null when it may. `confirmed`: the operator has said that what is confirmable does not matter. */
export const planRefusal = (checks: readonly PlanCheck[], confirmed: boolean): Refusal | null => {
  const hard = checks.filter(({ ok, confirmable }) => !ok && confirmable !== true);
  const soft = checks.filter(({ ok, confirmable }) => !ok && confirmable === true);
  const [first] = [...hard, ...(confirmed ? [] : soft)];
  if (first === undefined) return null;
  const why = [...hard, ...(confirmed ? [] : soft)].map(({ detail }) => detail);
  const { error } = refuse(first.code ?? 'refused_for_safety', first.detail, {
    why,
    next:
      hard.length === 0
        ? `${first.next ?? 'read why'}; or confirm it: see the checks of a dry run`
        : (first.next ?? 'read why'),
  });
  return error;
};

/** Checks that hold for all of it: a primary that serves, nothing else going on. `except` is the node that it is about. */
export const calmChecks = (
  { view, underWay, byHand, observation }: PlanGroup,
  except: Address | null,
): readonly PlanCheck[] => {
  const copying = view.nodes.filter(
    (node) => !sameAddress(node, except) && ['loading', 'syncing', 'rebuilding'].includes(node.state),
  );
  const busy = observation.sentinels.filter(({ view: seen }) => seen?.flags.includes('failover_in_progress') === true);
  return [
    check(
      'the primary serves',
      view.primary !== null,
      view.primary === null ? 'there is no primary' : `${view.primary.name} serves`,
      {
        code: 'no_primary',
        next: 'wait for the failover that is under way, or start the nodes that are unreachable',
      },
    ),
    check(
      'no failover is under way',
      !underWay && busy.length === 0,
      underWay || busy.length > 0 ? 'a failover or switchover is under way' : 'none is',
      { code: 'conflict', next: 'wait for its end: GET .../history' },
    ),
    check('nobody is at work by hand', byHand === null, byHand ?? 'nobody is', {
      code: 'conflict',
      next: 'wait until the maintenance is over, or end it: DELETE .../maintenance',
    }),
    check(
      'nobody else is copying',
      copying.length === 0,
      copying.length === 0 ? 'nobody is' : copying.map(({ name, state }) => `${name} is ${state}`).join(', '),
      { code: 'conflict', next: 'wait: two copies at once cost the primary twice the memory' },
    ),
  ];
};

/** Whether writes would go on with so many replicas that are in step. */
export const minReplicasCheck = ({ observation, view }: PlanGroup, without: Address | null): PlanCheck => {
  const primary = observation.nodes.find((node) => sameAddress(node, view.primary));
  const wanted = Number(primary?.config?.['min-replicas-to-write'] ?? 0);
  const left = view.nodes.filter(
    (node) => node.role === 'replica' && node.link === 'up' && !sameAddress(node, without),
  ).length;
  return check(
    'writes go on meanwhile',
    left >= wanted,
    wanted === 0
      ? 'min-replicas-to-write is 0'
      : `min-replicas-to-write is ${String(wanted)}, ${String(left)} others are in step`,
    { confirmable: true, next: 'add a replica first, or lower min-replicas-to-write on the primary' },
  );
};
