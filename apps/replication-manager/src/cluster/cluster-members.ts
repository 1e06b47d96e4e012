// How does a replica join a Redis Cluster, and how does a node leave it? MEET and REPLICATE; FORGET on everybody within 60 s (after
// that gossip would bring it back) and RESET.
import { ok, refuse, type Operation, type Result } from '@switchyard/protocol';
import { planAddReplica, planRemoveNode, type ClusterMember, type NewcomerFacts } from '@switchyard/replication';
import { blocked, untilHolds, type BeginWork, type ClusterWorkContext } from './cluster-context.ts';
import type { OperationRun } from '../redis-operations.ts';

const commandMs = 2_000;
const meetMs = 15_000;
/** A copy that takes longer goes on by itself; the operation tells that it was not seen to end. */
const copyMs = 600_000;
const forgetMs = 40_000;

type Outcome = Promise<Result<Readonly<Record<string, unknown>>>>;

/** Adds an empty node as a replica. */
export const addReplica = async (
  context: ClusterWorkContext,
  { newcomer, replicaOf }: { readonly newcomer: NewcomerFacts; readonly replicaOf: string },
  begin: BeginWork,
): Promise<Result<Operation>> => {
  const planned = planAddReplica(context.facts(), newcomer, replicaOf);
  if (!planned.ok) return planned;
  const { primary, blockers } = planned.value;
  const where = `${newcomer.at.host}:${String(newcomer.at.port)}`;
  if (blockers.length > 0) return blocked(`adding ${where}`, blockers);
  const own = newcomer.lines.find(({ isMyself }) => isMyself);
  if (own === undefined) return refuse('conflict', `${where} does not say its id`);
  const steps = ['meet', 'replicate', 'copy'];
  const nodes = [newcomer.at];
  return begin(
    { kind: 'add-replica', subject: `${context.tools.definition.name}/${where}`, steps, nodes },
    async (run) => join(context, { newcomer, own: own.id, primary, run }),
  );
};

const join = async (
  context: ClusterWorkContext,
  {
    newcomer,
    own,
    primary,
    run,
  }: {
    readonly newcomer: NewcomerFacts;
    readonly own: string;
    readonly primary: ClusterMember;
    readonly run: OperationRun;
  },
): Outcome => {
  const { tools, observer } = context;
  const { at } = newcomer;
  const name = `${at.host}:${String(at.port)}`;
  const node = tools.connect({ name, ...at }, { deadlineMs: commandMs });
  try {
    run.step('meet', 'running');
    const busPort = Number(/@(\d+)/.exec(String(await node.call('CLUSTER', 'NODES')))?.[1] ?? at.port + 10_000);
    await tellOne(context, primary, ['MEET', at.host, at.port, busPort]);
    observer.add(at);
    const isKnown = await untilHolds(context, () => everybodyKnows(context, own), {
      timeoutMs: meetMs,
      signal: run.signal,
    });
    const knowsPrimary =
      isKnown &&
      (await untilHolds(context, async () => String(await node.call('CLUSTER', 'NODES')).includes(primary.id), {
        timeoutMs: meetMs,
      }));
    if (!knowsPrimary) {
      run.step('meet', 'failed');
      await takeBack(context, own, node);
      return refuse(
        'timed_out',
        `${name} and the cluster did not get to know each other within ${String(meetMs / 1_000)} s; it was taken back`,
        {
          next: `check that its bus port ${String(busPort)} can be reached from every node, and theirs from it`,
        },
      );
    }
    run.step('meet', 'done', `bus port ${String(busPort)}`);
    run.progress(30);
    run.step('replicate', 'running', `of ${primary.name}`);
    try {
      await node.call('CLUSTER', 'REPLICATE', primary.id);
    } catch (error) {
      run.step('replicate', 'failed');
      await takeBack(context, own, node);
      return refuse(
        'conflict',
        `${name} refused to follow ${primary.name}: ${(error as Error).message}; it was taken back`,
      );
    }
    run.commit();
    run.step('replicate', 'done');
    run.step('copy', 'running');
    run.progress(50);
    const startedMs = tools.clock.monotonicMs();
    const isInStep = (): boolean => {
      const seen = context.facts().topology.members.find(({ id }) => id === own);
      return seen?.follows === primary.id && seen.observation?.info?.link === 'up';
    };
    if (!(await untilHolds(context, isInStep, { timeoutMs: copyMs, everyMs: 100 }))) {
      run.step('copy', 'failed');
      return refuse('timed_out', `${name} follows ${primary.name}, but has not everything yet`, {
        next: 'it goes on by itself',
      });
    }
    const copiedMs = Math.round(tools.clock.monotonicMs() - startedMs);
    run.step('copy', 'done', `in step after ${String(copiedMs)} ms`);
    return ok({ node: name, id: own, replicaOf: primary.name, copiedMs });
  } finally {
    node.close();
  }
};

