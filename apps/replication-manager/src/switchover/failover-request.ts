// Who moves the role when the primary is lost and Sentinel does not, or when a person insists? By a Sentinel where one can act, by
// hand of the manager where none can; the old primary is fenced as soon as it is seen.
import { ok, refuse, type Operation, type Result } from '@switchyard/protocol';
import { planUnplanned, sameAddress, type UnplannedPlan, type UnplannedRequest } from '@switchyard/replication';
import { RedisNodeError } from '@switchyard/redis';
import type { Reply } from '@switchyard/http';
import type { Group } from '../group.ts';
import { answerOperation } from '../redis-operation-routes.ts';
import type { OperationRun, RedisOperations } from '../redis-operations.ts';
import { createContacts, type Contacts } from './switchover-contacts.ts';

/** How long a Sentinel, or the node itself, may take to make the node primary. */
const promotedMs = 15_000;
const namedMs = 20_000;
const askMs = 100;
const questionMs = 500;
const pauseMs = 5_000;

/** What the route gives back. */
export type FailoverAnswer =
  { readonly dryRun: true; readonly plan: UnplannedPlan } | { readonly dryRun: false; readonly operation: Operation };

/** The request as it comes. */
export interface AskedFailover {
  readonly force: boolean;
  readonly confirm?: string | undefined;
  readonly dryRun: boolean;
  readonly to?: string | undefined;
  readonly shard?: string | undefined;
  readonly takeover: boolean;
}

/** The answer of the route, for groups that are no cluster. */
export const answerFailover = async (
  group: Group,
  asked: AskedFailover,
  { operations, waitMs }: { readonly operations: RedisOperations; readonly waitMs: number },
): Promise<Reply> => {
  const { name } = group.definition;
  if (asked.to !== undefined || asked.shard !== undefined || asked.takeover) {
    return refuse(
      'invalid_input',
      `in ${name} the replica with the most data is chosen: to, shard and takeover are for clusters`,
      {
        next: `to choose, switch over: POST /v1/redis/groups/${name}/switchover`,
      },
    ).error;
  }
  const { force, confirm = null, dryRun } = asked;
  const answer = await requestFailover(group, { force, confirm, dryRun }, operations);
  if (!answer.ok) return answer.error;
  if (!answer.value.dryRun) return answerOperation(operations, ok(answer.value.operation), waitMs);
  const { way, target, old, acting, mayLose } = answer.value.plan;
  const plan = {
    group: name,
    dryRun,
    way,
    from: old?.name ?? null,
    to: target.name,
    acting: acting?.name ?? null,
    mayLose,
  };
  return { status: 200, body: plan };
};

/** Begins, or tells what would happen. Refuses while the primary is well, and until what may be lost was confirmed. */
export const requestFailover = async (
  group: Group,
  request: UnplannedRequest & { readonly dryRun: boolean },
  operations: RedisOperations,
): Promise<Result<FailoverAnswer>> => {
  const { tools } = group;
  const { name } = group.definition;
  const { facts } = await group.switchover.survey(null);
  const verdict = planUnplanned(facts, request, lastOffsetOf(group));
  if (!verdict.ok) return refuse('refused_for_safety', verdict.reason, { why: verdict.why, next: verdict.next });
  const { plan } = verdict;
  if (request.dryRun) return ok({ dryRun: true, plan });
  const held = await tools.gate.begin(`a failover of ${name}`);
  if (!held.ok) return held;
  held.value.holds('all');
  const begun = operations.begin({
    kind: 'failover',
    subject: name,
    steps: ['promoted', 'old-fenced', 'followers-moved', 'named'],
    work: async (run) => carryOut(group, plan, run).finally(() => held.value.release()),
  });
  if (!begun.ok) {
    held.value.release();
    return begun;
  }
  return ok({ dryRun: false, operation: begun.value });
};

const lastOffsetOf = (group: Group): number | null => {
  const { nodes, primary } = group.view();
  return nodes.find((node) => sameAddress(node, primary))?.offset ?? null;
};

