import { momentText, parseMomentOption } from './moment-option.ts';

describe('--to', () => {
  it.each([
    ['now', { time: 'now' }],
    ['-5m', { time: '-5m' }],
    ['2026-01-02T03:04:05+02:00', { time: '2026-01-02T03:04:05+02:00' }],
    ['time:now', { time: 'now' }],
    ['1767323045678', { time: '1767323045678' }],
    ['20260102T030405.678Z-full', { label: '20260102T030405.678Z-full' }],
    ['label:safety', { label: 'safety' }],
    ['offset:12', { offset: 12 }],
    ['offset:12@20260102T030405.678Z', { offset: 12, timeline: '20260102T030405.678Z' }],
    ['before:FLUSHALL', { before: 'FLUSHALL' }],
    ['before:FUNCTION|LOAD@-10m', { before: 'FUNCTION|LOAD', at: '-10m' }],
  ])('%s is %j, and back', (text, target) => {
    const parsed = parseMomentOption(text);
    expect(parsed).toEqual(target);
    expect(parseMomentOption(momentText(parsed))).toEqual(parsed);
  });

  it.each(['', 'offset:', 'offset:1x', 'before:', 'before:no such', 'offset:1@yesterday', 'label:'])(
    'refuses %j',
    (text) => {
      expect(() => parseMomentOption(text)).toThrow('names no moment');
    },
  );
});
