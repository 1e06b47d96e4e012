// What is switched over in the model world? r1 hands over to r2 by s1, with everything that has to be put back.
import { switchoverLimits, type SavedSetting, type SwitchoverPlan } from './switchover-plan.ts';
import type { World } from './switchover-world-parts-fixture.ts';

/** The plan for a fresh world. */
export const planOf = (world: World): SwitchoverPlan => {
  const [r1, r2, r3] = world.nodes.map(({ at }) => at);
  const [s1] = world.sentinels.map(({ at }) => at);
  if (r1 === undefined || r2 === undefined || r3 === undefined || s1 === undefined) throw new Error('no world');
  const config = (at: typeof r1, name: string, value: string): SavedSetting => ({ at, kind: 'config', name, value });
  return {
    id: 'redis-1',
    group: 'main',
    way: 'sentinel',
    from: r1,
    to: r2,
    others: [r3],
    acting: s1,
    epoch: 0,
    lineage: 'L0',
    prefer: true,
    hurried: world.sentinels.map(({ at }) => at),
    bound: 2,
    saved: [
      config(r2, 'replica-priority', '100'),
      config(r1, 'min-replicas-to-write', '0'),
      config(r1, 'repl-ping-replica-period', '10'),
      ...world.sentinels.map(({ at }): SavedSetting => ({ at, kind: 'debug', name: 'INFO-PERIOD', value: '10000' })),
      { at: s1, kind: 'sentinel', name: 'failover-timeout', value: '15000' },
    ],
    limits: switchoverLimits,
  };
};
