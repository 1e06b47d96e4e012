// What if a setting could not be put back, because its node was away? It is tried again until the node is back.
import { addressKey, type GroupProblem, type SavedSetting } from '@switchyard/replication';
import { RedisNodeError } from '@switchyard/redis';
import { createContacts } from './switchover-contacts.ts';
import type { GroupTools } from '../group-part.ts';

/** Settings that are still to be put back. */
export interface Leftovers {
  add(operation: string, settings: readonly SavedSetting[]): void;
  /** Tries all of them once. */
  settle(): Promise<void>;
  list(): readonly SavedSetting[];
  findings(): readonly GroupProblem[];
  stop(): void;
}

const againMs = 1_000;
const questionMs = 300;
const mostKept = 64;

/** `onRestored` hears when nothing of an operation is left. */
export const createLeftovers = (tools: GroupTools, onRestored: (operation: string) => Promise<void>): Leftovers => {
  const { clock, logger, definition } = tools;
  const over = new AbortController();
  let left: readonly { readonly operation: string; readonly setting: SavedSetting }[] = [];
  let isTrying = false;

  const putBack = async (setting: SavedSetting, contacts: ReturnType<typeof createContacts>): Promise<boolean> => {
    const { at, kind, name, value } = setting;
    try {
      if (kind === 'config') await contacts.hand(at, 'node').call('CONFIG', 'SET', name, value);
      else if (kind === 'sentinel')
        await contacts.hand(at, 'sentinel').call('SENTINEL', 'SET', definition.name, name, value);
      else await contacts.hand(at, 'sentinel').call('SENTINEL', 'DEBUG', name, value);
      return true;
    } catch (error) {
      // A node that refuses will refuse again.
      if (error instanceof RedisNodeError && error.kind === 'refused') return true;
      return false;
    }
  };

  const settle = async (): Promise<void> => {
    if (left.length === 0) return;
    const contacts = createContacts(tools, questionMs);
    try {
      const tried = left;
      const done = await Promise.all(tried.map(async ({ setting }) => putBack(setting, contacts)));
      const restored = new Set(tried.filter((_one, at) => done[at] === true));
      left = left.filter((one) => !restored.has(one));
      for (const { operation, setting } of restored) {
        logger.info({ operation, node: setting.at.name, setting: setting.name }, 'switchover.setting_restored');
        if (!left.some((one) => one.operation === operation)) await onRestored(operation);
      }
    } finally {
      contacts.close();
    }
  };

  const keepTrying = async (): Promise<void> => {
    if (isTrying) return;
    isTrying = true;
    try {
      while (left.length > 0 && !over.signal.aborted) {
        await clock.sleep(againMs, over.signal);
        await settle();
      }
    } catch (error) {
      if (!over.signal.aborted) logger.error({ group: definition.name, err: error }, 'switchover.leftovers_failed');
    } finally {
      isTrying = false;
    }
  };

  return {
    add(operation, settings) {
      left = [...left, ...settings.map((setting) => ({ operation, setting }))].slice(-mostKept);
      void keepTrying();
    },
    settle,
    list: () => left.map(({ setting }) => setting),
    findings: () =>
      left.map(({ setting: { at, name, value } }) => ({
        code: 'setting_not_restored',
        detail: `${name} of ${at.name} is still as a switchover left it`,
        next: `it is set to ${value} as soon as ${addressKey(at)} answers`,
        advice: true,
      })),
    stop: () => over.abort(),
  };
};
