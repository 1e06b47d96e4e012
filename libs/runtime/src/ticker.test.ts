import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { systemClock } from './clock.ts';
import { createLogger } from './logger.ts';
import type { Ticker, TickerOptions } from './ticker.ts';
import { createTicker } from './ticker.ts';

const tickers: Ticker[] = [];
const tick = async (run: TickerOptions['run'], options: Partial<TickerOptions> = {}) => {
  const lines: { msg: string }[] = [];
  const logger = createLogger('test', {
    level: 'info',
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  const ticker = createTicker({ name: 'sweep', everyMs: 100, run, clock: systemClock, logger, ...options });
  tickers.push(ticker);
  await ticker.start(new AbortController().signal);
  await jest.advanceTimersByTimeAsync(0);
  return { ticker, events: () => lines.map((line) => line.msg) };
};

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
});
afterEach(async () => {
  await Promise.all(tickers.splice(0).map((ticker) => ticker.stop()));
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

describe('a ticker', () => {
  it('runs at once and then from start to start', async () => {
    const startsMs: number[] = [];
    const t0 = performance.now();
    await tick(async () => {
      startsMs.push(performance.now() - t0);
      await systemClock.sleep(30);
    });

    await jest.advanceTimersByTimeAsync(250);

    expect(startsMs).toEqual([0, 100, 200]);
  });

  it('waits first when it is told so', async () => {
    let runs = 0;
    await tick(async () => void (runs += 1), { immediate: false });

    await jest.advanceTimersByTimeAsync(99);
    expect(runs).toBe(0);
    await jest.advanceTimersByTimeAsync(1);
    expect(runs).toBe(1);
  });

  it('never runs twice at the same time, and does not make up for what it missed', async () => {
    let running = 0;
    let runs = 0;
    await tick(async (signal) => {
      runs += 1;
      running += 1;
      expect(running).toBe(1);
      await systemClock.sleep(250, signal);
      running -= 1;
    });

    await jest.advanceTimersByTimeAsync(600);

    expect(runs).toBe(3);
  });

  it('logs a failure when it begins or changes and once when it is over', async () => {
    const outcomes = ['away', 'away', 'away', 'readonly', undefined, undefined, 'away'];
    let run = 0;
    const { events } = await tick(() => {
      const outcome = outcomes[run];
      run += 1;
      return outcome === undefined ? Promise.resolve() : Promise.reject(new Error(outcome));
    });

    await jest.advanceTimersByTimeAsync(650);

    expect(run).toBe(7);
    expect(events()).toEqual(['ticker.failed', 'ticker.failed', 'ticker.recovered', 'ticker.failed']);
  });

  it('goes on after a run that throws without a promise', async () => {
    let runs = 0;
    await tick(() => {
      runs += 1;
      throw new Error('at once');
    });

    await jest.advanceTimersByTimeAsync(250);

    expect(runs).toBe(3);
  });

  it('gives up a run at its deadline, and starts no more than a few beside those that never end', async () => {
    let runs = 0;
    let aborted = 0;
    const { events } = await tick(
      (signal) => {
        runs += 1;
        signal.addEventListener('abort', () => (aborted += 1));
        return new Promise(() => undefined);
      },
      { deadlineMs: 50 },
    );

    await jest.advanceTimersByTimeAsync(2000);

    expect([runs, aborted]).toEqual([4, 4]);
    expect(events()).toEqual(['ticker.failed', 'ticker.failed']);
  });

  it('runs soon when it is woken, once for many calls, also during a run', async () => {
    let runs = 0;
    const { ticker } = await tick(
      async () => {
        runs += 1;
        await systemClock.sleep(10);
      },
      { everyMs: 10_000 },
    );
    ticker.wake();
    ticker.wake();
    await jest.advanceTimersByTimeAsync(30);
    expect(runs).toBe(2);

    ticker.wake();
    await jest.advanceTimersByTimeAsync(30);
    expect(runs).toBe(3);
  });

  it('spreads its runs by the jitter that it is given', async () => {
    const startsMs: number[] = [];
    const t0 = performance.now();
    await tick(async () => void startsMs.push(performance.now() - t0), { jitterRatio: 0.2, random: () => 0.5 });

    await jest.advanceTimersByTimeAsync(200);

    expect(startsMs).toEqual([0, 90, 180]);
  });

  it('aborts the run at stop and waits for its end', async () => {
    const log: string[] = [];
    const { ticker, events } = await tick(async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await systemClock.sleep(20);
      log.push('run ended');
    });

    const stopping = ticker.stop().then(() => log.push('stopped'));
    await jest.advanceTimersByTimeAsync(30);
    await stopping;
    await jest.advanceTimersByTimeAsync(500);

    expect(log).toEqual(['run ended', 'stopped']);
    expect(events()).toEqual([]);
  });
});
