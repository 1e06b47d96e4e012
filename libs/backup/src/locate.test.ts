import { restorePointSchema, type RestoreTarget } from '@switchyard/protocol';
import { seededRandom } from '@switchyard/testing';
import {
  baseAt,
  contentOf,
  locateIn,
  modelTimeline,
  randomCommands,
  replid,
  type ModelCommand,
  type ModelTimeline,
} from './archive-fixture.ts';
import type { ArchiveContent } from './archive-view.ts';
import { restorableRanges } from './restorable.ts';

const t0 = Date.parse('2026-11-21T12:00:00.000Z');
const nowMs = t0 + 3_600_000;
const iso = (ms: number): string => new Date(ms).toISOString();

const command = (from: number, to: number, facts: { at: number; name?: string }): ModelCommand => {
  return { from, to, atMs: t0 + facts.at, name: facts.name ?? 'SET' };
};

// Two seconds of commands, a silence of a minute, a flush, and a few more.
const commands = [
  command(100, 150, { at: 1_000 }),
  command(150, 200, { at: 1_010 }),
  command(200, 260, { at: 2_000 }),
  command(260, 300, { at: 62_000, name: 'FLUSHALL' }),
  command(300, 350, { at: 62_000 }),
  command(350, 400, { at: 63_000 }),
];
const simple = modelTimeline(commands, { start: 100, startedAtMs: t0, perSegment: () => 2 });
const base = baseAt(100, { atMs: t0 });
const find = (
  to: RestoreTarget,
  more: Partial<ArchiveContent> & {
    timelines?: never;
    of?: readonly ModelTimeline[];
    reason?: 'gap' | 'rollback';
  } = {},
) => {
  const { of = [simple], ...rest } = more;
  return locateIn(of, contentOf(of, { backups: [base], ...rest }), { to, nowMs }).found;
};
const offsetOf = (found: ReturnType<typeof find>): unknown => (found.ok ? found.value.point.offset : found.error);
const whyOf = (found: ReturnType<typeof find>): string => (found.ok ? '' : (found.error.why ?? []).join('\n'));

