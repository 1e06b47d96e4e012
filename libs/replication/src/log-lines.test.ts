import { parseLogTime, selectLogLines } from './log-lines.ts';

const line = (time: string, text: string): string => `4711:X 21 Nov 2026 ${time} # ${text}`;
const day = Date.UTC(2026, 10, 21);
const at = (seconds: number): string => {
  const text = new Date(day + seconds * 1_000).toISOString();
  return text.slice(11, 23);
};
const window = { fromMs: day + 10_000, toMs: day + 20_000, aheadMs: 0, mostLines: 100, mostBytes: 10_000 };

describe('the lines of a log', () => {
  it.each([
    ['4711:M 21 Nov 2026 17:22:02.123 * Ready to accept connections', Date.UTC(2026, 10, 21, 17, 22, 2, 123)],
    ['1:S 01 Jan 2027 00:00:00.000 - Accepted', Date.UTC(2027, 0, 1)],
    ['99:C 29 Feb 2028 23:59:59.999 # oO0OoO0OoO0Oo Redis is starting', Date.UTC(2028, 1, 29, 23, 59, 59, 999)],
    ['', null],
    ['root:x:0:0:root:/root:/bin/bash', null],
    ['4711:M 21 Foo 2026 17:22:02.123 * text', null],
    ['{"level":30,"time":1}', null],
    ['4711:signal-handler (1795281722) Received SIGTERM', null],
  ])('say their time: %s', (text, expected) => {
    expect(parseLogTime(text)).toBe(expected);
  });

  it('are taken from the window alone, whatever stands between them', () => {
    const text = [
      line(at(9.999), 'before'),
      line(at(10), 'first'),
      'secret text that is no log',
      line(at(15), '+sdown master main 127.0.0.1 6379'),
      line(at(20), 'last'),
      line(at(20.001), 'after'),
    ].join('\r\n');
    expect(selectLogLines(text, window).map((one) => one.slice(one.indexOf('#')))).toEqual([
      '# first',
      '# +sdown master main 127.0.0.1 6379',
      '# last',
    ]);
  });

  it('of a process in another time zone are put right', () => {
    const text = line('01:00:15.000', 'one hour ahead');
    expect(selectLogLines(text, window)).toEqual([]);
    expect(selectLogLines(text, { ...window, aheadMs: 3_600_000 })).toEqual([text]);
  });

  it('keep beginning and end when there are too many, by number and by size', () => {
    const many = Array.from({ length: 1_000 }, (_none, index) => line(at(10 + index / 100), `line ${String(index)}`));
    const byLines = selectLogLines(many.join('\n'), { ...window, mostLines: 10, mostBytes: 100_000 });
    expect(byLines).toEqual([...many.slice(0, 5), '(990 lines were left out)', ...many.slice(-5)]);
    const bySize = selectLogLines(many.join('\n'), { ...window, mostLines: 1_000, mostBytes: 2_000 });
    expect(bySize.join('\n').length).toBeLessThan(2_100);
    expect([bySize[0], bySize.at(-1)]).toEqual([many[0], many.at(-1)]);
    const long = selectLogLines(line(at(15), 'x'.repeat(100_000)), window);
    expect(long[0]?.length).toBe(400);
  });
});
