// How is rehearsed here? On request and by the clock, with the trend for people and for metrics.
import { route, type Route } from '@switchyard/http';
import {
  operationSchema,
  plainNameSchema,
  refuse,
  rehearsalRequestSchema,
  rehearsalSchema,
  type Rehearsal,
  type RehearsalRequest,
  type Result,
} from '@switchyard/protocol';
import {
  rehearsalDueMs,
  rehearsalTrend,
  viewOperation,
  type OperationRecord,
  type RehearsalTrend,
} from '@switchyard/backup';
import { createTicker } from '@switchyard/runtime';
import { z } from 'zod';
import type { Archive } from '../archive/archive.ts';
import type { BackupConfig } from '../config.ts';
import type { ObjectStore } from '../repository/object-store.ts';
import type { Materialiser } from '../restore/materialise.ts';
import type { WorkerPart, WorkerTools } from '../worker-part.ts';
import { rehearsalPlan, rehearse, type RollBack } from './rehearse.ts';
import { createRehearsalStore } from './rehearsal-store.ts';
import { createRehearsedRollback } from './rehearsed-rollback.ts';

/** How often it is looked whether one is due; sooner where the period is short. */
const lookEveryMs = 15_000;
const shortestLookMs = 250;
const mostShown = 100;

const trendSchema = z.object({
  group: z.string(),
  rehearsals: z.array(rehearsalSchema.extend({ at: z.iso.datetime() })),
  rtoMs: z.object({ median: z.number().nullable(), last: z.number().nullable() }),
  rpoMs: z.object({ median: z.number().nullable(), last: z.number().nullable() }),
  lastSuccessAt: z.iso.datetime().nullable(),
  failedInARow: z.int(),
  nextAt: z.iso.datetime().nullable(),
});

/** Rehearsals of the group of this worker. */
export function rehearsalPart(
  tools: WorkerTools,
  options: {
    readonly config: Pick<BackupConfig, 'redisServer' | 'proofDeadlineMs' | 'rehearseEveryMs'>;
    readonly archive: Archive;
    readonly materialise: Materialiser;
    readonly store: ObjectStore;
    /** By default the one that rolls back what lives. */
    readonly rollBack?: RollBack;
    /** 0 to 1. */
    readonly random?: () => number;
  },
): WorkerPart {
  const { group, runner, scratchDirectory, clock, logger } = tools;
  const { config, archive, materialise, random = Math.random } = options;
  const rollBack = options.rollBack ?? createRehearsedRollback({ ...tools, materialise });
  const kept = createRehearsalStore({ store: options.store, group, logger });
  const pace = { everyMs: config.rehearseEveryMs, startedAtMs: clock.unixMs(), jitter: random() };
  const metrics = rehearsalMetrics(tools);
  let running: string | null = null;

  const keep = async (rehearsal: Rehearsal, signal: AbortSignal): Promise<void> => {
    await kept.add(rehearsal, signal);
    metrics.ended(rehearsal);
    metrics.show(rehearsalTrend(await kept.list(signal)));
  };
  const begin = async (request: RehearsalRequest, trigger: Rehearsal['trigger']): Promise<Result<OperationRecord>> => {
    if (running !== null)
      return refuse('conflict', 'A rehearsal is under way.', { next: `Follow it: GET /v1/operations/${running}` });
    running = 'it begins';
    const begun = await runner.begin({
      kind: 'rehearsal',
      subject: group,
      plan: rehearsalPlan,
      run: async (work) => {
        try {
          const { redisServer: command, proofDeadlineMs: loadDeadlineMs } = config;
          const own = { group, archive, materialise, rollBack, keep, command, scratchDirectory, loadDeadlineMs };
          return await rehearse({ ...own, clock, logger }, { ...request, trigger }, work);
        } finally {
          running = null;
        }
      },
    });
    running = begun.ok && running !== null ? begun.value.id : null;
    return begun;
  };
  const ticker = createTicker({
    name: 'rehearsals',
    everyMs: pace.everyMs === 0 ? lookEveryMs : Math.max(shortestLookMs, Math.min(lookEveryMs, pace.everyMs / 24)),
    clock,
    logger,
    run: async (signal) => {
      const rehearsals = await kept.list(signal);
      metrics.show(rehearsalTrend(rehearsals));
      const dueMs = rehearsalDueMs(rehearsals, pace);
      // Of several workers the one that writes the archive does it.
      if (dueMs === null || clock.unixMs() < dueMs || running !== null || !archive.isFollowing()) return;
      await begin({ group }, 'schedule');
    },
  });
  return {
    components: [ticker],
    routes: rehearsalRoutes({
      group,
      begin: (request) => begin(request, 'request'),
      list: async (signal) => {
        const rehearsals = await kept.list(signal);
        return { rehearsals, nextMs: rehearsalDueMs(rehearsals, pace) };
      },
      nowMs: () => clock.unixMs(),
    }),
  };
}

