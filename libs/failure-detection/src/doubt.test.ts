import { everybody, fleet, SWEEP, TTL, world } from './detector-fixture.ts';
import type { ProbeOutcome } from './index.ts';

describe('a doubt', () => {
  const doubted = (outcome: ProbeOutcome) => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.answer('shop/3', outcome);
    w.doubt('shop/3');
    return w;
  };

  it('asks at once, and evicts who refuses, long before the deadline', () => {
    const w = doubted('refused');
    const fromMs = w.nowMs();

    w.run(3 * SWEEP, (member) => member !== 'shop/3');

    expect(w.evicted()).toEqual(['shop/3']);
    expect((w.log.find(({ action }) => action.type === 'evict')?.atMs ?? Infinity) - fromMs).toBeLessThanOrEqual(
      2 * SWEEP,
    );
    expect(w.log.some(({ action }) => action.type === 'suspect')).toBe(false);
    expect(w.evidence('shop/3')).toMatchObject({
      because: 'probe-failed',
      detail: 'it refuses connections (seen by d1), and the probe refused',
      witnesses: [{ because: 'connect-failed', by: 'd1', detail: 'it refuses connections' }],
      localHealth: 0,
    });
  });

  it('is over when the instance answers, and nobody is told', () => {
    const w = doubted('answered');
    w.run(2_000, everybody);
    expect(w.log.map(({ action }) => action.type)).toEqual(['probe']);
    expect(w.suspicions()).toBe(0);
  });

  it('makes a suspect of who does not answer; a heartbeat after that ends it', () => {
    const w = doubted('timeout');
    w.run(2 * SWEEP, (member) => member !== 'shop/3');
    expect(w.is('shop/3')).toBe('suspect');
    expect(w.log.at(-1)?.action).toMatchObject({ type: 'suspect', by: 'doubt', evidence: { because: 'probe-failed' } });

    w.run(300, everybody);

    expect(w.is('shop/3')).toBe('alive');
    expect(w.evicted()).toEqual([]);
  });

  it('holds in a grace: a refused connection is evidence that is there', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.run(6_000, everybody, true);
    w.answer('shop/3', 'refused');
    w.answer('shop/4', 'timeout');
    w.doubt('shop/3');
    w.doubt('shop/4');

    w.run(4 * SWEEP, everybody);

    expect(w.evicted()).toEqual(['shop/3']);
    expect(w.is('shop/4')).toBe('alive');
  });

  it('of one that is no longer there, or wants no probes, does nothing', () => {
    const w = world(fleet(10), { probes: false });
    w.run(5_000, everybody);
    w.doubt('shop/3');
    w.doubt('shop/99');
    w.run(500, everybody);
    expect(w.log).toEqual([]);
  });

  it('shortens the wait for silence, more with each witness that is another one', () => {
    const silentFor = (witnesses: readonly string[]): number => {
      const w = world(fleet(10));
      w.run(5_000, everybody);
      const fromMs = w.nowMs();
      w.run(TTL - 100, (member) => member !== 'shop/3');
      for (const witness of witnesses) w.doubt('shop/3', witness, 'request-timeout');
      w.run(3 * TTL, (member) => member !== 'shop/3');
      return (w.log.find(({ action }) => action.type === 'evict')?.atMs ?? Infinity) - fromMs;
    };
    const [none, one, same, three] = [[], ['d1'], ['d1', 'd1'], ['d1', 'd2', 'd3']].map(silentFor) as [
      number,
      number,
      number,
      number,
    ];
    // the doubt is answered first; only what comes while it is silent counts
    expect(one).toBeLessThanOrEqual(none);
    expect(same).toBe(one);
    expect(three).toBeLessThanOrEqual(one);
  });
});

describe('a monitor with thousands of suspects', () => {
  it('starves nobody: those beyond its window are revived, and evicted, in their turn', () => {
    const w = world([...fleet(40), ...fleet(60, 'calm')], { askLimit: 4 });
    w.run(5_000, everybody);
    for (const member of fleet(20)) w.answer(member, 'refused');

    w.run(4 * TTL, (member) => member.startsWith('calm/'));
    expect(w.evicted().sort()).toEqual(fleet(20).sort());

    w.run(4 * TTL, (member) => !fleet(20).includes(member));
    expect(fleet(40).map((member) => w.is(member))).toEqual([
      ...fleet(20).map(() => 'dead'),
      ...fleet(20).map(() => 'alive'),
    ]);
  });

  it('asks a large crowd before it tells anybody: the dead go in one step, those who answer are suspects', () => {
    const w = world([...fleet(300), ...fleet(600, 'calm')]);
    w.run(1_800, everybody);
    for (const member of fleet(290)) w.answer(member, 'refused');

    w.run(2 * TTL, (member) => member.startsWith('calm/'));

    expect(w.evicted()).toHaveLength(290);
    const suspected = w.log.flatMap(({ action }) => (action.type === 'suspect' ? [action.member] : []));
    expect(new Set(suspected)).toEqual(new Set(fleet(300).slice(290)));
  });

  it('says each hold once, with its evidence', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.run(10 * TTL, (member) => !fleet(6).includes(member));
    expect(w.holds.map(({ member }) => member).sort()).toEqual(fleet(6));
    expect(w.holds[0]?.evidence).toMatchObject({ because: 'silence', missedBeats: expect.any(Number), localHealth: 0 });
    expect(w.evicted()).toEqual([]);
  });
});

describe('missing evidence', () => {
  it('that is a time-out evicts one of a crowd only after long patience, and never the last of a service', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    for (const member of fleet(6)) w.answer(member, 'timeout');
    w.run(8 * TTL, (member) => !fleet(6).includes(member));
    expect(w.evicted()).toEqual([]);

    const last = world([...fleet(20, 'calm'), 'shop/a', 'shop/b']);
    last.run(5_000, everybody);
    last.answer('shop/a', 'timeout');
    last.answer('shop/b', 'timeout');
    last.run(4 * TTL, (member) => member !== 'shop/a');
    expect(last.evicted()).toEqual(['shop/a']);
    last.run(30 * TTL, (member) => member.startsWith('calm/'));
    expect(last.evicted()).toEqual(['shop/a']);
    expect(last.is('shop/b')).toBe('suspect');
  });

  it('leaves a suspect of a check to its check, however it beats', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.put('shop/3', { liveness: 'suspect', suspectedBy: 'check', sinceMs: w.nowMs() });
    w.run(2_000, everybody);
    expect(w.is('shop/3')).toBe('suspect');
  });

  it('counts for nothing for two TTLs after a sweep that was late, but a suspicion is still raised', () => {
    const w = world(fleet(10));
    w.run(5_000, everybody);
    w.run(TTL + 400, (member) => member !== 'shop/3');
    w.jump(200);
    w.run(2 * TTL - SWEEP, (member) => member !== 'shop/3');
    expect([w.is('shop/3'), w.evicted()]).toEqual(['suspect', []]);
    w.run(4 * SWEEP, (member) => member !== 'shop/3');
    expect(w.evicted()).toEqual(['shop/3']);
  });
});
