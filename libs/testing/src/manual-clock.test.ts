import { manualClock } from './manual-clock.ts';

describe('manualClock', () => {
  it('stands still until it is advanced', async () => {
    const clock = manualClock({ unixMs: 1_000 });
    expect([clock.unixMs(), clock.monotonicMs()]).toEqual([1_000, 0]);
    await clock.advance(250);
    expect([clock.unixMs(), clock.monotonicMs()]).toEqual([1_250, 250]);
  });

  it('wakes sleepers in the order of their times and shows each its own time', async () => {
    const clock = manualClock();
    const woken: string[] = [];
    const nap = async (name: string, ms: number): Promise<void> => {
      await clock.sleep(ms);
      woken.push(`${name}@${clock.monotonicMs()}`);
    };
    const naps = [nap('late', 300), nap('early', 100), nap('never', 5_000)];
    await clock.advance(1_000);
    expect(woken).toEqual(['early@100', 'late@300']);
    expect(clock.sleepers()).toBe(1);
    await clock.advance(4_000);
    await Promise.all(naps);
  });

  it('serves a loop that sleeps again and again within one advance', async () => {
    const clock = manualClock();
    let rounds = 0;
    const loop = (async () => {
      for (; rounds < 10; rounds += 1) await clock.sleep(100);
    })();
    await clock.advance(1_000);
    await loop;
    expect(rounds).toBe(10);
  });

  it('gives up a sleep whose signal is aborted', async () => {
    const clock = manualClock();
    const stopper = new AbortController();
    const nap = clock.sleep(100, stopper.signal);
    stopper.abort(new Error('stop'));
    await expect(nap).rejects.toThrow('stop');
    expect(clock.sleepers()).toBe(0);
  });

  it('moves the wall clock alone when it jumps', () => {
    const clock = manualClock({ unixMs: 10_000 });
    clock.jumpWallClock(-4_000);
    expect([clock.unixMs(), clock.monotonicMs()]).toEqual([6_000, 0]);
  });
});
