// How do proposed settings get to the nodes? One after the other, replicas first, each compared with what it is before it is set and
// read back afterwards; nothing is touched that was not asked for. What was there before is in the result, with the way back.
import { ok, refuse, type Refusal, type Result } from '@switchyard/protocol';
import { addressKey, parseVitals, type NodeSettings, type SettingAdvice } from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { GroupTools } from '../group-part.ts';
import type { OperationRun } from '../redis-operations.ts';
import { failureOf, readSettings } from '../watched-node.ts';

/** One setting of one node, and what became of it. */
export interface SettingChange {
  readonly node: string;
  readonly setting: string;
  readonly before: string;
  readonly after: string;
  /** `changed-meanwhile`: somebody else set it since it was looked at, so it was left alone. */
  readonly outcome: 'set' | 'changed-meanwhile' | 'failed';
  /** Whether it survives a restart; null when it was not set. */
  readonly persisted: boolean | null;
  readonly detail: string;
  /** What brings the old value back; null when there is nothing to bring back. */
  readonly undo: string | null;
}

/** A proposal that can be carried out. */
export type Settable = SettingAdvice & { readonly proposed: string };

const questionDeadlineMs = 3_000;
/** For the first AOF of a node whose data is large. */
const rewriteDeadlineMs = 30 * 60_000;
const rewriteLookMs = 250;

