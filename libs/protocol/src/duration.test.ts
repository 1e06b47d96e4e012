import { durationSchema, formatDurationMs, parseDurationMs } from './duration.ts';

describe('parseDurationMs', () => {
  it.each([
    ['500ms', 500],
    ['3s', 3_000],
    ['1m', 60_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['1.5s', 1_500],
    ['0s', 0],
    [' 3s ', 3_000],
    ['0.5ms', 1],
  ])('%j is %i ms', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each([
    '',
    '3',
    's',
    '3 s',
    '-3s',
    '+3s',
    '3S',
    '3sec',
    '1e3s',
    '.5s',
    '1.s',
    '1.2345s',
    '3s3s',
    '1h30m',
    '9999999999s',
    'Infinity',
    '3µs',
  ])('%j is no duration', (text) => {
    expect(parseDurationMs(text)).toBeUndefined();
  });
});

describe('formatDurationMs', () => {
  it.each([
    [0, '0ms'],
    [1, '1ms'],
    [999, '999ms'],
    [1_000, '1s'],
    [1_500, '1500ms'],
    [60_000, '1m'],
    [90_000, '90s'],
    [3_600_000, '1h'],
    [86_400_000, '1d'],
    [604_800_000, '7d'],
  ])('%i ms is %j', (ms, text) => {
    expect(formatDurationMs(ms)).toBe(text);
  });

  it('is read back exactly', () => {
    for (let ms = 0; ms < 200_000; ms += 37) expect(parseDurationMs(formatDurationMs(ms))).toBe(ms);
  });
});

describe('durationSchema', () => {
  const schema = durationSchema(500, 60_000);

  it('takes both bounds and keeps the written form', () => {
    for (const text of ['500ms', '0.5s', '1m', '60s']) expect(schema.parse(text)).toBe(text);
  });

  it('names the range to who is outside of it', () => {
    for (const text of ['499ms', '61s', '3', '', 'soon']) {
      expect(schema.safeParse(text).error?.issues[0]?.message).toBe(
        'must be a duration such as "3s", from 500ms to 1m',
      );
    }
    expect(schema.safeParse(3_000).success).toBe(false);
  });
});
