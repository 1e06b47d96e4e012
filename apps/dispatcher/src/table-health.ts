// How old is what the dispatcher believes? Its readiness and its metrics say so; an old table still serves.
import { createTicker, type Clock, type Component, type Health, type Logger, type Metrics } from '@switchyard/runtime';
import type { Probes, ProbesStatus } from './probes.ts';
import type { TableKeeper, TableStatus } from './table-keeper.ts';

const staleAfterMs = 3_000;
const lookEveryMs = 250;

/** Sets the check `table` four times a second, and the gauge of its age at every scrape. */
export function watchTable(options: {
  readonly keeper: TableKeeper;
  readonly probes?: Pick<Probes, 'status'>;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { keeper, probes, health, metrics, clock, logger } = options;
  metrics.gauge('dispatcher_table_age_seconds', 'Seconds since Redis last confirmed the routing table', {
    collect: (gauge) => {
      const { ageMs } = keeper.status();
      if (Number.isFinite(ageMs)) gauge.set(ageMs / 1_000);
    },
  });
  metrics.gauge('dispatcher_table_kept_instances', 'Instances that Redis forgot and that still get traffic', {
    collect: (gauge) => gauge.set(keeper.status().keptInstances),
  });
  const look = (): Promise<void> => {
    health.set('table', checkOf(keeper.status(), probes?.status()));
    return Promise.resolve();
  };
  return createTicker({ name: 'table-health', everyMs: lookEveryMs, run: look, clock, logger });
}

/** The check for a table. Only the lack of any table makes the service unready. */
export function checkOf(
  { table, ageMs, keptInstances }: TableStatus,
  probes?: Pick<ProbesStatus, 'probing' | 'out'>,
): { readonly ok: boolean; readonly detail: string; readonly critical: boolean } {
  if (!table) return { ok: false, critical: true, detail: 'waiting for Redis: there is no routing table yet' };
  const position = `epoch ${table.epoch}, revision ${table.revision}`;
  const age = `${(ageMs / 1_000).toFixed(0)} s old`;
  const asked = probes?.probing === true ? `; instances are probed from here, ${probes.out} of them left out` : '';
  if (table.source === 'disk') {
    const detail = `waiting for Redis: routing by the saved table (${position}, ${age})${asked}`;
    return { ok: false, critical: false, detail };
  }
  if (ageMs > staleAfterMs) {
    const detail = `Redis does not answer: routing by a table that is ${age} (${position})${asked}`;
    return { ok: false, critical: false, detail };
  }
  const kept = keptInstances > 0 ? `; ${keptInstances} instances that Redis forgot are kept` : '';
  return { ok: true, critical: false, detail: `${position}${kept}` };
}
