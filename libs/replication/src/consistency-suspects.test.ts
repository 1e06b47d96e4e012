import { differenceKind, judgeKey, noSuspicion, type KeyReading, type Suspicion } from './consistency-suspects.ts';

const key = (hash: string | null, expiresAtMs: number | null = null): KeyReading['before'] => ({ hash, expiresAtMs });
const reading = (before: string | null, replica: string | null, after = before): KeyReading => ({
  before: key(before),
  replica: key(replica),
  after: key(after),
  primaryNowMs: 1_000_000,
  replicaNowMs: 1_000_000,
  caughtUp: true,
});

/** The verdict after these readings, and at which it was reached. */
const judged = (readings: readonly KeyReading[]): string => {
  let suspicion: Suspicion = noSuspicion;
  for (const [at, one] of readings.entries()) {
    const judgement = judgeKey(suspicion, one);
    if (judgement.verdict !== 'unsure') return `${judgement.verdict} at ${String(at + 1)}`;
    suspicion = judgement.suspicion;
  }
  return 'unsure';
};

describe('a key under suspicion', () => {
  it('is the same when the replica has either of what the primary had', () => {
    expect(judged([reading('a', 'a', 'b')])).toBe('same at 1');
    expect(judged([reading('a', 'b', 'b')])).toBe('same at 1');
    expect(judged([reading('a', 'x'), reading('a', 'a')])).toBe('same at 2');
    expect(judged([reading(null, null)])).toBe('same at 1');
  });

  it('is different when it stood still on the primary and the replica had something else, three times', () => {
    expect(judged([reading('a', 'x'), reading('a', 'x')])).toBe('unsure');
    expect(judged([reading('a', 'x'), reading('a', 'y'), reading('a', null)])).toBe('different at 3');
    expect(judged([reading(null, 'x'), reading(null, 'x'), reading(null, 'x')])).toBe('different at 3');
  });

  it('is not judged while the primary changes it, or the replica is behind', () => {
    expect(judged(Array.from({ length: 20 }, () => reading('a', 'x', 'b')))).toBe('unsure');
    expect(judged(Array.from({ length: 20 }, (_none, at) => reading(`a${String(at)}`, 'x')))).toBe('unsure');
    expect(judged(Array.from({ length: 20 }, () => ({ ...reading('a', 'x'), caughtUp: false })))).toBe('unsure');
    const interrupted = [reading('a', 'x'), reading('a', 'x'), reading('a', 'x', 'b'), reading('b', 'x')];
    expect(judged(interrupted)).toBe('unsure');
  });

  it('is not different when it is about to expire on the one side that has it', () => {
    const expiring = (onReplica: boolean, inMs: number): KeyReading => {
      const there = key('a', 1_000_000 + inMs);
      return onReplica
        ? { ...reading(null, 'a'), replica: there }
        : { ...reading('a', null), before: there, after: there };
    };
    for (const onReplica of [true, false]) {
      expect(judged([expiring(onReplica, 1_999)])).toBe('same at 1');
      expect(judged([expiring(onReplica, -50)])).toBe('same at 1');
      expect(judged(Array.from({ length: 3 }, () => expiring(onReplica, 60_000)))).toBe('different at 3');
    }
    // Both have it, with different values: that one of them expires soon is no excuse.
    const both = {
      ...reading('a', 'x'),
      before: key('a', 1_000_100),
      after: key('a', 1_000_100),
      replica: key('x', 1_000_100),
    };
    expect(judged([both, both, both])).toBe('different at 3');
  });

  it('differs by what is said first: not there, type, value, expiry', () => {
    const side = (type: string, content: string): { type: string; content: string } => ({ type, content });
    expect(differenceKind(null, null)).toBeNull();
    expect(differenceKind(side('string', 'a'), null)).toBe('missing');
    expect(differenceKind(null, side('string', 'a'))).toBe('extra');
    expect(differenceKind(side('string', 'a'), side('list', 'a'))).toBe('type');
    expect(differenceKind(side('set', 'a'), side('set', 'b'))).toBe('value');
    expect(differenceKind(side('set', 'a'), side('set', 'a'))).toBe('ttl');
  });
});
