import type { SwitchyardEvent } from '@switchyard/protocol';
import { dryRun, silencesIn } from './dry-run.ts';
import type { RecordedSilence } from './dry-run.ts';

const silence = (id: string, more: Partial<RecordedSilence> = {}): RecordedSilence => ({
  service: 'shop',
  id,
  ttlMs: 3_000,
  lastBeatMs: 1_000_000,
  endMs: 1_008_000,
  probes: ['timeout'],
  ...more,
});
const fleet = (size: number) => new Map([['shop', size]]);
const as = (more: object = {}) => ({ maxUnhealthyPercentOf: () => 30, untilMs: 10_000_000, ...more });
const evicted = (...args: Parameters<typeof dryRun>): string[] => dryRun(...args).evicted.map(({ member }) => member);

describe('a dry run', () => {
  it('evicts whom the settings in force evicted, and nobody with a TTL that outlasts the silence', () => {
    const silences = [silence('a')];

    expect(evicted(silences, fleet(10), as())).toEqual(['shop/a']);
    expect(evicted(silences, fleet(10), as({ ttlMs: 10_000 }))).toEqual([]);
    expect(dryRun(silences, fleet(10), as({ ttlMs: 10_000 })).suspected).toEqual([]);
  });

  it('evicts the dead whatever the crowd, and holds the silent who answer', () => {
    const dead = ['a', 'b', 'c', 'd'].map((id) => silence(id, { endMs: undefined, probes: ['refused'] }));
    const cutOff = ['e', 'f', 'g', 'h'].map((id) => silence(id, { probes: ['answered'], endMs: 1_030_000 }));

    expect(evicted(dead, fleet(10), as()).toSorted()).toEqual(['shop/a', 'shop/b', 'shop/c', 'shop/d']);
    const held = dryRun(cutOff, fleet(10), as());
    expect(held.evicted).toEqual([]);
    expect(held.held.map(({ member }) => member)).toContain('shop/e');
    expect(held.held[0]?.reason).toContain('went silent together');
  });

  it('shows what a laxer guard would have cost', () => {
    const cutOff = ['e', 'f', 'g', 'h'].map((id) => silence(id, { probes: ['answered'], endMs: 1_030_000 }));

    const lax = evicted(cutOff, fleet(10), as({ crowdPercent: 90, maxUnhealthyPercent: 90 }));

    expect(lax).toHaveLength(4);
  });

  it('says nothing of a time that has not been', () => {
    const silences = [silence('a', { endMs: undefined })];

    expect(evicted(silences, fleet(10), as({ untilMs: 1_002_000 }))).toEqual([]);
    expect(evicted(silences, fleet(10), as())).toEqual(['shop/a']);
  });

  it('judges silences that lie far apart as episodes of their own', () => {
    const far = [0, 1, 2, 3].map((n) =>
      silence(`i${n}`, { lastBeatMs: 1_000_000 + n * 600_000, endMs: 1_020_000 + n * 600_000, probes: ['answered'] }),
    );

    const trial = dryRun(far, fleet(10), as());

    expect(trial.episodes).toBe(4);
    expect(trial.evicted).toHaveLength(4);
  });

  it('reads silences from the events: when the last heartbeat was, how it ended, what its probes said', () => {
    const at = (seconds: number): string => new Date(1_000_000_000_000 + seconds * 1_000).toISOString();
    const instance = { service: 'shop', id: 'a', ttlMs: 3_000 };
    const probes = [{ kind: 'tcp', outcome: 'timeout', tookMs: 500 }];
    const events = [
      {
        type: 'instance.suspected',
        time: at(4),
        data: { instance, evidence: { because: 'silence', detail: '', deadlineMs: 1_000_000_004_000 } },
      },
      {
        type: 'instance.evicted',
        time: at(7),
        data: { instance, evidence: { because: 'silence', detail: '', deadlineMs: 1_000_000_004_000, probes } },
      },
      { type: 'instance.registered', time: at(20), data: { instance } },
      {
        type: 'instance.suspected',
        time: at(60),
        data: { instance, evidence: { because: 'silence', detail: '', deadlineMs: 1_000_000_060_000 } },
      },
    ] as unknown as SwitchyardEvent[];

    expect(silencesIn(events)).toEqual([
      {
        service: 'shop',
        id: 'a',
        ttlMs: 3_000,
        lastBeatMs: 1_000_000_001_000,
        endMs: 1_000_000_020_000,
        probes: ['timeout'],
      },
      { service: 'shop', id: 'a', ttlMs: 3_000, lastBeatMs: 1_000_000_057_000, endMs: undefined, probes: [] },
    ]);
  });
});
