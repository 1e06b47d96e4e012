// What did one Redis node say last? Asks it again and again, one question at a time, and keeps the latest answer.
import {
  parseInfo,
  parseSettings,
  parseVitals,
  watchedSettings,
  type Endpoint,
  type Failure,
  type NodeObservation,
  type NodeSettings,
} from '@switchyard/replication';
import { RedisNodeError, type RedisNodeAdmin } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';

/** One node under observation. */
export interface WatchedNode {
  readonly endpoint: Endpoint;
  readonly admin: RedisNodeAdmin;
  /** The latest look; never waits. */
  observation(): NodeObservation;
  /** Asks, unless the last question is still open. */
  poll(): void;
  /** With the next answer its settings are read, too, however lately they were. */
  refresh(): void;
  close(): void;
}

/** Settings change seldom: they are asked for so much more seldom. */
const settingsEveryMs = 30_000;

/** Watches the node behind `admin`. Starts nothing by itself: call `poll`. */
export const watchNode = (options: {
  readonly endpoint: Endpoint;
  readonly admin: RedisNodeAdmin;
  readonly clock: Clock;
  /** It stopped answering, or answers again. */
  readonly onTurn: () => void;
}): WatchedNode => {
  const { endpoint, admin, clock, onTurn } = options;
  let observation: NodeObservation = {
    ...endpoint,
    info: null,
    savePoints: null,
    answeredAtMs: null,
    failure: null,
  };
  let asking = false;
  let settingsAskedAtMs = -Infinity;

  const askSettings = async (): Promise<void> => {
    if (clock.monotonicMs() - settingsAskedAtMs < settingsEveryMs) return;
    settingsAskedAtMs = clock.monotonicMs();
    // Without the permission for CONFIG it stays unknown; that is no failure of the node.
    const config = await readSettings(admin).catch(() => null);
    observation = { ...observation, config, savePoints: config?.['save'] ?? null };
  };

  /** Sentinel closes all connections of a node whose role it changes: that alone does not mean that the node is gone. */
  const askTwice = (): Promise<string> =>
    admin.info().catch((error: unknown) => {
      if (observation.failure === null && failureOf(error).kind === 'gone') return admin.info();
      throw error;
    });

  const ask = async (): Promise<void> => {
    try {
      const text = await askTwice();
      const info = parseInfo(text);
      const isBack = observation.failure !== null;
      observation = {
        ...observation,
        info,
        vitals: parseVitals(text),
        answeredAtMs: clock.monotonicMs(),
        failure: null,
      };
      if (isBack) {
        // Restarted, it may have other settings.
        settingsAskedAtMs = -Infinity;
        onTurn();
      }
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

/** What is watched of the settings of a node, in one question; before 7.0 only with all the others. */
export const readSettings = async (admin: RedisNodeAdmin): Promise<NodeSettings | null> =>
  parseSettings(
    await admin.call('CONFIG', 'GET', ...watchedSettings).catch((error: unknown) => {
      if (failureOf(error).kind !== 'refused') throw error;
      return admin.call('CONFIG', 'GET', '*');
    }),
  );

/** The failure of a question as data. */
export const failureOf = (error: unknown): Failure =>
  error instanceof RedisNodeError
    ? { kind: error.kind, detail: error.message }
    : { kind: 'silent', detail: error instanceof Error ? error.message : String(error) };
