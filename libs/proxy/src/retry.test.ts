import { retryVerdict, type RetryQuestion } from './retry.ts';

const question: RetryQuestion = {
  phase: 'sent',
  method: 'GET',
  replayable: true,
  stale: false,
  attemptsMade: 1,
  attemptsAllowed: 3,
  elapsedMs: 10,
  totalMs: 30_000,
};
const again = (more: Partial<RetryQuestion>): boolean => retryVerdict({ ...question, ...more }).again;

describe('the table of retries', () => {
  const methods = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'POST', 'PATCH', 'PROPFIND'] as const;

  it.each(methods)('tries %s again when it was not sent', (method) => {
    expect(again({ phase: 'unsent', method })).toBe(true);
  });

  it.each(methods)('tries %s again after sending only when it is idempotent', (method) => {
    expect(again({ phase: 'sent', method })).toBe(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'].includes(method));
  });

  it.each(methods)('never tries %s again once an answer has begun', (method) => {
    expect(again({ phase: 'answering', method })).toBe(false);
  });

  it('does not try again what it has not kept', () => {
    expect(again({ replayable: false })).toBe(false);
    expect(again({ replayable: false, phase: 'unsent' })).toBe(false);
  });

  it('stops at the number of attempts and at the total time', () => {
    expect([again({ attemptsMade: 2 }), again({ attemptsMade: 3 })]).toEqual([true, false]);
    expect(again({ elapsedMs: 30_000 })).toBe(false);
  });

  it('does not count a stale connection and lets the same instance have another go', () => {
    expect(retryVerdict({ ...question, stale: true, attemptsMade: 3 })).toEqual({ again: true, sameAllowed: true });
    expect(again({ stale: true, method: 'POST' })).toBe(false);
  });

  it('says why not', () => {
    expect(retryVerdict({ ...question, method: 'POST' })).toEqual({
      again: false,
      because: 'POST may have been carried out already',
    });
  });
});
