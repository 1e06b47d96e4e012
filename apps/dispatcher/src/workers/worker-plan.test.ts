// Which worker is started, stopped or killed next, whatever happens?
import { createWorkerPlan, type Happening, type Order, type WorkerPlan } from './worker-plan.ts';

const options = { count: 2, readyMs: 30_000, stopMs: 8_000, stallMs: 5_000, random: () => 0 };

/** A plan with a clock; `live` lets every worker that is named pulse four times a second. */
function planned(): {
  readonly plan: WorkerPlan;
  readonly now: () => number;
  readonly step: (happening: Happening) => string[];
  readonly ready: (...numbers: number[]) => string[];
  readonly live: (ms: number, ...numbers: number[]) => string[];
} {
  const plan = createWorkerPlan(options);
  let nowMs = 0;
  const words = (orders: readonly Order[]): string[] =>
    orders.flatMap((order) =>
      order.do === 'tell' ? [] : order.do === 'fail' ? ['fail'] : `${order.do} ${order.number}`,
    );
  const step = (happening: Happening): string[] => words(plan.step(happening, nowMs));
  const ready = (...numbers: number[]): string[] =>
    numbers.flatMap((number) => step({ type: 'pulse', number, ready: true, why: '' }));
  return {
    plan,
    now: () => nowMs,
    step,
    ready,
    live(ms, ...numbers) {
      const said: string[] = [];
      for (const endMs = nowMs + ms; nowMs < endMs;) {
        nowMs += 250;
        said.push(...ready(...numbers), ...step({ type: 'tick' }));
      }
      return said;
    },
  };
}
const ended = (number: number, failedStart = false): Happening => ({
  type: 'ended',
  number,
  how: failedStart ? 'ended with code 1' : 'ended by SIGKILL',
  failedStart,
});
const phases = (plan: WorkerPlan): string[] => plan.workers().map(({ number, phase }) => `${number} ${phase}`);

