// What was in the catalog at an earlier revision or time? Asked with `?at=`; answered by walking back from now through the stream.
import { createCatalogView, walkBack } from '@switchyard/catalog';
import type { CatalogStore, CatalogView, PastChange } from '@switchyard/catalog';
import type { PlainReply } from '@switchyard/http';
import { ok, refuse } from '@switchyard/protocol';
import type { Refusal, Result } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import { z } from 'zod';

const PAGE = 1_000;
/** A walk through 100,000 changes takes about a second and holds a copy of the catalog. */
const MOST_WALKS = 4;
const WALK_DEADLINE_MS = 10_000;

/** A moment of the catalog: everything up to this revision, or up to this time on Redis's clock. */
export type Moment = { readonly revision: number } | { readonly timeMs: number };

function momentOf(text: string): Moment | undefined {
  const revision = /^(?:\d{1,15}\.)?(\d{1,16})$/.exec(text)?.[1];
  if (revision !== undefined) return { revision: Number(revision) };
  const timeMs = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(timeMs) ? undefined : { timeMs };
}

/** `at` of a query. */
export const momentSchema = z
  .string()
  .max(64)
  .transform((text, context) => {
    const moment = momentOf(text.trim());
    if (moment) return moment;
    context.addIssue({ code: 'custom', message: 'must be a revision, or a time such as 2026-01-31T12:00:00Z' });
    return z.NEVER;
  })
  .meta({ description: 'as it was at this revision or time (RFC 3339)', type: 'string' });

const isLater = (change: PastChange, moment: Moment): boolean =>
  'revision' in moment ? change.revision > moment.revision : change.timeMs > moment.timeMs;

/** Answers questions about the past. */
export interface TimeTravel {
  /** What `read` says of the catalog as it was. Rejects when Redis is away. */
  answerAt(moment: Moment, read: (view: CatalogView) => PlainReply | Refusal): Promise<PlainReply | Refusal>;
}

/** Walks back from what `feed` knows through the changes in `store`. */
export function createTimeTravel(options: {
  readonly feed: Pick<CatalogFeed, 'view' | 'status'>;
  readonly store: Pick<CatalogStore, 'past'>;
}): TimeTravel {
  const { feed, store } = options;
  let underWay = 0;

  const viewAt = async (moment: Moment): Promise<Result<CatalogView>> => {
    const start = feed.view.snapshot();
    if ('revision' in moment && moment.revision > start.revision) {
      return refuse(
        'not_found',
        `the catalog is at revision ${start.revision}; ${moment.revision} has not been given out`,
      );
    }
    const walk = walkBack(start);
    const endMs = performance.now() + WALK_DEADLINE_MS;
    let before: number | undefined = start.revision + 1;
    let reached: PastChange | undefined;
    const gone = (): Result<never> =>
      refuse('history_gone', 'the changes since then are not all kept', {
        why: [
          reached
            ? `the earliest moment that can be shown is revision ${reached.revision - 1}, before ${new Date(reached.timeMs).toISOString()}`
            : `only the present can be shown, revision ${start.revision}`,
          'the history holds the latest 100,000 changes and begins anew when Redis forgot some',
        ],
      });
    while (before !== undefined) {
      if (performance.now() > endMs) return refuse('timed_out', `the walk back took more than ${WALK_DEADLINE_MS} ms`);
      const page: Awaited<ReturnType<CatalogStore['past']>> = await store.past(before, PAGE);
      for (const change of page.changes) {
        if (!isLater(change, moment)) return ok(createCatalogView(walk.snapshot()));
        if (!walk.back(change)) return gone();
        reached = change;
      }
      before = page.next ?? undefined;
    }
    // the end of what is kept: right for this revision, but nothing says that there was no change before this time
    const then = walk.snapshot();
    return 'revision' in moment && then.revision === moment.revision ? ok(createCatalogView(then)) : gone();
  };

  return {
    async answerAt(moment, read) {
      if (!feed.status().loaded) {
        return refuse('not_ready', 'the catalog has not been read yet', { why: ['waiting for Redis'] }).error;
      }
      if (underWay >= MOST_WALKS) return refuse('overloaded', `${underWay} walks through the past are under way`).error;
      underWay += 1;
      try {
        const found = await viewAt(moment);
        if (!found.ok) return found.error;
        const reply = read(found.value);
        if (!('status' in reply)) return reply;
        const { epoch, revision } = found.value;
        return { ...reply, headers: { 'switchyard-epoch': String(epoch), 'switchyard-revision': String(revision) } };
      } finally {
        underWay -= 1;
      }
    },
  };
}
