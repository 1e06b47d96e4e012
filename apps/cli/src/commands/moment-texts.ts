// How are windows, events and moments told to people? Each event with the words that undo it.
import { restorePointSchema, restoreTargetSchema } from '@switchyard/protocol';
import { z } from 'zod';
import { momentText } from '../moment-option.ts';
import { rowsOf } from '../output.ts';
import { msText, sizeText, timeText } from '../words.ts';

const endSchema = z.looseObject({ at: z.string(), offset: z.number() });

/** What `GET /v1/backups/window` answers, as far as it is told. */
export const windowSchema = z.looseObject({
  group: z.string(),
  continuous: z.boolean(),
  from: z.string().nullable(),
  to: z.string().nullable(),
  rpoMs: z.number().nullable(),
  points: z.array(z.looseObject({ label: z.string(), at: z.string(), state: z.string() })),
  timelines: z.array(
    z.looseObject({
      timeline: z.string(),
      reason: z.string(),
      ranges: z.array(z.looseObject({ from: endSchema, to: endSchema, base: z.string() })),
    }),
  ),
  gaps: z.array(z.looseObject({ from: endSchema, to: endSchema, reason: z.string() })),
  events: z.array(
    z.looseObject({
      kind: z.string(),
      command: z.string(),
      at: z.string(),
      detail: z.string(),
      to: restoreTargetSchema.nullable(),
    }),
  ),
  moreEvents: z.number(),
});

/** What `GET /v1/backups/locate` answers. */
export const locatedSchema = z.looseObject({ point: restorePointSchema, notes: z.array(z.string()) });

/** A window for people. */
export function windowText(window: z.infer<typeof windowSchema>): string {
  const { group, from, to, rpoMs, timelines, gaps, events, moreEvents, points } = window;
  if (from === null || to === null) return `Nothing of ${group} can be restored yet: switchyard backup create.\n`;
  const ranges = timelines.flatMap(({ timeline, ranges: own }) => own.map((range) => ({ timeline, ...range })));
  const parts = [
    `${group}: from ${timeText(from)} to ${timeText(to)}; if all else were lost now, ${msText(rpoMs)} of writes would be.\n`,
    rowsOf({
      head: ['EVERY MOMENT FROM', 'TO', 'OFFSETS', 'TIMELINE', 'BEGINS WITH'],
      rows: ranges.map((range) => [
        timeText(range.from.at),
        timeText(range.to.at),
        `${range.from.offset}-${range.to.offset}`,
        range.timeline,
        range.base,
      ]),
      empty: `Only the moments of ${points.length} backups: nothing is archived between them.`,
    }),
  ];
  if (gaps.length > 0)
    parts.push(
      rowsOf({
        head: ['GAP FROM', 'TO', 'WHY'],
        rows: gaps.map((gap) => [timeText(gap.from.at), timeText(gap.to.at), gap.reason]),
        empty: '',
      }),
    );
  if (events.length > 0)
    parts.push(
      rowsOf({
        head: ['EVENT AT', 'WHAT', 'DETAIL', 'UNDONE BY --to'],
        rows: events.map(({ at, kind, command, detail, to: undo }) => [
          timeText(at),
          command === '' ? kind : command,
          detail,
          undo === null ? null : momentText(undo),
        ]),
        empty: '',
      }),
    );
  if (moreEvents > 0) parts.push(`and ${moreEvents} more events (--events 500)\n`);
  return parts.join('\n');
}

/** A moment that was found, for people. */
export function locatedText({ point, notes }: z.infer<typeof locatedSchema>): string {
  const { at, offset, timeline, base, streamBytes } = point;
  const place = timeline === null ? '' : ` of timeline ${timeline}`;
  const lines = [
    `${timeText(at)}: offset ${offset}${place}, from backup ${base} and ${sizeText(streamBytes)} of stream`,
  ];
  return `${[...lines, ...notes.map((note) => `note: ${note}`)].join('\n')}\n`;
}
