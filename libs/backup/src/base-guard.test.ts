import { whyBaseWanted, whyNoBaseNow, type BaseGuardFacts } from './base-guard.ts';

const calm: BaseGuardFacts = { memory: null, isBusy: false, isInFailover: false, workBy: null };

describe('whyNoBaseNow', () => {
  it('lets a node be copied that has room, in a group that nobody works on', () => {
    expect(whyNoBaseNow('r2', calm)).toEqual([]);
    expect(whyNoBaseNow('r2', { ...calm, memory: { usedBytes: 800, machineBytes: 1_000 } })).toEqual([]);
    expect(whyNoBaseNow('r2', { ...calm, memory: { usedBytes: 800, machineBytes: null } })).toEqual([]);
  });

  it('names every reason to wait', () => {
    const memory = { usedBytes: 801, machineBytes: 1_000 };
    expect(whyNoBaseNow('r2', { memory, isBusy: true, isInFailover: true, workBy: 'switchover op-1' })).toEqual([
      'a failover is under way',
      'work on the group is under way: switchover op-1',
      'r2: it saves or rewrites its data already',
      expect.stringContaining('too little memory for a fork'),
    ]);
  });
});

describe('whyBaseWanted', () => {
  it('wants one where there is none, when the stream has grown past the bound or twice the base, and for a run that was missed', () => {
    const bounds = { mostBytes: 100, everyMs: 1_000 };
    const since = { offset: 151, base: { offset: 50, rawBytes: 10 }, ageMs: 0 };
    expect(whyBaseWanted({ ...since, base: null }, bounds)).toContain('no base');
    expect(whyBaseWanted({ ...since, offset: 150 }, bounds)).toBeNull();
    expect(whyBaseWanted(since, bounds)).toContain('101 bytes');
    expect(whyBaseWanted({ ...since, base: { offset: 50, rawBytes: 60 } }, bounds)).toBeNull();
    expect(whyBaseWanted({ ...since, offset: 60, ageMs: 1_250 }, bounds)).toBeNull();
    expect(whyBaseWanted({ ...since, offset: 60, ageMs: 1_251 }, bounds)).toContain('a run was missed');
  });
});
