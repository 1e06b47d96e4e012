import { createLineReader, encodeCommand, maxLineBytes } from './resp.ts';

describe('encodeCommand', () => {
  it('counts bytes, not characters', () => {
    expect(encodeCommand(['AUTH', 'pä\r\nss']).toString()).toBe('*2\r\n$4\r\nAUTH\r\n$7\r\npä\r\nss\r\n');
  });
});

describe('createLineReader', () => {
  it('gives the same lines whatever the chunks are, and skips keep-alive newlines', () => {
    const bytes = Buffer.from('\n\n+PONG\r\n\n\r\n+FULLRESYNC x 1\r\nrest');
    for (let size = 1; size <= bytes.length; size += 1) {
      const reader = createLineReader();
      const lines: string[] = [];
      for (let at = 0; at < bytes.length; at += size) {
        reader.push(bytes.subarray(at, at + size));
        for (let line = reader.next(); line !== undefined; line = reader.next()) lines.push(line);
      }
      expect({ size, lines, rest: reader.drain().toString() }).toEqual({
        size,
        lines: ['+PONG', '+FULLRESYNC x 1'],
        rest: 'rest',
      });
    }
  });

  it('accepts a line of the longest length and refuses a longer one, ended or not', () => {
    const longest = createLineReader();
    longest.push(Buffer.from(`${'x'.repeat(maxLineBytes)}\r\n`));
    expect(longest.next()).toHaveLength(maxLineBytes);
    for (const end of ['', '\r\n']) {
      const reader = createLineReader();
      reader.push(Buffer.from('x'.repeat(maxLineBytes + 2) + end));
      expect(() => reader.next()).toThrow('longer than 4096 bytes');
    }
  });
});
