import { historyCover } from './history-cover.ts';

const node = { lineage: 'L1', offset: 500, previousLineage: 'L0', sharedOffset: 300 };

describe('a place in the history', () => {
  it.each([
    ['of the same lineage that was passed', { lineage: 'L1', offset: 500 }, 'covered'],
    ['of the same lineage further on', { lineage: 'L1', offset: 501 }, 'behind'],
    ['of the lineage before, within what is shared', { lineage: 'L0', offset: 300 }, 'covered'],
    ['of the lineage before, after the branch: it was lost', { lineage: 'L0', offset: 301 }, 'foreign'],
    ['of another lineage', { lineage: 'L2', offset: 1 }, 'foreign'],
  ] as const)('%s', (_name, place, cover) => {
    expect(historyCover(node, place)).toBe(cover);
  });

  it('of the lineage before is yet to come for a node that is still behind the branch', () => {
    expect(historyCover({ ...node, offset: 200 }, { lineage: 'L0', offset: 250 })).toBe('behind');
  });

  it('is foreign to a node that says nothing of its history', () => {
    const silent = { lineage: null, offset: null, previousLineage: null, sharedOffset: null };

    expect(historyCover(silent, { lineage: 'L1', offset: 1 })).toBe('foreign');
  });
});