describe('the plan of the workers', () => {
  it('starts all at once, and puts another one into the place of one that crashed, after a pause', () => {
    const { plan, step, ready, live } = planned();
    expect(step({ type: 'begin' })).toEqual(['start 1', 'start 2']);
    ready(1, 2);
    expect(step(ended(1))).toEqual([]);
    expect(live(250, 2)).toEqual(['start 3']);
    ready(3);
    expect(phases(plan)).toEqual(['2 READY', '3 READY']);
  });

  it('waits longer and longer for one that crashes at once, up to 10 s, and never gives up', () => {
    const { step, ready, live, now } = planned();
    step({ type: 'begin' });
    ready(1, 2);
    const pauses: number[] = [];
    for (let number = 1, crashes = 0; crashes < 12; crashes += 1) {
      step(ended(number));
      const fromMs = now();
      let said: string[] = [];
      while (said.length === 0) said = live(250, 2);
      expect(said).toHaveLength(1);
      number = Number(said[0]?.slice('start '.length));
      pauses.push(now() - fromMs);
    }
    expect(pauses).toEqual(pauses.toSorted((one, other) => one - other));
    expect(pauses[0]).toBe(250);
    expect(pauses.at(-1)).toBe(5_000);
    live(250, 2, 14);
    live(10_000, 2, 14);
    step(ended(14));
    expect(live(250, 2)).toEqual(['start 15']);
  });

  it('renews one by one: the old one stops when its successor is ready, the next is due when the old one has ended', () => {
    const { step, ready, live } = planned();
    step({ type: 'begin' });
    ready(1, 2);
    expect(step({ type: 'renew' })).toEqual(['start 3']);
    expect(live(2_000, 1, 2)).toEqual([]);
    expect(ready(3)).toEqual(['stop 1']);
    expect(live(2_000, 2, 3)).toEqual([]);
    expect(step(ended(1))).toEqual(['start 4']);
    expect(ready(4)).toEqual(['stop 2']);
    expect(step(ended(2))).toEqual([]);
    expect(live(20_000, 3, 4)).toEqual([]);
  });

  it('renews once more when it is asked to meanwhile, however often', () => {
    const { step, ready } = planned();
    step({ type: 'begin' });
    ready(1, 2);
    step({ type: 'renew' });
    expect([...step({ type: 'renew' }), ...step({ type: 'renew' })]).toEqual([]);
    const said: string[] = [];
    for (const [old, next] of [
      [1, 3],
      [2, 4],
      [3, 5],
      [4, 6],
    ] as const) {
      said.push(...ready(next), ...step(ended(old)));
    }
    expect(said).toEqual(['stop 1', 'start 4', 'stop 2', 'start 5', 'stop 3', 'start 6', 'stop 4']);
  });

  it.each([
    ['ends', (world: ReturnType<typeof planned>) => world.step(ended(3, true))],
    [
      'is not ready in time',
      (world: ReturnType<typeof planned>) => {
        const said = [];
        for (let ms = 0; ms <= 30_000; ms += 250) {
          world.step({ type: 'pulse', number: 3, ready: false, why: 'no table' });
          said.push(...world.live(250, 1, 2));
        }
        expect(said).toEqual(['kill 3']);
        return world.step(ended(3));
      },
    ],
  ])('keeps the old ones when a successor %s', (_what, happens) => {
    const world = planned();
    world.step({ type: 'begin' });
    world.ready(1, 2);
    world.step({ type: 'renew' });
    expect(happens(world)).toEqual([]);
    expect(world.live(20_000, 1, 2)).toEqual([]);
    expect(phases(world.plan)).toEqual(['1 READY', '2 READY']);
    expect(world.step({ type: 'renew' })).toEqual(['start 4']);
  });

  it('goes on with a renewal when the holder crashes before its successor is ready', () => {
    const { step, ready, live } = planned();
    step({ type: 'begin' });
    ready(1, 2);
    step({ type: 'renew' });
    expect(step(ended(1))).toEqual([]);
    expect(live(1_000, 2)).toEqual([]);
    expect(ready(3)).toEqual(['start 4']);
  });

  it('kills one that is silent, one that never says anything, and one that does not end', () => {
    const { step, ready, live } = planned();
    step({ type: 'begin' });
    ready(1);
    expect(live(5_000, 1)).toEqual([]);
    expect(live(25_000, 1)).toEqual([]);
    expect(live(250, 1)).toEqual(['kill 2']);
    step(ended(2));
    expect(live(250, 1)).toEqual(['start 3']);
    ready(3);
    expect(live(5_250, 3)).toEqual(['kill 1']);
    step(ended(1));
    step({ type: 'stop' });
    expect(live(8_250)).toEqual(['kill 3']);
  });

  it('does not take its own pause for the silence of all others', () => {
    const plan = createWorkerPlan(options);
    plan.step({ type: 'begin' }, 0);
    for (const number of [1, 2]) plan.step({ type: 'pulse', number, ready: true, why: '' }, 0);
    plan.step({ type: 'tick' }, 100);
    expect(plan.step({ type: 'tick' }, 60_000)).toEqual([]);
    expect(plan.step({ type: 'tick' }, 60_100)).toEqual([]);
  });

  it('says that the service cannot start when a worker cannot and none ever could, not later', () => {
    const { step, ready } = planned();
    step({ type: 'begin' });
    expect(step(ended(1, true))).toEqual(['fail']);
    ready(2);
    expect(step(ended(2, true))).toEqual([]);
  });

  it('stops all and starts nobody any more', () => {
    const { plan, step, ready, live } = planned();
    step({ type: 'begin' });
    ready(1, 2);
    step({ type: 'renew' });
    step(ended(2));
    expect(step({ type: 'stop' })).toEqual(['stop 1', 'stop 3']);
    expect([...step(ended(1)), ...step({ type: 'renew' }), ...step(ended(3)), ...live(20_000)]).toEqual([]);
    expect(plan.workers()).toEqual([]);
  });
});
