import { createProbeWatch, outlastsOutage, type ProbeWatch } from './probe-watch.ts';

const probed = (watch: ProbeWatch, marks: string, id = 'a') =>
  marks.split('').map((mark) => {
    const detail = mark === '+' ? 'its check answered 200' : 'its address refuses connections';
    return watch.record({ service: 'shop', id, answered: mark === '+', detail }) ?? '';
  });

describe('the probe watch', () => {
  it('takes three failures in a row for a verdict, and says why', () => {
    const watch = createProbeWatch();
    expect(probed(watch, '---')).toEqual(['', '', 'out']);
    expect(watch.reasonOf('shop', 'a')).toBe('3 probes in a row failed, the last one: its address refuses connections');
    expect(watch.out()).toMatchObject([{ service: 'shop', id: 'a' }]);
    expect(probed(watch, '--')).toEqual(['', '']);
  });

  it('begins to count anew after an answer', () => {
    const watch = createProbeWatch();
    expect(probed(watch, '--+--+--').join('')).toBe('');
    expect(watch.reasonOf('shop', 'a')).toBeUndefined();
  });

  it('takes two answers in a row to bring one back', () => {
    const watch = createProbeWatch();
    expect(probed(watch, '---+-+-++')).toEqual(['', '', 'out', '', '', '', '', '', 'in']);
    expect([watch.reasonOf('shop', 'a'), watch.out()]).toEqual([undefined, []]);
    expect(probed(watch, '--').join('')).toBe('');
  });

  it('has settings', () => {
    const watch = createProbeWatch({ fall: 1, rise: 1 });
    expect(probed(watch, '-+')).toEqual(['out', 'in']);
  });

  it('counts for each instance as its owner wants', () => {
    const watch = createProbeWatch();
    const seen = { service: 'shop', id: 'a', detail: 'its check answered 500', settings: { fall: 1, rise: 3 } };
    expect(watch.record({ ...seen, answered: false })).toBe('out');
    expect(watch.reasonOf('shop', 'a')).toBe('its probe failed: its check answered 500');
    expect([1, 2, 3].map(() => watch.record({ ...seen, answered: true }))).toEqual([undefined, undefined, 'in']);
    expect(probed(watch, '---', 'b')).toEqual(['', '', 'out']);
  });

  it('knows who is between two verdicts', () => {
    const watch = createProbeWatch();
    const turning = (marks: string) => {
      probed(watch, marks);
      return watch.isTurning('shop', 'a');
    };
    expect(['+', '-', '-', '-', '-', '+', '-', '+', '+', '+'].map(turning)).toEqual([
      false,
      true,
      true,
      false,
      false,
      true,
      false,
      true,
      false,
      false,
    ]);
  });

  it('takes over the verdict of somebody else', () => {
    const watch = createProbeWatch();
    watch.adopt('shop', 'a', 'said by another one');
    expect(watch.reasonOf('shop', 'a')).toBe('said by another one');
    expect(probed(watch, '-+-++')).toEqual(['', '', '', '', 'in']);
  });

  it('keeps instances apart, and no record of those that answer', () => {
    const watch = createProbeWatch();
    probed(watch, '---', 'a');
    probed(watch, '--+', 'b');
    expect([watch.forget('shop', 'b'), watch.forget('shop', 'a'), watch.forget('shop', 'a')]).toEqual([
      false,
      true,
      false,
    ]);
  });

  it('forgets who is gone, and single failures when an outage is over', () => {
    const watch = createProbeWatch();
    for (const id of ['a', 'b']) probed(watch, '---', id);
    probed(watch, '--', 'c');
    watch.retain((_service, id) => id !== 'a');
    watch.calm();
    expect(watch.out()).toMatchObject([{ id: 'b' }]);
    expect(probed(watch, '-', 'c')).toEqual(['']);
  });
});

describe('a verdict of probes after an outage', () => {
  it.each([
    ['alive', 0, true],
    ['alive', 3_999, true],
    ['alive', 4_000, false],
    ['suspect', 0, false],
    ['dead', 0, false],
    [undefined, 0, false],
  ] as const)('of one that is %s in a catalog readable for %i ms stands: %s', (liveness, readableMs, expected) => {
    expect(outlastsOutage({ liveness, ttlMs: 1_000, readableMs })).toBe(expected);
  });
});