const everybodyKnows = ({ facts }: ClusterWorkContext, id: string): boolean => {
  const { members } = facts().topology;
  return (
    members.every(
      ({ seen, observation }) =>
        !seen || observation?.cluster?.lines.some((line) => line.id === id && !line.handshake) === true,
    ) && members.some((one) => one.id === id)
  );
};

const tellOne = async (
  { tools }: ClusterWorkContext,
  to: ClusterMember,
  words: readonly (string | number)[],
): Promise<void> => {
  const admin = tools.connect(to, { deadlineMs: commandMs });
  try {
    await admin.call('CLUSTER', ...words);
  } finally {
    admin.close();
  }
};

/** A node that did not get in must not stay half known. */
const takeBack = async (
  context: ClusterWorkContext,
  id: string,
  node: { call(...words: [string, ...string[]]): Promise<unknown> },
): Promise<void> => {
  await node.call('CLUSTER', 'RESET', 'HARD').catch(() => undefined);
  for (const member of context.facts().topology.members) {
    if (member.id !== id && member.seen) await tellOne(context, member, ['FORGET', id]).catch(() => undefined);
  }
};

/** Removes a node that owns no slots. */
export const removeNode = async (
  context: ClusterWorkContext,
  asked: { readonly node: string; readonly confirm?: string | undefined },
  begin: BeginWork,
): Promise<Result<Operation>> => {
  const group = context.tools.definition.name;
  const confirmed = [asked.node, `${group}/${asked.node}`].includes(asked.confirm ?? '');
  const planned = planRemoveNode(context.facts(), asked.node, confirmed);
  if (!planned.ok) return planned;
  const { member, blockers } = planned.value;
  if (blockers.length > 0) return blocked(`removing ${member.name}`, blockers);
  const steps = ['forget', 'reset', 'verify'];
  return begin({ kind: 'remove-node', subject: `${group}/${member.name}`, steps, nodes: [member] }, async (run) =>
    leave(context, member, run),
  );
};

const leave = async (context: ClusterWorkContext, member: ClusterMember, run: OperationRun): Outcome => {
  const { tools, observer } = context;
  const others = context.facts().topology.members.filter((one) => one.id !== member.id);
  const { clock } = tools;
  const deadlineMs = clock.monotonicMs() + forgetMs;
  run.commit();
  run.step('forget', 'running', `${String(others.length)} nodes`);
  const refused = new Map<string, string>();
  for (const other of others) {
    // until everybody has been told; whoever was told first remembers for 60 s that it is not to come back
    while (clock.monotonicMs() < deadlineMs) {
      try {
        await tellOne(context, other, ['FORGET', member.id]);
        refused.delete(other.name);
        break;
      } catch (error) {
        if (/Unknown node/i.test((error as Error).message)) {
          refused.delete(other.name);
          break;
        }
        refused.set(other.name, (error as Error).message);
        await clock.sleep(200);
      }
    }
  }
  if (refused.size > 0) {
    run.step('forget', 'failed');
    return refuse('timed_out', `not every node has forgotten ${member.name}: gossip brings it back within a minute`, {
      why: [...refused].map(([name, why]) => `${name}: ${why}`),
      next: 'start or mend these nodes, then remove it again',
    });
  }
  run.step('forget', 'done');
  run.step('reset', 'running');
  const wasReset = await reset(context, member);
  run.step(
    'reset',
    wasReset ? 'done' : 'failed',
    wasReset ? 'it is empty and on its own' : 'it did not answer: its own files still name the cluster',
  );
  observer.drop(member);
  run.step('verify', 'running');
  const isGone = await untilHolds(context, () => !context.facts().topology.members.some(({ id }) => id === member.id), {
    timeoutMs: 10_000,
  });
  // an answer from before may have named it once more
  observer.drop(member);
  run.step('verify', isGone ? 'done' : 'failed');
  return isGone
    ? ok({ node: member.name, id: member.id, reset: wasReset })
    : refuse('conflict', `${member.name} is still named by some nodes`, { next: 'remove it again' });
};

/** It serves nobody any more: its data goes, so that it can be used anew. */
const reset = async (context: ClusterWorkContext, member: ClusterMember): Promise<boolean> => {
  if (!member.seen) return false;
  const admin = context.tools.connect(member, { deadlineMs: commandMs });
  try {
    await admin.call('CLUSTER', 'RESET', 'SOFT');
    return true;
  } catch {
    return false;
  } finally {
    admin.close();
  }
};
