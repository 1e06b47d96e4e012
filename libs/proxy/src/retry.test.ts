import { retryVerdict, type RetryQuestion } from './retry.ts';

const question: RetryQuestion = {
  phase: 'sent',
  method: 'GET',
  replayable: true,
  stale: false,
  keyed: false,
  reached: 1,
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

  it('does not count a stale connection and gives the same instance another go', () => {
    const verdict = retryVerdict({ ...question, stale: true, attemptsMade: 2 });
    expect(verdict).toEqual({ again: true, sameAllowed: true, byKey: false });
    expect(again({ stale: true, method: 'POST' })).toBe(false);
  });

  it('sends no request to a third instance: it may be what kills them', () => {
    expect(again({ reached: 2 })).toBe(false);
    expect(again({ reached: 2, phase: 'unsent' })).toBe(false);
    expect(again({ reached: 1, phase: 'unsent' })).toBe(true);
  });

  it.each(['POST', 'PATCH'])('sends a %s in doubt once more by its key, on a kept connection too', (method) => {
    const verdict = { again: true, sameAllowed: false, byKey: true };
    expect(retryVerdict({ ...question, method, keyed: true })).toEqual(verdict);
    expect(retryVerdict({ ...question, method, keyed: true, stale: true })).toEqual(verdict);
    expect(retryVerdict({ ...question, method, keyed: true, phase: 'unsent' })).toMatchObject({ byKey: false });
    expect(again({ method, keyed: true, phase: 'answering' })).toBe(false);
  });

  it('says why not', () => {
    expect(retryVerdict({ ...question, method: 'POST' })).toEqual({
      again: false,
      because: 'POST may have been carried out already',
    });
  });
});
