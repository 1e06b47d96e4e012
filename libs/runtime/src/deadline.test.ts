import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { DeadlineError, withDeadline } from './deadline.ts';

const never = new Promise<never>(() => undefined);

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

describe('work with a deadline', () => {
  it('settles as the work does', async () => {
    await expect(withDeadline(Promise.resolve(7), 100, 'the sum')).resolves.toBe(7);
    await expect(withDeadline(Promise.reject(new Error('no')), 100, 'the sum')).rejects.toThrow('no');
    await expect(withDeadline(() => Promise.resolve(8), 100, 'the sum')).resolves.toBe(8);
  });

  it('is given up with an error that names it, and is told by its signal', async () => {
    let seen: unknown;
    const work = withDeadline(
      (signal) => {
        signal.addEventListener('abort', () => (seen = signal.reason));
        return never;
      },
      100,
      'reading the catalog',
    );
    const failure = work.catch((error: unknown) => error);

    await jest.advanceTimersByTimeAsync(100);

    expect(await failure).toMatchObject({ message: 'reading the catalog did not end within 100 ms', ms: 100 });
    expect(seen).toBeInstanceOf(DeadlineError);
  });

  it('may fail after its deadline without harm', async () => {
    const late = Promise.withResolvers<never>();
    const failure = withDeadline(late.promise, 100, 'it').catch((error: unknown) => error);
    await jest.advanceTimersByTimeAsync(100);

    late.reject(new Error('too late to matter'));

    expect(await failure).toBeInstanceOf(DeadlineError);
  });

  it('ends with the reason of an outer signal, also when that has aborted before', async () => {
    const stop = new AbortController();
    let ran = 0;
    const work = withDeadline(never, 100, { what: 'it', signal: stop.signal });
    stop.abort(new Error('the service stops'));

    await expect(work).rejects.toThrow('the service stops');
    await expect(withDeadline(async () => void (ran += 1), 100, { what: 'it', signal: stop.signal })).rejects.toThrow(
      'the service stops',
    );
    expect(ran).toBe(0);
  });

  it('turns an exception before the first await into a rejection', async () => {
    const work = withDeadline(
      () => {
        throw new Error('at once');
      },
      100,
      'it',
    );

    await expect(work).rejects.toThrow('at once');
  });
});
