import type { NotableEvent } from '@switchyard/protocol';
import { baseAt, contentOf, modelTimeline, type ModelCommand } from './archive-fixture.ts';
import { viewArchive, type ArchiveContent } from './archive-view.ts';
import { archiveEvents, archiveWindow } from './window.ts';

const t0 = Date.parse('2026-11-21T12:00:00.000Z');
const commands = (start: number, atMs: number, count: number): ModelCommand[] =>
  Array.from({ length: count }, (_, index) => {
    const from = start + index * 50;
    return { from, to: from + 50, atMs: atMs + index * 1_000, name: 'SET' };
  });
const first = modelTimeline(commands(100, t0, 6), { start: 100, startedAtMs: t0, perSegment: () => 2 });
const second = modelTimeline(commands(900, t0 + 60_000, 4), {
  start: 900,
  startedAtMs: t0 + 60_000,
  perSegment: () => 2,
});
const backups = [
  baseAt(100, { atMs: t0 }),
  baseAt(900, { atMs: t0 + 60_000, timeline: second.id }),
  baseAt(1_000, { atMs: t0 + 62_000, ok: false }),
];
const windowOf = (content: ArchiveContent, mostEvents = 10) =>
  archiveWindow(viewArchive(content), { nowMs: t0 + 100_000, mostEvents });

describe('archiveWindow', () => {
  it('names what can be restored, the gap between and its reason', () => {
    const window = windowOf(contentOf([first, second], { backups }));
    expect(window).toMatchObject({
      group: 'main',
      continuous: true,
      from: '2026-11-21T12:00:00.000Z',
      to: '2026-11-21T12:01:03.000Z',
      rpoMs: 37_000,
      timelines: [
        { ranges: [{ from: { offset: 100 }, to: { offset: 400, at: '2026-11-21T12:00:05.000Z' } }] },
        { timeline: second.id, reason: 'gap', ranges: [{ from: { offset: 900 }, to: { offset: 1_100 } }] },
      ],
      gaps: [
        {
          from: { offset: 400, timeline: first.id },
          to: { offset: 900, timeline: second.id },
          reason: 'gap: the source could not continue',
        },
      ],
      points: [
        { offset: 100, state: 'verified', timeline: first.id },
        { offset: 900, state: 'verified', timeline: second.id },
      ],
    });
  });

  it('loses nothing of a silence that was followed', () => {
    const followed = { timeline: second.id, offset: 1_100, untilMs: t0 + 99_000 };
    expect(windowOf(contentOf([first, second], { backups, followed })).rpoMs).toBe(1_000);
  });

  it('sees no gap where a rollback begins a new timeline', () => {
    expect(windowOf(contentOf([first, second], { backups, reason: 'rollback' })).gaps).toEqual([]);
  });

  it('finds a hole within a timeline, and says what is missing', () => {
    const holed = { ...first, segments: first.segments.filter((_, index) => index !== 1) };
    const after = baseAt(300, { atMs: t0 + 4_000 });
    expect(windowOf(contentOf([holed], { backups: [...backups.slice(0, 1), after] })).gaps).toMatchObject([
      { from: { offset: 200 }, to: { offset: 300 }, reason: expect.stringContaining('missing from offset 200 to 300') },
    ]);
  });

  it('is empty, not missing, when there is nothing', () => {
    expect(windowOf(contentOf([]))).toEqual({
      group: 'main',
      continuous: false,
      from: null,
      to: null,
      rpoMs: null,
      points: [],
      timelines: [],
      gaps: [],
      events: [],
      moreEvents: 0,
    });
  });
});

describe('archiveEvents', () => {
  const event = (before: number, facts: Partial<NotableEvent> = {}): NotableEvent => ({
    kind: 'flush',
    command: 'FLUSHALL',
    before,
    atMs: t0 + before,
    database: null,
    detail: '',
    ...facts,
  });

  it('lists the newest first, each with what undoes it, and the ones told twice once', () => {
    const content = contentOf([first, second], { backups: backups.slice(1) });
    const give = (index: number, at: number, events: NotableEvent[], moreEvents = 0): void => {
      const segment = content.timelines[index]?.segments[at];
      if (segment !== undefined) Object.assign(segment, { events, moreEvents });
    };
    give(0, 0, [event(150)], 3);
    give(1, 0, [event(950, { kind: 'mass-delete', command: 'DEL', detail: '1000 keys' })]);
    give(1, 1, [event(950, { kind: 'mass-delete', command: 'DEL', detail: '90000 keys' }), event(1_050)]);
    const view = viewArchive(content);
    expect(archiveEvents(view, 10)).toMatchObject({
      moreEvents: 3,
      events: [
        { offset: 1_050, to: { offset: 1_050, timeline: second.id } },
        { offset: 950, detail: '90000 keys' },
        { offset: 150, to: null },
      ],
    });
    expect(archiveEvents(view, 1)).toMatchObject({ moreEvents: 5, events: [{ offset: 1_050 }] });
  });
});