describe('locate by time', () => {
  it.each([
    [0, 100],
    [999, 100],
    [1_000, 150],
    [1_009, 150],
    [1_010, 200],
    [2_000, 260],
    [30_000, 260],
    [61_999, 260],
    [62_000, 350],
    [63_000, 400],
  ])(
    'means, %i ms after the beginning, everything before offset %i: a silence belongs to what was before it',
    (at, offset) => {
      const found = find({ time: iso(t0 + at) });
      expect(found).toMatchObject({ ok: true, value: { notes: [], point: { offset, base: base.manifest.label } } });
      expect(found.ok && restorePointSchema.safeParse(found.value.point).success).toBe(true);
    },
  );

  it('knows the silence at the end only as long as it has followed', () => {
    const time = iso(t0 + 100_000);
    expect(offsetOf(find({ time }, { followed: { timeline: simple.id, offset: 400, untilMs: t0 + 100_000 } }))).toBe(
      400,
    );
    const refused = find({ time }, { followed: { timeline: simple.id, offset: 400, untilMs: t0 + 99_999 } });
    expect(refused).toMatchObject({ ok: false, error: { code: 'not_restorable' } });
    expect(whyOf(refused)).toContain(`Nearest before: ${iso(t0 + 63_000)}, offset 400`);
    expect(find({ time: 'now' })).toMatchObject({
      value: { point: { offset: 400 }, notes: [expect.stringContaining('nothing is known after')] },
    });
    const followed = { timeline: simple.id, offset: 400, untilMs: nowMs };
    expect(find({ time: 'now' }, { followed })).toMatchObject({ value: { point: { offset: 400 }, notes: [] } });
  });

  it('refuses the future and names the newest moment', () => {
    const refused = find({ time: iso(nowMs + 1) });
    expect(refused).toMatchObject({ ok: false, error: { code: 'not_restorable' } });
    expect(whyOf(refused)).toMatch(/in the future[^]*Nearest before: 2026-11-21T12:01:03.000Z, offset 400/);
  });

  it('refuses what was before the first backup and names the first moment', () => {
    const refused = find({ time: iso(t0 - 1) });
    expect(refused).toMatchObject({ ok: false, error: { code: 'not_restorable' } });
    expect(whyOf(refused)).toContain(`Nearest after: ${iso(t0)}, offset 100`);
    const late = find({ time: iso(t0 + 1_500) }, { backups: [baseAt(260, { atMs: t0 + 2_000 })] });
    expect(whyOf(late)).toContain(`Nearest after: ${iso(t0 + 2_000)}, offset 260`);
  });

  it('begins with the newest verified backup at or before the moment, never with a corrupt one', () => {
    const later = baseAt(200, { atMs: t0 + 1_010 });
    const corrupt = baseAt(260, { atMs: t0 + 2_000, ok: false });
    const unproven = baseAt(350, { atMs: t0 + 62_000, ok: null });
    const backups = [base, later, corrupt, unproven];
    for (const [offset, label, streamBytes] of [
      [150, base.manifest.label, 50],
      [200, later.manifest.label, 0],
      [400, later.manifest.label, 200],
    ] as const)
      expect(find({ offset }, { backups })).toMatchObject({ value: { point: { offset, base: label, streamBytes } } });
    const alone = find({ offset: 400 }, { backups: [corrupt, unproven] });
    expect(alone).toMatchObject({
      value: { point: { base: unproven.manifest.label }, notes: [expect.stringContaining('not been verified')] },
    });
    expect(whyOf(find({ offset: 300 }, { backups: [corrupt, unproven] }))).toContain('are corrupt');
  });

  it('names both moments when the clock was set back, and takes the newer', () => {
    const back = modelTimeline(
      [
        command(100, 150, { at: 1_000 }),
        command(150, 200, { at: 9_000 }),
        command(200, 250, { at: 4_000 }),
        command(250, 300, { at: 9_500 }),
      ],
      { start: 100, startedAtMs: t0, perSegment: () => 1 },
    );
    const found = find({ time: iso(t0 + 5_000) }, { of: [back] });
    expect(found).toMatchObject({ ok: true, value: { point: { offset: 250 } } });
    expect(found.ok && found.value.notes.join()).toContain('also at offset 150');
  });

  it('takes the silence before a rollback for a silence, and that before any other new timeline for a gap', () => {
    const second = modelTimeline([command(900, 950, { at: 90_000 })], {
      start: 900,
      startedAtMs: t0 + 80_000,
      perSegment: () => 1,
    });
    const backups = [base, baseAt(900, { atMs: t0 + 80_000, timeline: second.id })];
    const of = [simple, second];
    const time = iso(t0 + 70_000);
    expect(offsetOf(find({ time }, { of, backups, reason: 'rollback' }))).toBe(400);
    const refused = find({ time }, { of, backups, reason: 'gap' });
    expect(whyOf(refused)).toMatch(/gap before timeline 20261121T120120.000Z \(gap\): the source could not continue/);
    expect(whyOf(refused)).toContain('Nearest before: 2026-11-21T12:01:03.000Z, offset 400');
    expect(whyOf(refused)).toContain('Nearest after: 2026-11-21T12:01:20.000Z, offset 900');
    expect(offsetOf(find({ time: iso(t0 + 85_000) }, { of, backups }))).toBe(900);
  });

  it('never takes an older timeline for now: after a rollback the data there is another', () => {
    const second = modelTimeline([], { start: 900, startedAtMs: t0 + 80_000, perSegment: () => 1 });
    const of = [simple, second];
    const refused = find({ time: 'now' }, { of, reason: 'rollback' });
    expect(refused).toMatchObject({ ok: false, error: { code: 'not_restorable' } });
    expect(whyOf(refused)).toMatch(/cannot be restored yet[^]*Nearest before: 2026-11-21T12:01:03.000Z, offset 400/);
    const backups = [base, baseAt(900, { atMs: t0 + 80_000, timeline: second.id })];
    expect(offsetOf(find({ time: 'now' }, { of, backups, reason: 'rollback' }))).toBe(900);
    const loose = [base, baseAt(7, { atMs: t0 + 99_000, id: replid('f') })];
    expect(offsetOf(find({ time: 'now' }, { backups: loose }))).toBe(7);
  });

  it('cannot cross a hole in the stream, but goes on from a backup after it', () => {
    const holed = { ...simple, segments: simple.segments.filter((_, index) => index !== 1) };
    const after = baseAt(350, { atMs: t0 + 62_500 });
    const of = [holed];
    expect(whyOf(find({ time: iso(t0 + 63_000) }, { of }))).toContain('has a hole before offset 300');
    expect(whyOf(find({ time: iso(t0 + 30_000) }, { of }))).toContain(
      'Nearest before: 2026-11-21T12:00:01.010Z, offset 200',
    );
    expect(whyOf(find({ time: iso(t0 + 30_000) }, { of }))).toContain('is missing from offset 200 to 300');
    expect(offsetOf(find({ time: iso(t0 + 1_010) }, { of }))).toBe(200);
    expect(find({ offset: 400 }, { of, backups: [base, after] })).toMatchObject({
      value: { point: { base: after.manifest.label, streamBytes: 50 } },
    });
  });
});

