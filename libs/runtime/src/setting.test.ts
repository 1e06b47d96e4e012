import { describe, expect, it } from '@jest/globals';
import type { RawValue, Setting } from './setting.ts';
import { setting } from './setting.ts';

const of = { env: 'SWITCHYARD_DEMO_X', doc: 'x' };
const read = (one: Setting<unknown>, raw: RawValue): unknown => {
  const parsed = one.parse(raw);
  return parsed.ok ? parsed.value : 'refused';
};

describe('a setting', () => {
  it.each([
    [
      'integer',
      setting.integer({ ...of, min: 1, max: 10 }),
      { '1': 1, ' 10 ': 10, '11': 'refused', '1.5': 'refused', '1e1': 'refused', x: 'refused' },
    ],
    [
      'number',
      setting.number({ ...of, min: 0, max: 1 }),
      { '0.25': 0.25, '.5': 0.5, '1.1': 'refused', NaN: 'refused' },
    ],
    ['port', setting.port(of), { '0': 0, '65535': 65_535, '65536': 'refused', '-1': 'refused' }],
    ['boolean', setting.boolean(of), { TRUE: true, on: true, '0': false, maybe: 'refused', constructor: 'refused' }],
    [
      'durationMs',
      setting.durationMs({ ...of, max: 60_000 }),
      { '250': 250, '3s': 3000, '1m': 60_000, '2m': 'refused', soon: 'refused' },
    ],
    [
      'bytes',
      setting.bytes(of),
      { '10': 10, '64MiB': 67_108_864, '1 kb': 1000, '1.5KiB': 1536, '1 parsec': 'refused' },
    ],
    ['url', setting.url(of), { 'http://a:1': 'http://a:1', 'redis://a': 'refused', a: 'refused' }],
    ['string', setting.string({ ...of, pattern: /^[a-z]+$/ }), { abc: 'abc', A1: 'refused' }],
    ['choice', setting.choice({ ...of, choices: ['a', 'b'] }), { A: 'a', c: 'refused' }],
  ] as const)('of the kind %s reads text strictly', (_kind, one, cases) => {
    for (const [raw, expected] of Object.entries(cases))
      expect([raw, read(one as Setting<unknown>, raw)]).toEqual([raw, expected]);
  });

  it('of the kind list takes commas or a sequence, and keeps its bounds', () => {
    const one = setting.list({ ...of, maxItems: 2, item: /^\w+:\d+$/, itemName: 'host:port' });

    expect(read(one, 'a:1, b:2,')).toEqual(['a:1', 'b:2']);
    expect(read(one, ['a:1'])).toEqual(['a:1']);
    expect(read(one, 'a:1,b')).toBe('refused');
    expect(read(one, 'a:1,b:2,c:3')).toBe('refused');
    expect(one.expected).toBe('a list of at most 2 items, each host:port');
  });
});
