// What do the metrics of several workers say together?
import { addEnded, forgetGone, mergeTexts, type EndedSums } from './exposition.ts';

const text = (requests: Record<string, number>, memory: number): string =>
  [
    '# HELP x_requests_total Requests',
    '# TYPE x_requests_total counter',
    ...Object.entries(requests).map(([id, count]) => `x_requests_total{service="s",instance="${id}"} ${count}`),
    '# HELP x_seconds Time',
    '# TYPE x_seconds histogram',
    'x_seconds_bucket{le="0.1"} 2',
    'x_seconds_bucket{le="+Inf"} 3',
    'x_seconds_sum 0.5',
    'x_seconds_count 3',
    '# HELP x_memory_bytes Memory',
    '# TYPE x_memory_bytes gauge',
    `x_memory_bytes ${memory}`,
    'x_memory_bytes{kind="a b"} 1',
    '',
  ].join('\n');

describe('metrics of several workers', () => {
  it('sum counters and histograms and tell gauges apart', () => {
    const merged = mergeTexts(
      [
        { slot: 1, text: text({ a: 1, b: 2 }, 10) },
        { slot: 2, text: text({ a: 5 }, 20) },
      ],
      new Map(),
    );
    expect(merged.split('\n')).toEqual([
      '# HELP x_requests_total Requests',
      '# TYPE x_requests_total counter',
      'x_requests_total{service="s",instance="a"} 6',
      'x_requests_total{service="s",instance="b"} 2',
      '# HELP x_seconds Time',
      '# TYPE x_seconds histogram',
      'x_seconds_bucket{le="0.1"} 4',
      'x_seconds_bucket{le="+Inf"} 6',
      'x_seconds_sum 1',
      'x_seconds_count 6',
      '# HELP x_memory_bytes Memory',
      '# TYPE x_memory_bytes gauge',
      'x_memory_bytes{worker="1"} 10',
      'x_memory_bytes{worker="1",kind="a b"} 1',
      'x_memory_bytes{worker="2"} 20',
      'x_memory_bytes{worker="2",kind="a b"} 1',
      '',
    ]);
  });

  it('keep what ended workers have counted, also where no living one has counted yet, but not their gauges', () => {
    const ended: EndedSums = new Map();
    addEnded(ended, text({ a: 7, gone: 1 }, 30));
    addEnded(ended, text({ a: 1 }, 40));
    const merged = mergeTexts([{ slot: 1, text: text({ b: 1 }, 10) }], ended);
    expect(merged).toContain('x_requests_total{service="s",instance="a"} 8\n');
    expect(merged).toContain('x_seconds_count 9\n');
    expect(merged).not.toMatch(/x_memory_bytes(?:\{.*\})? [34]0/);
  });

  it('forget instances that nobody has any more, and nothing else', () => {
    const ended: EndedSums = new Map();
    addEnded(ended, text({ a: 7, gone: 1 }, 30));
    forgetGone(ended, [{ slot: 1, text: text({ a: 1 }, 10) }]);
    const merged = mergeTexts([{ slot: 1, text: text({ a: 1 }, 10) }], ended);
    expect(merged).toContain('instance="a"} 8\n');
    expect(merged).not.toContain('gone');
    expect(merged).toContain('x_seconds_count 6\n');
  });

  it('read labels with quotes, braces and spaces as they are', () => {
    const line = 'x_total{service="s",instance="a\\"} 1{b"} 3';
    const odd = `# HELP x_total X\n# TYPE x_total counter\n${line}\n`;
    expect(mergeTexts([{ slot: 1, text: odd }], new Map())).toBe(odd);
  });
});