describe('locate by offset', () => {
  it('refuses the inside of a command or transaction and names the cuts around it', () => {
    const refused = find({ offset: 320 });
    expect(refused).toMatchObject({ ok: false, error: { code: 'not_restorable' } });
    expect(whyOf(refused)).toBe(
      `Nearest before: offset 300 (timeline ${simple.id}).\nNearest after: offset 350 (timeline ${simple.id}).`,
    );
    expect(offsetOf(find({ offset: 300 }))).toBe(300);
  });

  it('refuses what is beyond the archive, or before it, and names its ends', () => {
    expect(whyOf(find({ offset: 401 }))).toMatch(/ends at offset 400[^]*Nearest before: .*offset 400/);
    expect(whyOf(find({ offset: 7 }))).toMatch(/begins at offset 100[^]*Nearest after: .*offset 100/);
    expect(find({ offset: 7, timeline: '20200101T000000.000Z' })).toMatchObject({ error: { code: 'not_found' } });
  });

  it('means the newest of two timelines that have the offset, unless one is named', () => {
    const second = modelTimeline([command(100, 200, { at: 99_000 })], {
      start: 100,
      startedAtMs: t0 + 90_000,
      perSegment: () => 1,
    });
    const of = [simple, second];
    const backups = [
      baseAt(100, { atMs: t0, timeline: simple.id }),
      baseAt(100, { atMs: t0 + 90_000, timeline: second.id }),
    ];
    const found = find({ offset: 200 }, { of, backups });
    expect(found).toMatchObject({ value: { point: { timeline: second.id } } });
    expect(found.ok && found.value.notes).toEqual([expect.stringContaining(simple.id)]);
    expect(find({ offset: 200, timeline: simple.id }, { of, backups })).toMatchObject({
      value: { point: { timeline: simple.id }, notes: [] },
    });
  });
});

describe('locate by label', () => {
  it('finds a backup, on a timeline or not, and refuses a corrupt or unknown one', () => {
    const loose = baseAt(77, { atMs: t0 - 5_000, id: replid('f') });
    const corrupt = baseAt(200, { atMs: t0 + 1_010, ok: false });
    const backups = [base, loose, corrupt];
    const { label } = base.manifest;
    expect(find({ label }, { backups })).toMatchObject({
      value: { point: { timeline: simple.id, offset: 100, base: label, streamBytes: 0, at: iso(t0) } },
    });
    expect(find({ label: loose.manifest.label }, { backups })).toMatchObject({
      value: { point: { timeline: null, offset: 77, replicationId: replid('f') } },
    });
    expect(find({ label: corrupt.manifest.label }, { backups })).toMatchObject({
      error: { code: 'not_restorable', why: ['it is cut off'] },
    });
    expect(find({ label: 'before-the-party' }, { backups })).toMatchObject({ error: { code: 'not_found' } });
  });

  it('finds a safety point, and says so when the stream to it is gone', () => {
    const point = {
      formatVersion: 1 as const,
      label: 'safety-1',
      group: 'main',
      timeline: simple.id,
      offset: 350,
      replicationId: replid('a'),
      atMs: t0 + 62_000,
      operation: 'op-1',
      detail: '',
    };
    expect(find({ label: 'safety-1' }, { points: [point] })).toMatchObject({
      value: { point: { offset: 350, base: base.manifest.label, streamBytes: 250 } },
    });
    expect(find({ label: 'safety-1' }, { points: [{ ...point, offset: 500 }] })).toMatchObject({
      error: { code: 'not_restorable' },
    });
  });
});

describe('locate before a command', () => {
  it('means the last occurrence, or the one nearest at or before a moment', () => {
    expect(offsetOf(find({ before: 'flushall' }))).toBe(260);
    expect(offsetOf(find({ before: 'SET' }))).toBe(350);
    expect(offsetOf(find({ before: 'SET', at: iso(t0 + 1_500) }))).toBe(150);
    expect(offsetOf(find({ before: 'SET', at: iso(t0 + 1_009) }))).toBe(100);
    expect(find({ before: 'FLUSHALL', at: iso(t0 + 61_999) })).toMatchObject({ error: { code: 'not_restorable' } });
  });

  it('names the commands that there are when there is none', () => {
    const refused = find({ before: 'EXPIRE' });
    expect(refused).toMatchObject({
      error: { code: 'not_restorable', detail: 'No EXPIRE is in the archive of main.' },
    });
    expect(whyOf(refused)).toMatch(/FLUSHALL, SET[^]*EXPIRE arrives as PEXPIREAT/);
    expect(find({ before: 'CONSTRUCTOR' })).toMatchObject({ error: { code: 'not_restorable' } });
  });

  it('says why when no backup leads to it', () => {
    expect(whyOf(find({ before: 'FLUSHALL' }, { backups: [baseAt(300, { atMs: t0 + 62_000 })] }))).toMatch(
      /The last FLUSHALL begins there[^]*is from offset 300[^]*Nearest after/,
    );
  });
});