const carryOut = async (
  group: Group,
  plan: UnplannedPlan,
  run: OperationRun,
): Promise<Result<Readonly<Record<string, unknown>>>> => {
  const { tools } = group;
  const { name } = group.definition;
  const contacts = createContacts(tools, questionMs);
  try {
    const { target, old, others, acting, way, mayLose } = plan;
    run.commit();
    run.step('promoted', 'running', `${target.name}, ${mayLose}`);
    // What it still accepts would be lost: it is held as long as the move takes. Without an answer there is nothing to hold.
    if (old !== null) await tried(contacts.hand(old, 'node').call('CLIENT', 'PAUSE', pauseMs, 'WRITE'));
    if (way === 'sentinel' && acting !== null)
      await contacts.hand(acting, 'sentinel').call('SENTINEL', 'FAILOVER', name);
    else await contacts.hand(target, 'node').call('REPLICAOF', 'NO', 'ONE');
    const heir = await risen({ contacts, plan, tools });
    if (heir === null) {
      if (old !== null) await tried(contacts.hand(old, 'node').call('CLIENT', 'UNPAUSE'));
      return refuse('timed_out', `nobody became primary of ${name} within ${String(promotedMs)} ms`, {
        next: 'look at the group: GET /v1/redis/groups/{group}; the Sentinels may still be at it',
      });
    }
    run.step('promoted', 'done', heir.name);
    run.step('old-fenced', 'running');
    const isFenced = old !== null && (await fence(contacts, old, heir));
    run.step(
      'old-fenced',
      isFenced ? 'done' : 'failed',
      isFenced ? old.name : 'it does not answer; it is fenced at first sight',
    );
    run.step('followers-moved', 'running');
    const rest = [...others, target].filter((one) => !sameAddress(one, heir));
    const moved = await Promise.all(
      rest.map(async (one) => tried(contacts.hand(one, 'node').call('REPLICAOF', heir.host, heir.port))),
    );
    run.step('followers-moved', moved.every(Boolean) ? 'done' : 'failed');
    const isNamed = way === 'sentinel' && (await named(group, heir));
    run.step('named', isNamed ? 'done' : 'failed', isNamed ? heir.name : 'the Sentinels do not name it');
    return ok({
      way,
      from: old === null ? null : { name: old.name, host: old.host, port: old.port },
      to: { name: heir.name, host: heir.host, port: heir.port },
      fenced: isFenced,
      named: isNamed,
      lostWrites: { verdict: 'possible', detail: mayLose },
      next: isNamed
        ? `GET /v1/redis/groups/${name}/history`
        : `tell the Sentinels when they are back: SENTINEL REMOVE ${name}, then SENTINEL MONITOR ${name} ${heir.host} ${String(heir.port)} <quorum> at each; until then nobody but this manager knows ${heir.name}`,
    });
  } finally {
    contacts.close();
  }
};

const tried = async (asked: Promise<unknown>): Promise<boolean> => {
  try {
    await asked;
    return true;
  } catch (error) {
    if (error instanceof RedisNodeError) return false;
    throw error;
  }
};

/** The first node besides the old primary that says it is primary. */
const risen = async (options: {
  readonly contacts: Contacts;
  readonly plan: UnplannedPlan;
  readonly tools: Group['tools'];
}): Promise<UnplannedPlan['target'] | null> => {
  const { contacts, plan, tools } = options;
  const untilMs = tools.clock.monotonicMs() + promotedMs;
  while (tools.clock.monotonicMs() < untilMs) {
    for (const one of [plan.target, ...plan.others]) {
      const role = await contacts
        .eye(one, 'node')
        .role()
        .catch((error: unknown) => {
          if (error instanceof RedisNodeError) return null;
          throw error;
        });
      if (Array.isArray(role) && role[0] === 'master') return one;
    }
    await tools.clock.sleep(askMs);
  }
  return null;
};

const fence = async (
  contacts: Contacts,
  old: UnplannedPlan['target'],
  heir: UnplannedPlan['target'],
): Promise<boolean> => {
  const hand = contacts.hand(old, 'node');
  if (!(await tried(hand.call('REPLICAOF', heir.host, heir.port)))) return false;
  await tried(hand.call('CLIENT', 'UNPAUSE'));
  await tried(hand.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));
  await tried(hand.call('CONFIG', 'REWRITE'));
  return true;
};

const named = async (group: Group, heir: UnplannedPlan['target']): Promise<boolean> => {
  const { clock } = group.tools;
  const untilMs = clock.monotonicMs() + namedMs;
  while (clock.monotonicMs() < untilMs) {
    if (sameAddress(group.view().primary, heir)) return true;
    await clock.sleep(askMs);
  }
  return false;
};
