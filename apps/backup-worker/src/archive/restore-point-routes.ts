// Which endpoints show what can be restored? The window, what happened in it, and a dry look: which moment would be used.
import { route, type Route } from '@switchyard/http';
import {
  backupViewSchema,
  decode,
  notableEventSchema,
  plainNameSchema,
  refuse,
  restorePointSchema,
  restoreTargetSchema,
  timelineSchema,
  type RestoreTarget,
  type Result,
} from '@switchyard/protocol';
import { archiveEvents, archiveWindow, type ArchiveView } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';
import type { Locator } from './locate.ts';

const instant = z.iso.datetime();
const placeSchema = z.object({ at: instant, offset: z.int() });
const eventSchema = z
  .object({
    kind: notableEventSchema.shape.kind,
    command: z.string(),
    at: instant,
    timeline: z.string(),
    offset: z.int(),
    database: z.int().nullable(),
    detail: z.string(),
    to: restoreTargetSchema.nullable(),
  })
  .meta({ id: 'ArchiveEvent' });
const windowSchema = z
  .object({
    group: z.string(),
    continuous: z.boolean(),
    from: instant.nullable(),
    to: instant.nullable(),
    rpoMs: z.number().nullable(),
    points: z.array(
      z.object({
        label: z.string(),
        at: instant,
        replicationId: z.string(),
        offset: z.int(),
        state: z.enum([...backupViewSchema.shape.state.options, 'safety-point']),
        timeline: z.string().nullable(),
      }),
    ),
    timelines: z.array(
      z.object({
        timeline: z.string(),
        startedAt: instant,
        reason: timelineSchema.shape.reason,
        detail: z.string(),
        replicationId: z.string(),
        end: placeSchema,
        ranges: z.array(z.object({ from: placeSchema, to: placeSchema, base: z.string() })),
      }),
    ),
    gaps: z.array(
      z.object({
        from: placeSchema.extend({ timeline: z.string() }),
        to: placeSchema.extend({ timeline: z.string() }),
        reason: z.string(),
      }),
    ),
    events: z.array(eventSchema),
    moreEvents: z.int(),
  })
  .meta({ id: 'RestoreWindow' });

const shownEvents = 20;
const mostEvents = 500;

/** Routes below `/v1/backups`; they come before `/v1/backups/{label}`. `group` is the one that is meant when none is named. */
export function restorePointRoutes(options: {
  readonly locator: Locator;
  readonly group: string;
  readonly clock: Clock;
}): Route[] {
  const { locator, group: own, clock } = options;
  const inGroup = z.object({ group: plainNameSchema.default(own) });
  const known = async (group: string, signal: AbortSignal): Promise<Result<ArchiveView>> => {
    const view = await locator.view(group, signal);
    return group !== own && view.timelines.length === 0 && view.backups.length === 0
      ? refuse('not_found', `There are no backups of a group ${group}.`)
      : { ok: true, value: view };
  };

  return [
    route({
      method: 'get',
      path: '/v1/backups/window',
      summary: 'To which moments a group can be brought back now, where the gaps are, and what happened lately',
      tags: ['backups'],
      query: inGroup,
      responses: { 200: { description: 'The window', schema: windowSchema } },
      handle: async ({ query, signal }) => {
        const view = await known(query.group, signal);
        if (!view.ok) return view.error;
        return { status: 200, body: archiveWindow(view.value, { nowMs: clock.unixMs(), mostEvents: shownEvents }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/backups/events',
      summary: 'Flushes, mass deletes, failovers and the like, newest first, each with what undoes it',
      tags: ['backups'],
      query: inGroup.extend({ limit: z.coerce.number().int().min(1).max(mostEvents).default(100) }),
      responses: {
        200: {
          description: 'The events, and how many there are beyond them',
          schema: z.object({ group: z.string(), events: z.array(eventSchema), moreEvents: z.int() }),
        },
      },
      handle: async ({ query, signal }) => {
        const view = await known(query.group, signal);
        if (!view.ok) return view.error;
        return { status: 200, body: { group: query.group, ...archiveEvents(view.value, query.limit) } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/backups/locate',
      summary: 'Which moment would be restored; one of time, offset (with timeline), label, before (with at)',
      tags: ['backups'],
      query: inGroup.extend({
        time: z.string().optional(),
        offset: z.coerce.number().int().optional(),
        timeline: z.string().optional(),
        label: z.string().optional(),
        before: z.string().optional(),
        at: z.string().optional(),
      }),
      responses: {
        200: {
          description: 'The moment, and what a person should know about the choice',
          schema: z.object({ point: restorePointSchema, notes: z.array(z.string()) }),
        },
      },
      handle: async ({ query: { group, ...query }, signal }) => {
        const to = targetOf(query);
        if (!to.ok) return to.error;
        const view = await known(group, signal);
        if (!view.ok) return view.error;
        const located = await locator.locate(group, to.value, signal);
        return located.ok ? { status: 200, body: located.value } : located.error;
      },
    }),
  ];
}

function targetOf(query: Readonly<Record<string, unknown>>): Result<RestoreTarget> {
  const named = ['time', 'offset', 'label', 'before'].filter((name) => query[name] !== undefined);
  if (named.length !== 1)
    return refuse('invalid_input', 'Name one of time, offset, label and before.', {
      why: [named.length === 0 ? 'There is none.' : `There are ${named.join(' and ')}.`],
    });
  const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
  return decode(restoreTargetSchema, given, 'The moment');
}
