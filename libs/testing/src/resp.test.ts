import { encodeCommand, parseReply } from './resp.ts';

const parse = (text: string): unknown => parseReply(Buffer.from(text), 0)?.value;

describe('RESP', () => {
  it('counts bytes, not characters, in a command', () => {
    expect(encodeCommand(['SET', 'ä', 1])).toBe('*3\r\n$3\r\nSET\r\n$2\r\nä\r\n$1\r\n1\r\n');
  });

  it('reads every kind of reply', () => {
    expect(parse('+OK\r\n')).toBe('OK');
    expect(parse(':-7\r\n')).toBe(-7);
    expect(parse('$2\r\nä\r\n')).toBe('ä');
    expect(parse('$-1\r\n')).toBeNull();
    expect(parse('*2\r\n*1\r\n:1\r\n$0\r\n\r\n')).toEqual([[1], '']);
    expect(() => parse('-ERR no\r\n')).toThrow('ERR no');
  });

  it('waits for the rest of a reply wherever it is cut', () => {
    const whole = '*2\r\n$3\r\nfoo\r\n:12\r\n';
    for (let length = 0; length < whole.length; length += 1) expect(parse(whole.slice(0, length))).toBeUndefined();
    expect(parse(whole)).toEqual(['foo', 12]);
  });
});
