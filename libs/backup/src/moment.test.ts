import { parseMoment } from './moment.ts';

const nowMs = Date.parse('2026-11-21T12:00:00.000Z');

describe('parseMoment', () => {
  it.each([
    ['now', '2026-11-21T12:00:00.000Z'],
    ['-90s', '2026-11-21T11:58:30.000Z'],
    ['-1.5h', '2026-11-21T10:30:00.000Z'],
    ['2026-11-21T11:00:00Z', '2026-11-21T11:00:00.000Z'],
    ['2026-11-21T11:00Z', '2026-11-21T11:00:00.000Z'],
    ['2026-11-21 11:00:00.5Z', '2026-11-21T11:00:00.500Z'],
    ['2026-11-21T11:00:00.123456789+02:00', '2026-11-21T09:00:00.123Z'],
    ['2026-11-21t23:30:00-0230', '2026-11-22T02:00:00.000Z'],
    ['1763722800000', '2025-11-21T11:00:00.000Z'],
  ])('reads %s', (text, iso) => {
    const moment = parseMoment(text, nowMs);
    expect(moment.ok && new Date(moment.value).toISOString()).toBe(iso);
  });

  it.each([
    ['2026-11-21T11:00:00', 'no time zone'],
    ['2026-11-21', 'no time zone'],
    ['2026-02-30T00:00:00Z', 'calendar'],
    ['2026-01-01T24:30:00Z', 'calendar'],
    ['2026-01-01T00:00:61Z', 'calendar'],
    ['1763722800', '13 digits'],
    ['-5', 'no duration'],
    ['yesterday', 'can be understood'],
    ['', 'can be understood'],
  ])('refuses %j and says why', (text, why) => {
    expect(parseMoment(text, nowMs)).toMatchObject({
      ok: false,
      error: { code: 'invalid_input', detail: expect.stringContaining(why), next: expect.stringContaining('-90s') },
    });
  });
});