function rehearsalRoutes(options: {
  readonly group: string;
  readonly begin: (request: RehearsalRequest) => Promise<Result<OperationRecord>>;
  readonly list: (
    signal: AbortSignal,
  ) => Promise<{ readonly rehearsals: readonly Rehearsal[]; readonly nextMs: number | null }>;
  readonly nowMs: () => number;
}): Route[] {
  const { group, begin, list, nowMs } = options;
  const unknown = (name: string) =>
    refuse('not_found', `There is no group ${name} here.`, { next: `This worker rehearses ${group}.` }).error;
  return [
    route({
      method: 'post',
      path: '/v1/rehearsals',
      summary: 'Rolls a scratch group with the present data back, and measures it; what lives is not touched',
      tags: ['backups'],
      body: rehearsalRequestSchema.prefault({}),
      responses: { 202: { description: 'It runs; Location names the operation to follow', schema: operationSchema } },
      handle: async ({ body }) => {
        if (body.group !== group) return unknown(body.group);
        const begun = await begin(body);
        if (!begun.ok) return begun.error;
        const headers = { location: `/v1/operations/${begun.value.id}` };
        return { status: 202, body: viewOperation(begun.value, nowMs()), headers };
      },
    }),
    route({
      method: 'get',
      path: '/v1/rehearsals',
      summary:
        'How long a rollback takes and how much would be lost: the rehearsals so far, newest first, and their trend',
      tags: ['backups'],
      query: z.object({ group: plainNameSchema.default(group) }),
      responses: { 200: { description: 'The rehearsals', schema: trendSchema } },
      handle: async ({ query, signal }) => {
        if (query.group !== group) return unknown(query.group);
        const { rehearsals, nextMs } = await list(signal);
        const { lastSuccessAtMs, ...trend } = rehearsalTrend(rehearsals);
        const shown = rehearsals.slice(0, mostShown).map((one) => ({ ...one, at: iso(one.atMs) }));
        const times = { lastSuccessAt: iso(lastSuccessAtMs), nextAt: iso(nextMs) };
        return { status: 200, body: { group, rehearsals: shown, ...trend, ...times } };
      },
    }),
  ];
}

interface RehearsalMetrics {
  show(trend: RehearsalTrend): void;
  ended(rehearsal: Rehearsal): void;
}

function rehearsalMetrics({ group, metrics }: Pick<WorkerTools, 'group' | 'metrics'>): RehearsalMetrics {
  const perGroup = { labels: ['group'], maxSeries: 1 } as const;
  const rto = metrics.gauge(
    'backup_rehearsal_rto_seconds',
    'How long the last rehearsed rollback took, from the order until the old data took writes',
    perGroup,
  );
  const rpo = metrics.gauge(
    'backup_rehearsal_rpo_seconds',
    'How much of the present the archive did not have at the last rehearsal',
    perGroup,
  );
  const success = metrics.gauge(
    'backup_rehearsal_last_success_timestamp_seconds',
    'When a rehearsal last succeeded; 0 = never',
    perGroup,
  );
  const count = metrics.counter('backup_rehearsals_total', 'Rehearsals of this process, by outcome', {
    labels: ['group', 'outcome'],
    maxSeries: 2,
  });
  return {
    show: ({ rtoMs, rpoMs, lastSuccessAtMs }) => {
      if (rtoMs.last !== null) rto.set({ group }, rtoMs.last / 1_000);
      if (rpoMs.last !== null) rpo.set({ group }, rpoMs.last / 1_000);
      success.set({ group }, (lastSuccessAtMs ?? 0) / 1_000);
    },
    ended: ({ ok }) => count.inc({ group, outcome: ok ? 'ok' : 'failed' }),
  };
}

function iso(ms: number): string;
function iso(ms: number | null): string | null;
function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
