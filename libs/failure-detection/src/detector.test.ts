import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { everybody, fleet, nobody, SWEEP, TTL, world } from './detector-fixture.ts';
import { initialDetectorState, stepDetector } from './index.ts';
import type { CatalogFacts } from './index.ts';

describe('the detector', () => {
  it('evicts a crashed instance one probe after its deadline', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.answer('shop/3', 'refused');
    const diedAtMs = w.nowMs();

    w.run(1_000, (member) => member !== 'shop/3');

    expect(w.evicted()).toEqual(['shop/3']);
    expect((w.log.find(({ action }) => action.type === 'evict')?.atMs ?? Infinity) - diedAtMs).toBeLessThanOrEqual(
      TTL + 2 * SWEEP,
    );
    expect(w.evidence('shop/3')).toMatchObject({ because: 'probe-failed', probes: [{ outcome: 'refused' }] });
  });

  it('asks for a suspicion until the catalog shows it, and for its probe once', () => {
    const catalog: CatalogFacts = {
      find: () => ({ liveness: 'alive', suspectedBy: undefined, sinceMs: 0, ttlMs: TTL, probes: true }),
      count: () => ({ living: 9, recorded: 9 }),
      maxUnhealthyPercent: () => 30,
    };
    const sweep = { leader: true, known: 9, late: 1, roundTripMs: 1, passed: [], doubts: [], probed: [] };
    let state = initialDetectorState;
    const asked: string[][] = [];
    // long enough without a gap, so that no grace is left
    for (let nowMs = 5_000; nowMs <= 10_200; nowMs += 100) {
      const silent = nowMs < 10_000 ? [] : [{ member: 'shop/a', deadlineMs: 10_000 }];
      const step = stepDetector(state, { ...sweep, nowMs, cursorMs: nowMs, asked: silent }, catalog);
      state = step.state;
      if (step.actions.length > 0) asked.push(step.actions.map(({ type }) => type));
    }

    expect(asked).toEqual([['probe', 'suspect'], ['suspect'], ['suspect']]);
  });

  it('gives a silent instance whose address answers a second TTL, then evicts it', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);

    w.run(TTL + 200, (member) => member !== 'shop/3');
    expect(w.is('shop/3')).toBe('suspect');
    w.run(TTL + 200, (member) => member !== 'shop/3');

    expect(w.is('shop/3')).toBe('dead');
    expect(w.evidence('shop/3')).toMatchObject({ because: 'silence' });
  });

  it('asks one who does not answer four times, each more patiently, and not before a second TTL it evicts it', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.answer('shop/3', 'timeout');
    const diedAtMs = w.nowMs();

    w.run(4 * TTL, (member) => member !== 'shop/3');

    expect(w.evicted()).toEqual(['shop/3']);
    const patience = w.log.flatMap(({ action }) => (action.type === 'probe' ? [action.patience] : []));
    // the fourth longer still, for by then the monitor doubts itself too
    expect(patience.slice(0, 3)).toEqual([1, 2, 4]);
    expect(patience[3]).toBeGreaterThanOrEqual(8);
    expect(w.log.find(({ action }) => action.type === 'suspect')?.atMs).toBeLessThanOrEqual(diedAtMs + TTL + SWEEP);
    const evictedAtMs = w.log.find(({ action }) => action.type === 'evict')?.atMs ?? 0;
    expect(evictedAtMs).toBeGreaterThanOrEqual(diedAtMs + 2 * TTL - SWEEP);
    expect(evictedAtMs).toBeLessThanOrEqual(diedAtMs + 3 * TTL);
  });

  it('keeps one whose packets get lost: its first probes fail, a later one is answered', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.answer('shop/3', 'timeout');
    w.run(TTL + TTL / 3, (member) => member !== 'shop/3');
    w.answer('shop/3', 'answered');

    w.run(TTL / 2, (member) => member !== 'shop/3');
    w.run(2 * TTL, everybody);

    expect(w.evicted()).toEqual([]);
    expect(w.is('shop/3')).toBe('alive');
  });

  it('keeps one whose application answers, as a suspect, while its heartbeats do not come through', () => {
    const w = world(fleet(10), { kind: 'http' });
    w.run(5_000, everybody);

    w.run(20 * TTL, (member) => member !== 'shop/3');
    expect(w.evicted()).toEqual([]);
    expect(w.is('shop/3')).toBe('suspect');
    w.answer('shop/3', 'refused');
    w.run(3 * TTL, (member) => member !== 'shop/3');

    expect(w.evicted()).toEqual(['shop/3']);
  });

  it('gives the last ones of a crowd that comes back one by one a TTL of their own', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.run(10 * TTL, (member) => !['shop/1', 'shop/2', 'shop/3', 'shop/4'].includes(member));
    expect(w.evicted()).toEqual([]);

    // two are no crowd
    w.run(TTL - 2 * SWEEP, (member) => !['shop/1', 'shop/2'].includes(member));
    w.run(TTL, everybody);

    expect(w.evicted()).toEqual([]);
  });

  it('evicts the only instance of a service when it falls silent: a TTL is a promise', () => {
    const w = world([...fleet(8, 'other'), 'shop/only']);
    w.run(5_000, everybody);

    w.run(4 * TTL, (member) => member !== 'shop/only');

    expect(w.evicted()).toEqual(['shop/only']);
  });

  it('sees at once that another process has taken the address over', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.answer('shop/3', 'other');

    w.run(TTL + 200, (member) => member !== 'shop/3');

    expect(w.evidence('shop/3')).toMatchObject({ because: 'address-taken' });
  });

  it('revives a suspect that is heard again', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.run(TTL + 100, (member) => member !== 'shop/3');
    expect(w.is('shop/3')).toBe('suspect');

    w.run(400, everybody);

    expect(w.is('shop/3')).toBe('alive');
    expect(w.evicted()).toEqual([]);
  });

  it('evicts nobody for two TTLs after a gap in its own sweeps, whoever stalled (I1)', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.run(30_000, nobody, true);

    w.run(2 * TTL - SWEEP, nobody);

    expect(w.evicted()).toEqual([]);
    expect(w.log.some(({ action }) => action.type === 'suspect')).toBe(false);
  });

  it('takes a time-out for nothing while it is in grace, but a refused connection for what it is', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.run(6_000, nobody, true);
    w.answer('shop/2', 'timeout');
    w.answer('shop/7', 'refused');

    w.run(2 * TTL - SWEEP, (member) => member !== 'shop/2' && member !== 'shop/7');

    expect(w.evicted()).toEqual(['shop/7']);
  });

  it('finds those who died during its absence once the grace is over', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.answer('shop/7', 'refused');
    w.run(6_000, (member) => member !== 'shop/7', true);

    w.run(3 * TTL, (member) => member !== 'shop/7');

    expect(w.evicted()).toEqual(['shop/7']);
  });

  it('takes a clock that steps back or far ahead for a stall', () => {
    for (const step of [-3_600_000, 3_600_000]) {
      const w = world(fleet(10));
      w.run(5_000, everybody);
      w.jump(step);
      w.run(2 * TTL - SWEEP, everybody);
      expect(w.evicted()).toEqual([]);
    }
  });

  it('holds a silent crowd that still answers, and lets its dead ones go (I2)', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    const silent = new Set(fleet(6));
    w.answer('shop/1', 'refused');
    w.answer('shop/4', 'timeout');

    w.run(20 * TTL, (member) => !silent.has(member));

    expect(w.evicted().sort()).toEqual(['shop/1', 'shop/4']);
    expect(w.is('shop/0')).toBe('suspect');
  });

  it('lets all of a crowd go that is truly dead', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    const dead = fleet(6);
    for (const member of dead) w.answer(member, 'refused');

    w.run(3_000, (member) => !dead.includes(member));

    expect(w.evicted().sort()).toEqual(dead);
  });

  it('never empties a service of two by silence alone (I3)', () => {
    const w = world([...fleet(10, 'other'), 'shop/a', 'shop/b']);
    w.run(5_000, everybody);

    w.run(20 * TTL, (member) => member.startsWith('other/'));

    expect(w.evicted()).toEqual([]);
  });

  it('evicts by silence where the owner wants no probes', () => {
    const w = world(fleet(10), { probes: false });
    w.run(5_000, everybody);

    w.run(3 * TTL, (member) => member !== 'shop/3');

    expect(w.evicted()).toEqual(['shop/3']);
    expect(w.log.some(({ action }) => action.type === 'probe')).toBe(false);
  });

  it('never evicts anybody who beats and answers, whatever stalls around it', () => {
    const stretch = fc.record({
      forMs: fc.integer({ min: 1, max: 80 }).map((n) => n * SWEEP),
      stalled: fc.boolean(),
      silent: fc.uniqueArray(fc.integer({ min: 0, max: 11 }), { maxLength: 12 }),
    });
    fc.assert(
      fc.property(fc.array(stretch, { minLength: 1, maxLength: 12 }), (stretches) => {
        const members = fleet(12);
        const w = world(members);
        const everSilent = new Set<string>();
        w.run(1_000, everybody);
        for (const { forMs, stalled, silent } of stretches) {
          for (const i of silent) everSilent.add(`shop/${i}`);
          w.run(forMs, (member) => !silent.includes(Number(member.split('/')[1])), stalled);
        }
        for (const member of w.evicted()) expect(everSilent).toContain(member);
      }),
      { numRuns: 300 },
    );
  });
});
