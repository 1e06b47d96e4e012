import { divergenceOf } from './divergence.ts';

const stream = (facts: Partial<Parameters<typeof divergenceOf>[0]>): Parameters<typeof divergenceOf>[0] => ({
  lineage: 'a',
  previousLineage: null,
  sharedOffset: null,
  offset: 1_000,
  ...facts,
});
const promoted = stream({ lineage: 'b', previousLineage: 'a', sharedOffset: 900, offset: 5_000 });

describe('the divergence of an old primary', () => {
  it('is what it has beyond the byte where the new one branched off', () => {
    expect(divergenceOf(stream({ offset: 1_000 }), promoted)).toMatchObject({ bytes: 100 });
    expect(divergenceOf(stream({ offset: 901 }), promoted)).toMatchObject({ bytes: 1 });
    expect(divergenceOf(stream({ offset: 900 }), promoted)).toMatchObject({ bytes: 0 });
    expect(divergenceOf(stream({ offset: 800 }), promoted)).toMatchObject({ bytes: 0 });
  });
  it('is none while both are of one stream and the new one is not behind', () => {
    expect(divergenceOf(stream({}), stream({ offset: 1_000 }))).toMatchObject({ bytes: 0 });
    expect(divergenceOf(stream({}), stream({ offset: 999 }))).toMatchObject({ bytes: null });
  });
  it.each([
    ['it restarted with a new stream', stream({ lineage: 'c' }), promoted],
    ['more happened in between', stream({}), stream({ lineage: 'd', previousLineage: 'b', sharedOffset: 7_000 })],
    ['the new one does not say where it branched off', stream({}), stream({ lineage: 'b', previousLineage: 'a' })],
    ['the old one says nothing', stream({ offset: null }), promoted],
  ])('is not known, and says why, when %s', (_why, old, now) => {
    const { bytes, detail } = divergenceOf(old, now);
    expect(bytes).toBeNull();
    expect(detail.length).toBeGreaterThan(20);
  });
});
