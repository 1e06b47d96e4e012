import { createLineReader } from './line-reader.ts';

describe('a connection of lines', () => {
  it('gives each line once, however its pieces come', () => {
    const read = createLineReader(10);

    expect('one\ntwo\r\n\nthr'.split('').flatMap((letter) => read(letter) ?? [])).toEqual(['one', 'two']);
    expect(read('ee\nfour\n')).toEqual(['three', 'four']);
  });

  it('gives up at a line that is too long, whether or not it ends', () => {
    expect(createLineReader(4)('12345')).toBeUndefined();
    expect(createLineReader(4)('12345\n')).toBeUndefined();
    expect(createLineReader(4)('1234\n1234')).toEqual(['1234']);
  });
});