describe('locate in an archive without segments', () => {
  it('finds backups alone, and says what to do when there is not even one', () => {
    const loose = baseAt(5, { atMs: t0 });
    const content = contentOf([], { backups: [loose] });
    expect(locateIn([], content, { to: { time: 'now' }, nowMs }).found).toMatchObject({
      value: { point: { base: loose.manifest.label, timeline: null } },
    });
    expect(locateIn([], content, { to: { time: '-1m' }, nowMs }).found).toMatchObject({
      error: {
        why: [
          expect.stringMatching(/between the backups/),
          expect.stringMatching(/Nearest before: 2026-11-21T12:00:00.000Z/),
        ],
      },
    });
    expect(locateIn([], contentOf([]), { to: { time: 'now' }, nowMs }).found).toMatchObject({
      error: { code: 'not_restorable', next: expect.stringContaining('POST /v1/backups') },
    });
  });
});

describe('locate (random histories)', () => {
  it('finds exactly what arrived by then, by the nearest good backup, and refuses only what no backup leads to', () => {
    const random = seededRandom();
    for (let round = 0; round < 150; round += 1) {
      const list = randomCommands(random, { start: 1_000, atMs: t0 + 50, count: random.integer(1, 60) });
      const whole = modelTimeline(list, {
        start: 1_000,
        startedAtMs: t0,
        perSegment: () => random.integer(1, 9),
        histories: [
          { from: 1_000, replicationId: replid('a') },
          { from: random.pick(list).to, replicationId: replid('c') },
        ],
      });
      const holes = new Set(random.integer(0, 2) === 0 ? [random.integer(0, whole.segments.length)] : []);
      const model = { ...whole, segments: whole.segments.filter((_, index) => !holes.has(index)) };
      const cuts = [1_000, ...list.map(({ to }) => to)];
      const backups = [...new Set(Array.from({ length: random.integer(0, 4) }, () => random.pick(cuts)))].map(
        (offset) => {
          const last = list.findLast(({ to }) => to <= offset);
          return baseAt(offset, {
            atMs: (last?.atMs ?? t0) + 1,
            ok: random.pick([true, true, false, null]),
            timeline: model.id,
          });
        },
      );
      const endMs = list.at(-1)?.atMs ?? t0;
      const followed = { timeline: model.id, offset: list.at(-1)?.to ?? 0, untilMs: endMs + 500 };
      const content = contentOf([model], { backups, followed });
      const atMs = t0 + random.integer(0, endMs - t0 + 500);
      const context = { seed: random.seed, round, atMs };
      const { found, reads, view } = locateIn([model], content, { to: { time: String(atMs) }, nowMs: endMs + 500 });
      const arrived = list.findLast((one) => one.atMs <= atMs)?.to ?? 1_000;
      const isCovered = (from: number, to: number): boolean =>
        list.every(
          (one) => one.to <= from || one.from >= to || model.segments.some((s) => s.from <= one.from && one.to <= s.to),
        );
      const leading = (offset: number): string[] =>
        backups
          .filter(({ manifest, verification }) => {
            const { offset: at } = manifest.source;
            return at <= offset && verification?.ok !== false && isCovered(at, offset);
          })
          .toSorted((a, b) => b.manifest.source.offset - a.manifest.source.offset)
          .toSorted((a, b) => Number(b.verification?.ok ?? false) - Number(a.verification?.ok ?? false))
          .map(({ manifest }) => manifest.label);
      expect({ ...context, reads: reads <= 3 }).toEqual({ ...context, reads: true });
      if (found.ok) {
        const { point } = found.value;
        // A data set may be known to be from a moment whose stream is not there.
        // At the edge of a hole, what is missing may have arrived in the same millisecond.
        const isEdge = model.segments.some((one) => one.to === point.offset && one.endedAtMs === atMs);
        const isKnown = point.offset === arrived || point.streamBytes === 0 || isEdge;
        expect({ ...context, isKnown, base: point.base }).toEqual({
          ...context,
          isKnown: true,
          base: leading(point.offset)[0],
        });
      } else if (holes.size === 0)
        expect({ ...context, base: leading(arrived)[0] }).toEqual({ ...context, base: undefined });
      const cut = random.pick(cuts);
      const byOffset = locateIn([model], content, { to: { offset: cut }, nowMs }).found;
      const expected = leading(cut)[0];
      expect({ ...context, cut, ok: byOffset.ok }).toEqual({ ...context, cut, ok: expected !== undefined });
      if (byOffset.ok) expect({ ...context, base: byOffset.value.point.base }).toEqual({ ...context, base: expected });
      for (const range of restorableRanges(view)) {
        for (const offset of [range.from, range.to]) {
          const again = locateIn([model], content, { to: { offset }, nowMs }).found;
          expect({ ...context, offset, ok: again.ok }).toEqual({ ...context, offset, ok: true });
        }
      }
    }
  });
});