/** What of the advice can be set, replicas before the primary, each setting of a node once. */
export const settable = (
  advice: readonly SettingAdvice[],
  { apply, primary }: { readonly apply: readonly string[] | 'all'; readonly primary: string | null },
): readonly Settable[] => {
  const seen = new Set<string>();
  const chosen = advice.filter((one): one is Settable => {
    const key = `${addressKey(one.node)} ${one.setting}`;
    if (one.proposed === null || (apply !== 'all' && !apply.includes(one.setting)) || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
  const isPrimary = ({ node }: Settable): number => (node.name === primary ? 1 : 0);
  return chosen.sort((a, b) => isPrimary(a) - isPrimary(b) || a.node.name.localeCompare(b.node.name));
};

/** Carries out `changes`. Fails only when none could be set. */
export const applySettings = async (
  tools: GroupTools,
  changes: readonly Settable[],
  run: OperationRun,
): Promise<Result<{ readonly changes: readonly SettingChange[] }>> => {
  const done: SettingChange[] = [];
  const nodes = new Map(changes.map(({ node }) => [addressKey(node), node]));
  for (const [key, node] of nodes) {
    if (run.signal.aborted) return cancelled(done);
    const admin = tools.connect(node, { deadlineMs: questionDeadlineMs, name: 'switchyard-settings' });
    const mine = changes.filter((one) => addressKey(one.node) === key);
    run.step(node.name, 'running');
    try {
      const outcomes = await applyToNode({ tools, admin, mine, run });
      done.push(...outcomes);
      const failed = outcomes.some(({ outcome }) => outcome !== 'set');
      run.step(node.name, failed ? 'failed' : 'done', outcomes.map(({ detail }) => detail).join('; '));
    } finally {
      admin.close();
    }
    run.progress((100 * done.length) / changes.length);
  }
  tools.observer.refresh();
  tools.wake();
  if (done.every(({ outcome }) => outcome !== 'set')) return nothingSet(done);
  return ok({ changes: done });
};

const cancelled = (done: readonly SettingChange[]): Result<never> => {
  const error: Refusal = {
    code: 'cancelled',
    detail: 'cancelled between two nodes',
    why: done.map(({ node, detail, undo }) => `${node}: ${detail}${undo === null ? '' : `; back: ${undo}`}`),
  };
  return { ok: false, error };
};

const nothingSet = (done: readonly SettingChange[]): Result<never> =>
  refuse('conflict', 'no setting could be set', { why: done.map(({ node, detail }) => `${node}: ${detail}`) });

const applyToNode = async (work: {
  readonly tools: GroupTools;
  readonly admin: RedisNodeAdmin;
  readonly mine: readonly Settable[];
  readonly run: OperationRun;
}): Promise<readonly SettingChange[]> => {
  const { tools, admin, mine, run } = work;
  const outcomes: SettingChange[] = [];
  for (const change of mine) outcomes.push(await setOne(admin, change));
  const set = outcomes.filter(({ outcome }) => outcome === 'set');
  for (const { node, setting, before, after } of set) {
    tools.logger.warn({ group: tools.definition.name, node, setting, before, after }, 'redis.setting_changed');
  }
  const rewrite = set.some(({ setting, after }) => setting === 'appendonly' && after === 'yes')
    ? await firstRewrite({ tools, admin, run, node: mine[0]?.node.name ?? '' })
    : '';
  const lost = set.length === 0 ? null : await rewriteConfig(admin);
  return outcomes.map((one) =>
    one.outcome === 'set'
      ? {
          ...one,
          persisted: lost === null,
          detail: [one.detail, one.setting === 'appendonly' ? rewrite : '', lost ?? '']
            .filter((text) => text !== '')
            .join('; '),
        }
      : one,
  );
};

const setOne = async (
  admin: RedisNodeAdmin,
  { node, setting, present, proposed }: Settable,
): Promise<SettingChange> => {
  const change = { node: node.name, setting, before: present, after: present, persisted: null, undo: null };
  try {
    const now = valueIn(await readSettings(admin), setting);
    if (now !== present) {
      const detail = `${setting} is ${now ?? 'unknown'} by now, not ${present}: left alone`;
      return { ...change, after: now ?? present, outcome: 'changed-meanwhile', detail };
    }
    await admin.call('CONFIG', 'SET', setting, proposed);
    const after = valueIn(await readSettings(admin), setting) ?? 'unknown';
    const undo = `redis-cli -h ${node.host} -p ${String(node.port)} CONFIG SET ${setting} "${present}"`;
    const detail = `${setting} ${present} -> ${after}`;
    return { ...change, after, undo, detail, outcome: after === proposed ? 'set' : 'failed' };
  } catch (error) {
    return { ...change, outcome: 'failed', detail: `${setting} could not be set: ${failureOf(error).detail}` };
  }
};

const valueIn = (settings: NodeSettings | null, setting: string): string | undefined => settings?.[setting];

/** Why the settings are lost at the next restart; null when they are not. */
const rewriteConfig = (admin: RedisNodeAdmin): Promise<string | null> =>
  admin.call('CONFIG', 'REWRITE').then(
    () => null,
    (error: unknown) =>
      `lost at the next restart unless its configuration is changed by hand: ${failureOf(error).detail}`,
  );

/** Until it is done, a crash finds no complete AOF. In words. */
const firstRewrite = async (work: {
  readonly tools: GroupTools;
  readonly admin: RedisNodeAdmin;
  readonly run: OperationRun;
  readonly node: string;
}): Promise<string> => {
  const { tools, admin, run, node } = work;
  const startedMs = tools.clock.monotonicMs();
  while (tools.clock.monotonicMs() - startedMs < rewriteDeadlineMs) {
    const vitals = await admin.info().then(parseVitals, () => null);
    if (vitals !== null && !vitals.rewriting) {
      const tookMs = Math.round(tools.clock.monotonicMs() - startedMs);
      return vitals.lastRewriteOk === false
        ? 'the first AOF could not be written: read its log'
        : `the first AOF was written in ${String(tookMs)} ms`;
    }
    const percent = vitals?.savePercent ?? null;
    run.step(node, 'running', `writes its first AOF${percent === null ? '' : `: ${percent.toFixed(0)} %`}`);
    if (run.signal.aborted) return 'its first AOF is still being written; the node goes on by itself';
    await tools.clock.sleep(rewriteLookMs, run.signal).catch(() => undefined);
  }
  return 'its first AOF is still being written';
};
