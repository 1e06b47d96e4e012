import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { systemClock } from './clock.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

describe('the system clock', () => {
  it('sleeps as long as it is told', async () => {
    let awake = false;
    const sleeping = systemClock.sleep(100).then(() => (awake = true));

    await jest.advanceTimersByTimeAsync(99);
    expect(awake).toBe(false);
    await jest.advanceTimersByTimeAsync(1);

    await sleeping;
    expect(awake).toBe(true);
  });

  it('ends a sleep with the reason of its signal and leaves no timer behind', async () => {
    const stop = new AbortController();
    const sleeping = systemClock.sleep(1000, stop.signal);

    stop.abort(new Error('enough'));

    await expect(sleeping).rejects.toThrow('enough');
    await expect(systemClock.sleep(1, stop.signal)).rejects.toThrow('enough');
    expect(jest.getTimerCount()).toBe(0);
  });

  it('sleeps longer than one timer of Node can', async () => {
    let awake = false;
    const monthMs = 30 * 24 * 3_600_000;
    const sleeping = systemClock.sleep(monthMs).then(() => (awake = true));

    await jest.advanceTimersByTimeAsync(monthMs - 1);
    expect(awake).toBe(false);
    await jest.advanceTimersByTimeAsync(1);

    await sleeping;
    expect(awake).toBe(true);
  });
});
