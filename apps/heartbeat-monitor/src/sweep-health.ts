// Does this monitor see anything? Ready while its sweeps come through.
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Health, Logger } from '@switchyard/runtime';
import type { Monitor } from './monitor.ts';

const BLIND_AFTER_MS = 3_000;

/** Sets the check `sweeps` once a second. */
export function watchSweeps(options: {
  readonly monitor: Monitor;
  readonly health: Health;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { monitor, health, clock, logger } = options;
  const look = async (): Promise<void> => {
    const { lastSweepAgoMs, leader } = monitor.status();
    const seconds = ((lastSweepAgoMs ?? 0) / 1000).toFixed(0);
    if (lastSweepAgoMs === null) health.set('sweeps', { ok: false, detail: 'waiting for Redis: no sweep yet' });
    else if (lastSweepAgoMs < BLIND_AFTER_MS) health.set('sweeps', { ok: true, detail: leader ? 'leader' : 'standby' });
    else
      health.set('sweeps', { ok: false, detail: `Redis has not answered a sweep for ${seconds} s: nobody is evicted` });
  };
  return createTicker({ name: 'sweep-health', everyMs: 1_000, run: look, clock, logger });
}
