// What did one node of a Redis Cluster say last, about itself and about the cluster? As watched-node.ts, with two questions more.
import {
  parseClusterInfo,
  parseClusterNodes,
  parseInfo,
  type ClusterNodeObservation,
  type ClusterSettings,
  type Endpoint,
} from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { failureOf } from '../watched-node.ts';

/** One node under observation. */
export interface WatchedClusterNode {
  readonly endpoint: Endpoint;
  readonly admin: RedisNodeAdmin;
  observation(): ClusterNodeObservation;
  /** Asks, unless the last question is still open. */
  poll(): void;
  /** With its next answer it tells its settings, too. */
  refresh(): void;
  close(): void;
}

/** Settings change seldom: they are asked for so much more seldom. */
const settingsEveryMs = 10_000;

/** Watches the node behind `admin`. Starts nothing by itself: call `poll`. */
export const watchClusterNode = (options: {
  readonly endpoint: Endpoint;
  readonly admin: RedisNodeAdmin;
  readonly clock: Clock;
  /** It stopped answering, or answers again. */
  readonly onTurn: () => void;
}): WatchedClusterNode => {
  const { endpoint, admin, clock, onTurn } = options;
  let observation: ClusterNodeObservation = {
    ...endpoint,
    info: null,
    savePoints: null,
    answeredAtMs: null,
    failure: null,
    cluster: null,
    settings: null,
  };
  let asking = false;
  let settingsAskedAtMs = -Infinity;

  const askCluster = async (): Promise<ClusterNodeObservation['cluster']> => {
    try {
      const [nodes, state] = await Promise.all([admin.call('CLUSTER', 'NODES'), admin.call('CLUSTER', 'INFO')]);
      return { lines: parseClusterNodes(String(nodes), endpoint), state: parseClusterInfo(String(state)) };
    } catch (error) {
      // cluster support is off: a fact, not a failure
      if (failureOf(error).kind === 'refused') return null;
      throw error;
    }
  };

  const askSettings = async (): Promise<void> => {
    if (clock.monotonicMs() - settingsAskedAtMs < settingsEveryMs) return;
    settingsAskedAtMs = clock.monotonicMs();
    // Without the permission for CONFIG it stays unknown; that is no failure of the node.
    const get = (name: string): Promise<string | undefined> => admin.configGet(name).catch(() => undefined);
    const yes = (text: string | undefined): boolean | null => (text === undefined ? null : text === 'yes');
    const timeout = await get('cluster-node-timeout');
    const settings: ClusterSettings = {
      nodeTimeoutMs: timeout === undefined ? null : Number(timeout),
      requireFullCoverage: yes(await get('cluster-require-full-coverage')),
      allowReplicaMigration: yes(await get('cluster-allow-replica-migration')),
    };
    observation = { ...observation, settings, savePoints: (await get('save')) ?? null };
  };

  const ask = async (): Promise<void> => {
    try {
      const [info, cluster] = await Promise.all([admin.info(), askCluster()]);
      const isBack = observation.failure !== null;
      observation = {
        ...observation,
        info: parseInfo(info),
        cluster,
        answeredAtMs: clock.monotonicMs(),
        failure: null,
      };
      if (isBack) onTurn();
      await askSettings();
    } catch (error) {
      const failure = failureOf(error);
      const isNew = observation.failure?.kind !== failure.kind;
      observation = { ...observation, failure };
      if (isNew) onTurn();
    }
  };

  return {
    endpoint,
    admin,
    observation: () => observation,
    poll() {
      if (asking) return;
      asking = true;
      void ask().finally(() => {
        asking = false;
      });
    },
    refresh() {
      settingsAskedAtMs = -Infinity;
    },
    close: () => admin.close(),
  };
};
