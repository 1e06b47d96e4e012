// How is what was found out turned into a plan? Settings that change for a while, positions that nobody can know, and limits by size.
import { rollbackLimits, type RollbackPlan, type RollbackSetting } from '@switchyard/backup';
import { refuse, ok, type Result } from '@switchyard/protocol';
import type { PreparedRollback } from './prepare-rollback.ts';

/** Far beyond any position of a replica: it cannot go on where it was. 30,000 rollbacks fit below 2^53. */
const aheadBytes = 2 ** 38;
/** The slowest loading that is waited for. */
const slowestBytesPerMs = 5_000;
const extraPatienceMs = 120_000;
/** Replicas are held off until the data are proven: their first transfer would be for nothing, and they hold the other copy. */
const holdOffSeconds = '60';

/** A plan for the group as it was seen. Refuses when it has no primary that could be told apart from others. */
export function rollbackPlanOf(
  prepared: PreparedRollback,
  names: { readonly id: string; readonly group: string },
): Result<RollbackPlan> {
  const { survey, preflight, memoryBytes } = prepared;
  const { primary, replicas, sentinels, epoch, kind } = survey.facts;
  const { runId } = survey;
  if (primary === null || runId === null || primary.replicationId === null || primary.offset === null)
    return refuse('no_primary', `Nobody is known as primary of ${names.group}.`);
  const loadMs = rollbackLimits.loadMs + Math.ceil(memoryBytes / slowestBytesPerMs);
  const patienceMs = 2 * loadMs + extraPatienceMs;
  const addressOf = ({ host, port }: { readonly host: string; readonly port: number }) => ({ host, port });
  const at = addressOf(primary);
  const wanted: Readonly<Record<string, string>> = {
    'min-replicas-to-write': '0',
    'repl-diskless-load': preflight.loads === 'swapdb' ? 'swapdb' : 'disabled',
    'repl-diskless-sync-delay': holdOffSeconds,
    'replica-read-only': 'yes',
    'replica-serve-stale-data': 'yes',
  };
  const settings: RollbackSetting[] = sentinels.map((one) => ({
    at: one.at,
    kind: 'sentinel',
    name: 'down-after-milliseconds',
    before: String(one.downAfterMs),
    meanwhile: String(Math.max(patienceMs, one.downAfterMs ?? 0)),
  }));
  for (const [name, before] of Object.entries(survey.settings)) {
    const meanwhile = wanted[name];
    const changes = before !== null && meanwhile !== undefined && before !== meanwhile;
    if (changes) settings.push({ at, kind: 'config', name, before, meanwhile });
  }
  return ok({
    ...names,
    kind,
    primary: at,
    runId,
    replicationId: primary.replicationId,
    epoch,
    replicas: replicas.map(addressOf),
    sentinels: sentinels.map((one) => one.at),
    settings,
    loads: preflight.loads,
    targetOffset: primary.offset + aheadBytes,
    safetyOffset: primary.offset + 2 * aheadBytes,
    limits: { ...rollbackLimits, loadMs, replicasMs: Math.max(rollbackLimits.replicasMs, loadMs) },
  });
}
