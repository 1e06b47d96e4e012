import { backupLabelSchema } from '@switchyard/protocol';
import { seededRandom } from '@switchyard/testing';
import { labelFor, labelTimeMs } from './label.ts';

const free = (): boolean => false;

describe('labelFor', () => {
  it('writes the moment of the data', () => {
    expect(labelFor(Date.UTC(2026, 0, 2, 3, 4, 5, 678), free)).toBe('20260102T030405.678Z-full');
  });

  it('sorts as time does and can be read back (random)', () => {
    const random = seededRandom();
    const moments = Array.from({ length: 500 }, () => random.integer(0, 4_102_444_800_000)).toSorted((a, b) => a - b);
    const labels = moments.map((ms) => labelFor(ms, free));
    expect({ seed: random.seed, labels: labels.toSorted((a, b) => (a < b ? -1 : 1)) }).toEqual({
      seed: random.seed,
      labels,
    });
    expect({ seed: random.seed, moments: labels.map(labelTimeMs) }).toEqual({ seed: random.seed, moments });
    for (const label of labels) expect(backupLabelSchema.safeParse(label).success).toBe(true);
  });

  it('takes the next free millisecond, also over the end of a second', () => {
    const taken = new Set(['20260102T030405.998Z-full', '20260102T030405.999Z-full']);
    expect(labelFor(Date.UTC(2026, 0, 2, 3, 4, 5, 998), (label) => taken.has(label))).toBe('20260102T030406.000Z-full');
  });
});

describe('labelTimeMs', () => {
  it.each([
    '',
    'latest',
    '20260102T030405Z-full',
    '20261302T030405.000Z-full',
    '20260231T000000.000Z-full',
    '../20260102T030405.678Z-full',
  ])('knows that %j is no label', (label) => {
    expect(labelTimeMs(label)).toBeUndefined();
  });
});
