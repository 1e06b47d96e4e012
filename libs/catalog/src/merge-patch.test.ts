import * as fc from 'fast-check';
import { applyMergePatch, mergePatch } from './merge-patch.ts';

const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean());
const { document } = fc.letrec<{ document: Record<string, unknown> }>((tie) => ({
  document: fc.dictionary(
    fc.constantFrom('a', 'b', 'c', '', 'fencingToken'),
    fc.oneof({ maxDepth: 3 }, leaf, fc.array(leaf, { maxLength: 3 }), tie('document')),
    { noNullPrototype: true },
  ),
}));

describe('a merge patch', () => {
  it('leads from any document to any other', () => {
    fc.assert(
      fc.property(document, document, (from, to) => {
        expect(applyMergePatch(from, mergePatch(from, to))).toEqual(to);
      }),
    );
  });

  it('is empty between equal documents, and says nothing of what stays', () => {
    expect(mergePatch({ a: 1, b: { c: [1] } }, { a: 1, b: { c: [1] } })).toEqual({});
    expect(mergePatch({ a: 1, b: { c: 2, d: 3 } }, { a: 1, b: { c: 2 } })).toEqual({ b: { d: null } });
  });

  it('takes a missing value and undefined for the same', () => {
    expect(mergePatch({ a: undefined }, {})).toEqual({});
    expect(mergePatch({}, { a: undefined })).toEqual({});
  });
});
