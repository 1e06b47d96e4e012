// May this server become a replica of the group, may that one leave it? Decided from what each says about itself.
import type { RedisNodeView } from '@switchyard/protocol';
import { addressKey, sameAddress, type Address, type Endpoint } from './address.ts';
import type { NodeSettings, NodeVitals } from './health-policy-facts.ts';
import { settingNumber } from './health-policy-facts.ts';
import { sizeText } from './health-policy-input.ts';
import type { NodeInfo } from './info-parser.ts';
import { endpointOf, type Failure } from './observation.ts';
import { calmChecks, check, minReplicasCheck, nowhere, type PlanCheck, type PlanGroup } from './rebuild-checks.ts';
import { childrenOf } from './rebuild-plan.ts';
import { olderRelease } from './replica-plan-version.ts';

/** A server that is to become a replica, as it says itself. */
export interface AddCandidate {
  readonly at: Endpoint;
  readonly failure: Failure | null;
  readonly info: NodeInfo | null;
  readonly vitals: NodeVitals | null;
  readonly settings: NodeSettings | null;
  /** Of other groups, too, that listen to its greetings; null when it does not say. */
  readonly sentinels: number | null;
  /** Whether it asks for the password that the group has; null when that cannot be read. */
  readonly samePassword: boolean | null;
}

/** What would be done, and whether it may. */
export interface AddPlan {
  readonly node: Endpoint;
  readonly source: Endpoint | null;
  /** It follows another replica, not the primary. */
  readonly cascading: boolean;
  readonly checks: readonly PlanCheck[];
}

/** A copy needs more than the data itself: buffers, and what is written meanwhile. */
const memoryReserve = 1.3;

/** Plans to add `candidate` as a replica of `of`, the primary unless given. */
export const addPlan = (candidate: AddCandidate, group: PlanGroup, of: RedisNodeView | null): AddPlan => {
  const { view, observation } = group;
  const source: Endpoint | null = of === null ? view.primary : endpointOf(observation.nodes, of);
  const cascading = source !== null && !sameAddress(source, view.primary);
  const plan = { node: candidate.at, source, cascading };
  const member = memberCheck(candidate, group);
  if (candidate.failure !== null || candidate.info === null || !member.ok) {
    return { ...plan, checks: [member, reachCheck(candidate)] };
  }
  return {
    ...plan,
    checks: [
      member,
      reachCheck(candidate),
      ...calmChecks(group, candidate.at),
      ...strangerChecks(candidate, candidate.info),
      ...sourceChecks(candidate, { group, of, source }),
    ],
  };
};

const memberCheck = ({ at, info }: AddCandidate, { observation, view }: PlanGroup): PlanCheck => {
  const runId = info?.runId ?? null;
  const same = runId === null ? undefined : observation.nodes.find((one) => one.info?.runId === runId);
  const listed = view.nodes.find((one) => sameAddress(one, at) && one.role !== 'unknown');
  const known = listed ?? (same !== undefined && !sameAddress(same.info?.follows ?? null, nowhere) ? same : undefined);
  return check(
    'it is no member yet',
    known === undefined || sameAddress(info?.follows ?? null, nowhere),
    known === undefined ? 'it is not' : `${addressKey(at)} is ${known.name} of this group already`,
    { code: 'conflict', next: 'POST .../nodes/{node}/rebuild lets a member copy everything anew' },
  );
};

const reachCheck = ({ at, failure }: AddCandidate): PlanCheck =>
  check(
    'it can be reached',
    failure === null,
    failure === null ? 'it answers' : `${addressKey(at)}: ${failure.detail}`,
    {
      code: 'conflict',
      next:
        failure?.kind === 'refused'
          ? 'it must take the user and password of the group: set requirepass and masterauth on it'
          : 'start redis-server there, and check address, bind and firewall',
    },
  );

/** That it is a server of its own, whose data nobody needs. */
const strangerChecks = ({ at, vitals, sentinels, settings }: AddCandidate, info: NodeInfo): readonly PlanCheck[] => {
  const keys = vitals?.keys ?? null;
  const left = sameAddress(info.follows, nowhere);
  const follows = info.role === 'replica' && !left;
  const mode = info.mode ?? 'standalone';
  return [
    check('it is a plain server', mode === 'standalone', `it runs as ${mode}`, {
      next: 'a node of a Redis Cluster or a Sentinel cannot be a replica of this group',
    }),
    check('it is not loading', !info.loading, info.loading ? 'it is loading its data' : 'it is not', {
      code: 'conflict',
      next: 'wait until it has finished',
    }),
    check(
      'it belongs to no other group',
      !follows && info.replicas.length === 0,
      follows
        ? `it is a replica of ${info.follows === null ? 'another server' : addressKey(info.follows)}`
        : info.replicas.length > 0
          ? `it is the primary of ${info.replicas.map(addressKey).join(', ')}`
          : 'it follows nobody and nobody follows it',
      { next: 'remove it from that group first: DELETE .../nodes/{node} there, or REPLICAOF NO ONE on it' },
    ),
    check(
      'no Sentinel watches it',
      left || (sentinels ?? 0) === 0,
      (sentinels ?? 0) === 0 ? 'none listens on it' : `${String(sentinels)} Sentinels watch it for another group`,
      { next: 'SENTINEL REMOVE <group> on those, or SENTINEL RESET when they only remember it' },
    ),
    check('its data may go', (keys ?? 0) === 0, `it has ${String(keys ?? 'an unknown number of')} keys`, {
      confirmable: true,
      next: `what it has will be thrown away: confirm it with "confirm": "${addressKey(at)}"`,
    }),
    check(
      'it takes no writes as a replica',
      settings?.['replica-read-only'] !== 'no',
      settings?.['replica-read-only'] === 'no'
        ? 'replica-read-only is no: whoever writes to it makes it differ'
        : 'replica-read-only is yes',
      { next: 'CONFIG SET replica-read-only yes on it' },
    ),
  ];
};

