import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Doubt, Liveness } from '@switchyard/protocol';
import { initialDetectorState, membersToAsk, stepDetector } from './index.ts';
import type {
  CatalogFacts,
  DetectorAction,
  DetectorState,
  Hold,
  MemberFacts,
  ProbeOutcome,
  SweepFacts,
} from './index.ts';

const TTL = 700;
const SWEEP = 50;

/** A fleet with deadlines, a catalog and probes: the detector's whole world, on a clock that the test moves. */
function world(members: readonly string[], options: { readonly probes?: boolean; readonly askLimit?: number } = {}) {
  const known = new Map<string, MemberFacts>();
  const put = (member: string, more: Partial<MemberFacts> = {}): void => {
    const before = known.get(member);
    const fresh = { liveness: 'alive', suspectedBy: undefined, sinceMs: 0, ttlMs: TTL, probes: options.probes ?? true };
    known.set(member, { ...(before ?? (fresh as MemberFacts)), ...more });
  };
  for (const member of members) put(member);
  const deadline = new Map<string, number>();
  const answers = new Map<string, ProbeOutcome>();
  const log: { atMs: number; action: DetectorAction }[] = [];
  const holds: Hold[] = [];
  let state: DetectorState = initialDetectorState;
  let probed: { member: string; result: { kind: 'tcp'; outcome: ProbeOutcome; tookMs: number; detail: string } }[] = [];
  let doubts: Doubt[] = [];
  let nowMs = 10_000;
  const catalog: CatalogFacts = {
    find: (member) => known.get(member),
    count(service) {
      const recorded = [...known].filter(([member]) => member.startsWith(`${service}/`));
      return { recorded: recorded.length, living: recorded.filter(([, { liveness }]) => liveness !== 'dead').length };
    },
    maxUnhealthyPercent: () => 30,
  };
  const is = (member: string): Liveness | undefined => known.get(member)?.liveness;
  const beat = (member: string): void => {
    if (is(member) !== 'dead') deadline.set(member, nowMs + TTL);
  };
  const carryOut = (action: DetectorAction): void => {
    const { type, member } = action;
    if (type === 'suspect') put(member, { liveness: 'suspect', suspectedBy: action.by, sinceMs: nowMs });
    if (type === 'revive') put(member, { liveness: 'alive', suspectedBy: undefined, sinceMs: nowMs });
    if (type === 'evict') {
      put(member, { liveness: 'dead', sinceMs: nowMs });
      deadline.delete(member);
    }
    if (type !== 'probe') return;
    const outcome = answers.get(member) ?? 'answered';
    probed.push({ member, result: { kind: 'tcp', outcome, tookMs: 1, detail: `the probe ${outcome}` } });
  };
  const sweepOnce = (leader = true): void => {
    const suspects = [...known].filter(
      ([, { liveness, suspectedBy }]) => liveness === 'suspect' && suspectedBy !== 'check',
    );
    const asked = membersToAsk(
      state,
      suspects.map(([member]) => member),
      options.askLimit ?? 512,
    );
    const passed = [...deadline]
      .filter(([, at]) => at <= nowMs && at > state.cursorMs)
      .map(([member, deadlineMs]) => ({ member, deadlineMs, ttlMs: TTL }));
    const sweep: SweepFacts = {
      leader,
      nowMs,
      roundTripMs: 1,
      known: deadline.size,
      late: [...deadline.values()].filter((at) => at <= nowMs + TTL / 3).length,
      cursorMs: nowMs,
      passed,
      asked: asked.map((member) => ({ member, deadlineMs: deadline.get(member) })),
      doubts,
      probed,
    };
    [doubts, probed] = [[], []];
    const step = stepDetector(state, sweep, catalog);
    state = step.state;
    holds.push(...step.newHolds);
    for (const action of step.actions) {
      log.push({ atMs: nowMs, action });
      carryOut(action);
    }
  };
  for (const member of members) beat(member);
  return {
    /** Passes time; `alive` beat every 200 ms, sweeps run unless the monitor stalls. */
    run(forMs: number, alive: (member: string) => boolean, stalled = false) {
      for (const endMs = nowMs + forMs; nowMs < endMs; nowMs += SWEEP) {
        if (nowMs % 200 === 0) for (const member of members) if (alive(member)) beat(member);
        if (!stalled) sweepOnce();
      }
    },
    jump: (ms: number) => (nowMs += ms),
    answer: (member: string, outcome: ProbeOutcome) => answers.set(member, outcome),
    evicted: () => log.flatMap(({ action }) => (action.type === 'evict' ? [action.member] : [])),
    evidence: (member: string) =>
      log.flatMap(({ action }) => (action.type === 'evict' && action.member === member ? [action.evidence] : []))[0],
    is,
    put,
    holds,
    doubt(member: string, witness = 'd1', because: Doubt['because'] = 'connect-failed') {
      const [service = '', id = ''] = member.split('/');
      doubts.push({ service, id, because, detail: 'it refuses connections', witness });
    },
    health: () => state.health.score,
    suspicions: () => state.suspicions.size,
    nowMs: () => nowMs,
    log,
  };
}

const fleet = (count: number, service = 'shop'): string[] => Array.from({ length: count }, (_, i) => `${service}/${i}`);
const everybody = (): boolean => true;
const nobody = (): boolean => false;

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
