// How is a former primary made a replica so that it takes no further write, and what only it has is not lost unseen?
//
//   CLIENT PAUSE WRITE -> measure -> (salvage) -> look again -> REPLICAOF -> CLIENT UNPAUSE -> CLIENT KILL
//
// Each step may be repeated, by several managers at once; a manager that dies in between leaves a pause that ends by itself.
import {
  divergenceOf,
  parseInfo,
  type Divergence,
  type EnforcementAction,
  type NodeObservation,
} from '@switchyard/replication';
import { RedisNodeError, type RedisNodeAdmin } from '@switchyard/redis';
import type { RedisSalvage } from '@switchyard/protocol';
import type { GroupTools } from '../group-part.ts';

/** What is known when it is over. */
export interface Fenced {
  readonly action: EnforcementAction;
  readonly divergence: Divergence;
  readonly salvage: RedisSalvage | null;
  /** Why there is no salvage; empty when there is one, or nothing to save. */
  readonly unsaved: string;
  /** From the first command to the demotion. */
  readonly tookMs: number;
}

/** Takes a copy of a node's data within the deadline; rejects when that is not possible. */
export type TakeSalvage = (request: {
  readonly action: EnforcementAction;
  readonly admin: RedisNodeAdmin;
  readonly deadlineMs: number;
}) => Promise<RedisSalvage>;

/** What the sequence works with. */
export interface FenceOptions {
  readonly tools: GroupTools;
  /** A connection to the node; stays open. */
  readonly admin: RedisNodeAdmin;
  readonly node: NodeObservation;
  /** Looks at everything again, with these facts of the node: null when it must not be fenced. */
  readonly confirm: (node: NodeObservation) => EnforcementAction | null;
  readonly takeSalvage: TakeSalvage;
  /** How long a salvage may hold up the demotion. */
  readonly salvageMs: number;
}

/** Ends by itself when nobody renews it. */
const pauseMs = 5_000;
const renewMs = 1_500;

/** Resolves with null when there was nothing to do after all; rejects when the node or the new primary does not answer. */
export const fence = async (options: FenceOptions): Promise<Fenced | null> => {
  const { tools, admin, confirm, salvageMs } = options;
  const startedMs = tools.clock.monotonicMs();
  const isPaused = await pause(admin);
  const look = async (): Promise<NodeObservation> => ({
    ...options.node,
    info: parseInfo(await admin.info()),
    answeredAtMs: tools.clock.monotonicMs(),
    failure: null,
  });
  const node = await look();
  const action = confirm(node);
  if (action === null) {
    if (isPaused) await admin.call('CLIENT', 'UNPAUSE');
    return null;
  }
  const divergence = await measure(tools, node, action);
  let salvage: RedisSalvage | null = null;
  let unsaved = '';
  if (divergence.bytes !== 0 && isPaused) {
    const renewal = renewing(options);
    try {
      salvage = await options.takeSalvage({ action, admin, deadlineMs: salvageMs });
    } catch (error) {
      unsaved = `no copy could be taken within ${String(salvageMs)} ms: ${error instanceof Error ? error.message : String(error)}`;
    } finally {
      renewal.stop();
    }
  } else if (divergence.bytes !== 0) {
    unsaved = 'no copy was taken: this version cannot pause writes alone';
  }
  const last = confirm(sameStream(await look(), node));
  if (last === null) {
    // Somebody else was faster, or the majority has changed its mind.
    if (isPaused) await admin.call('CLIENT', 'UNPAUSE');
    return null;
  }
  await demote(admin, last);
  const tookMs = Math.round(tools.clock.monotonicMs() - startedMs);
  return { action: last, divergence, salvage, unsaved, tookMs };
};

/** A primary that never had a replica begins a new stream when a copy is taken of it: that is our doing, not a promotion. */
const sameStream = (now: NodeObservation, before: NodeObservation): NodeObservation => {
  if (now.info === null || before.info === null || now.info.runId !== before.info.runId) return now;
  const { lineage, previousLineage } = before.info;
  return { ...now, info: { ...now.info, lineage, previousLineage } };
};

/** Makes it a replica of the named primary, as Sentinel would; also for a replica that follows somebody else. */
export const demote = async (admin: RedisNodeAdmin, { primary }: EnforcementAction): Promise<void> => {
  await admin.call('REPLICAOF', primary.host, primary.port);
  // From here on writes get READONLY: whoever waited is told, and everybody looks for the primary anew.
  await ignoringRefusal(admin.call('CLIENT', 'UNPAUSE'));
  await ignoringRefusal(admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));
  await ignoringRefusal(admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes'));
  // So that it comes back as a replica; without a file there is nothing to write.
  await ignoringRefusal(admin.call('CONFIG', 'REWRITE'));
};

const pause = async (admin: RedisNodeAdmin): Promise<boolean> => {
  try {
    await admin.call('CLIENT', 'PAUSE', pauseMs, 'WRITE');
    return true;
  } catch (error) {
    if (error instanceof RedisNodeError && error.kind === 'refused') return false;
    throw error;
  }
};

const measure = async (
  { observer }: GroupTools,
  node: NodeObservation,
  { primary }: EnforcementAction,
): Promise<Divergence> => {
  const admin = observer.nodeAt(primary);
  if (admin === undefined || node.info === null) return { bytes: null, detail: 'the new primary was not reached' };
  return divergenceOf(node.info, parseInfo(await admin.info('replication')));
};

/** Keeps the pause up while a copy is taken. */
const renewing = ({ admin, tools }: FenceOptions): { stop(): void } => {
  const over = new AbortController();
  const renew = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await tools.clock.sleep(renewMs, over.signal);
      // Not on a replica: there a pause would hold up the stream of its primary.
      if (parseInfo(await admin.info('replication')).role === 'primary' && !over.signal.aborted) await pause(admin);
    }
  };
  void renew().catch(() => undefined);
  return { stop: () => over.abort() };
};

const ignoringRefusal = async (asked: Promise<unknown>): Promise<void> => {
  try {
    await asked;
  } catch (error) {
    if (!(error instanceof RedisNodeError && error.kind === 'refused')) throw error;
  }
};
