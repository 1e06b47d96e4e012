// What is seen of a group while it is changed? The primary at each look; its Sentinels and replicas as fresh as the step needs them.
import { primaryVerdict, defaultLimits, parseInfo, parseSentinelView } from '@switchyard/replication';
import type { SentinelObservation } from '@switchyard/replication';
import type { RollbackAddress, RollbackLook, RollbackNode, RollbackPlan } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import type { ScratchReply } from '../restore/materialise.ts';
import { nameOf, type GroupContacts } from './group-contacts.ts';

/** Looks at the group of a plan. */
export interface GroupEyes {
  /** Never rejects: who does not answer is not reachable. `fresh`: everybody is asked now. */
  look(serving: RollbackLook['serving'], fresh: boolean): Promise<RollbackLook>;
}

const staleMs = 150;
const lookDeadlineMs = 800;

/** Eyes for `plan`. */
export function createGroupEyes(options: {
  readonly plan: RollbackPlan;
  readonly contacts: GroupContacts;
  readonly clock: Clock;
}): GroupEyes {
  const { plan, contacts, clock } = options;
  let others: { readonly atMs: number; readonly replicas: readonly RollbackNode[]; readonly verdict: Verdict } | null =
    null;
  let looking: Promise<void> | null = null;

  const lookAtOthers = async (): Promise<void> => {
    const atMs = clock.monotonicMs();
    const [replicas, verdict] = await Promise.all([
      Promise.all(plan.replicas.map((at) => lookAtNode(contacts, at))),
      plan.kind === 'single' ? { named: plan.primary, epoch: null } : verdictOf(contacts, plan.sentinels, plan.group),
    ]);
    others = { atMs, replicas, verdict };
  };

  return {
    look: async (serving, fresh) => {
      const isStale = others === null || clock.monotonicMs() - others.atMs > staleMs;
      if (isStale || fresh) looking ??= lookAtOthers().finally(() => (looking = null));
      // A frozen replica must not slow down what is done at the primary.
      const awaited = others === null || fresh ? looking : undefined;
      const [primary] = await Promise.all([lookAtNode(contacts, plan.primary), awaited]);
      const { replicas = [], verdict = { named: null, epoch: null } } = others ?? {};
      return { primary, replicas, ...verdict, serving };
    },
  };
}

interface Verdict {
  readonly named: RollbackAddress | null;
  readonly epoch: number | null;
}

async function lookAtNode(contacts: GroupContacts, at: RollbackAddress): Promise<RollbackNode> {
  try {
    const info = parseInfo(String(await contacts.node(at, ['INFO', 'replication'], { deadlineMs: lookDeadlineMs })));
    const { role, lineage, previousLineage, offset, follows, link } = info;
    return {
      ...at,
      reachable: true,
      runId: contacts.runIdOf(at),
      role,
      replicationId: lineage,
      previousReplicationId: previousLineage,
      offset,
      follows,
      link,
    };
  } catch {
    const nothing = { runId: null, role: null, replicationId: null, previousReplicationId: null, offset: null };
    return { ...at, reachable: false, ...nothing, follows: null, link: null };
  }
}

/** Whom the majority of these Sentinels names, and since which epoch. */
async function verdictOf(
  contacts: GroupContacts,
  sentinels: readonly RollbackAddress[],
  group: string,
): Promise<Verdict> {
  const observed = await Promise.all(sentinels.map((at) => observeSentinel(contacts, at, group)));
  return majorityOf(observed, group);
}

/** The same of answers that are there. */
export function majorityOf(sentinels: readonly SentinelObservation[], name: string): Verdict {
  const limits = { ...defaultLimits, staleAfterMs: Number.MAX_SAFE_INTEGER };
  const { named, by, epoch } = primaryVerdict({ name, kind: 'sentinel', nodes: [], sentinels }, 1, limits);
  return by === 'sentinels' ? { named, epoch } : { named: null, epoch: null };
}

/** What one Sentinel says; never rejects. */
export async function observeSentinel(
  contacts: GroupContacts,
  at: RollbackAddress,
  group: string,
): Promise<SentinelObservation> {
  const nothing = { ...at, name: nameOf(at), view: null, tilted: null, replicas: [], ghosts: 0, peers: [] };
  try {
    const reply = await contacts.sentinel(at, ['SENTINEL', 'MASTER', group], { deadlineMs: lookDeadlineMs });
    return { ...nothing, view: parseSentinelView(textsOf(reply)), answeredAtMs: 1, failure: null };
  } catch {
    return { ...nothing, answeredAtMs: null, failure: { kind: 'gone', detail: 'no answer' } };
  }
}

/** Strings instead of bytes, all the way down. */
export function textsOf(reply: ScratchReply): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString('utf8');
  return Array.isArray(reply) ? (reply as readonly ScratchReply[]).map(textsOf) : reply;
}