const sourceChecks = (
  { info, vitals, samePassword, settings }: AddCandidate,
  {
    group,
    of,
    source,
  }: { readonly group: PlanGroup; readonly of: RedisNodeView | null; readonly source: Endpoint | null },
): readonly PlanCheck[] => {
  const sourceNode = group.observation.nodes.find((one) => sameAddress(one, source));
  const used = sourceNode?.vitals?.usedMemoryBytes ?? 0;
  const system = vitals?.systemMemoryBytes ?? null;
  const most = settingNumber(settings, 'maxmemory') ?? 0;
  const older = olderRelease(info?.version ?? null, sourceNode?.info?.version ?? null);
  const fits = system === null || system > used * memoryReserve;
  const holds = most === 0 || most > used;
  const chain = leadsToPrimary(source, group);
  return [
    check(
      'its source serves',
      of === null || of.state === 'ok',
      of === null ? 'it is the primary' : `${of.name} is ${of.state}`,
      {
        code: 'conflict',
        next: 'choose another node in "of", or mend that one first',
      },
    ),
    check(
      'its source leads to the primary',
      chain,
      chain ? 'it does' : 'its source follows nobody of this group, or a ring',
      {
        code: 'conflict',
        next: 'choose another node in "of"',
      },
    ),
    check(
      'it can read the snapshot',
      !older,
      `it runs ${info?.version ?? 'an unknown version'}, its source ${sourceNode?.info?.version ?? 'an unknown one'}`,
      { next: 'a server cannot load the snapshot of a newer one: upgrade it first' },
    ),
    check(
      'it asks for the same password',
      samePassword !== false,
      samePassword === false ? 'it does not' : 'it does, or none is set',
      {
        next: 'CONFIG SET requirepass <the password of the group> on it, so that it is as closed as the others',
      },
    ),
    check(
      'it has memory for the data',
      fits && holds,
      `${sizeText(used)} are to be copied; its machine has ${system === null ? 'an unknown amount' : sizeText(system)}, maxmemory is ${most === 0 ? 'not set' : sizeText(most)}`,
      {
        confirmable: true,
        next: 'choose a larger machine, or raise its maxmemory',
      },
    ),
  ];
};

/** Whether a chain of replicas ends at the primary; a ring does not. */
export const leadsToPrimary = (from: Address | null, { observation, view }: PlanGroup): boolean => {
  let at = from;
  for (let steps = 0; steps <= observation.nodes.length; steps += 1) {
    if (at === null) return false;
    if (sameAddress(at, view.primary)) return true;
    const node = observation.nodes.find((one) => sameAddress(one, at));
    at = node?.info?.follows ?? null;
  }
  return false;
};

/** What would be removed, and whether it may. */
export interface RemovePlan {
  readonly node: Endpoint;
  readonly reachable: boolean;
  readonly checks: readonly PlanCheck[];
}

/** Plans to remove a node of the group. */
export const removePlan = (node: RedisNodeView, group: PlanGroup): RemovePlan => {
  const { view, observation } = group;
  const children = childrenOf(node, group);
  const others = view.nodes.filter((one) => one.role === 'replica' && one.name !== node.name && one.link === 'up');
  const sentinels = observation.sentinels.length;
  const { reachable, agreeing } = view.quorum;
  const named = sameAddress(node, view.primary) || node.role === 'primary';
  return {
    node: endpointOf(observation.nodes, node),
    reachable: node.state !== 'unreachable',
    checks: [
      check(
        'it is no primary',
        !named,
        named ? `${node.name} is primary` : `${node.name} is ${node.role === 'replica' ? 'a replica' : 'not there'}`,
        {
          code: 'conflict',
          next: 'make another node primary first: POST /v1/redis/groups/{group}/switchover',
        },
      ),
      ...calmChecks(group, node),
      check(
        'all Sentinels are of one mind',
        agreeing === sentinels,
        `${String(agreeing)} of ${String(sentinels)} are reachable, not tilted and agree (${String(reachable)} reachable)`,
        {
          code: 'conflict',
          next: 'start or wait for the others: one that is not told keeps a ghost, and would take the node back',
        },
      ),
      check(
        'nobody copies from it',
        children.length === 0,
        children.length === 0 ? 'nobody does' : `${children.map(({ name }) => name).join(', ')} would be cut off`,
        { code: 'conflict', next: 'remove those first, or let them follow the primary: REPLICAOF on each' },
      ),
      check(
        'another replica is left',
        others.length > 0,
        others.length > 0
          ? `${others.map(({ name }) => name).join(', ')} stay`
          : `${node.name} is the last replica: without it a death of the primary costs the data`,
        { confirmable: true, next: 'add a replica first' },
      ),
      minReplicasCheck(group, node),
    ],
  };
};
