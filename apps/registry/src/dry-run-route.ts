// `POST /v1/detection/dry-run`: whom would other settings have evicted? Judges the recorded silences again; changes nothing.
import { setImmediate as turn } from 'node:timers/promises';
import type { CatalogStore } from '@switchyard/catalog';
import { dryRun, silencesIn } from '@switchyard/failure-detection';
import type { RecordedSilence, Trial } from '@switchyard/failure-detection';
import { route } from '@switchyard/http';
import type { Route } from '@switchyard/http';
import {
  defaultServicePolicy,
  durationSchema,
  memberOf,
  parseDurationMs,
  refuse,
  serviceNameSchema,
} from '@switchyard/protocol';
import type { SwitchyardEvent } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';

const MOST_EVENTS = 20_000;
const PAGE = 1_000;
/** Judged one after the other on the event loop that serves, so there is a bound; the latest count. */
const MOST_SILENCES = 500;

const trialSchema = z
  .strictObject({
    service: serviceNameSchema.optional().meta({ description: 'only this service; all of them unless given' }),
    since: z.iso.datetime().optional().meta({ description: 'only what happened from then on' }),
    ttl: durationSchema(500, 3_600_000).optional().meta({ description: "in place of every instance's own" }),
    maxUnhealthyPercent: z.number().min(0).max(100).optional(),
    crowdPercent: z.number().min(0).max(100).optional(),
    crowdMinimum: z.int().min(1).max(10_000).optional(),
    crowdPatienceTtls: z.number().min(1).max(1_000).optional(),
  })
  .meta({ id: 'DetectionTrial' });

const memberList = z.array(z.string());
const resultSchema = z
  .object({
    summary: z.array(z.string()),
    recorded: z.object({ from: z.iso.datetime().nullable(), silences: z.int(), evicted: memberList }),
    would: z.object({
      suspected: memberList,
      evicted: z.array(z.object({ member: z.string(), at: z.iso.datetime(), because: z.string() })),
      held: z.array(z.object({ member: z.string(), reason: z.string() })),
    }),
    notes: z.array(z.string()),
  })
  .meta({ id: 'DetectionDryRun' });

async function eventsSince(store: Pick<CatalogStore, 'history'>, sinceMs: number): Promise<SwitchyardEvent[]> {
  const found: SwitchyardEvent[] = [];
  let before: number | undefined;
  while (found.length < MOST_EVENTS) {
    const page: Awaited<ReturnType<CatalogStore['history']>> = await store.history(before, PAGE);
    found.push(...page.events.filter(({ time }) => Date.parse(time) >= sinceMs));
    const oldest = page.events.at(-1);
    if (page.next === null || (oldest && Date.parse(oldest.time) < sinceMs)) break;
    before = page.next;
  }
  return found.reverse();
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

function summaryOf(then: readonly string[], trial: Trial): string[] {
  const would = trial.evicted.map(({ member }) => member);
  const spared = then.filter((member) => !would.includes(member));
  const added = would.filter((member) => !then.includes(member));
  return [
    `These settings would have evicted ${would.length} (${plural(then.length, 'eviction')} recorded).`,
    ...(spared.length > 0 ? [`Not evicted any more: ${spared.slice(0, 20).join(', ')}.`] : []),
    ...(added.length > 0 ? [`Evicted in addition: ${added.slice(0, 20).join(', ')}.`] : []),
    ...(trial.held.length > 0 ? [`Kept in spite of their silence: ${trial.held.length}.`] : []),
  ];
}

/** The route over the stream of events. */
export const dryRunRoute = ({
  feed,
  store,
  clock,
}: {
  readonly feed: Pick<CatalogFeed, 'view'>;
  readonly store: Pick<CatalogStore, 'history'>;
  readonly clock: Pick<Clock, 'unixMs'>;
}): Route =>
  route({
    method: 'post',
    path: '/v1/detection/dry-run',
    summary: 'Whom other settings of failure detection would have evicted, judged on the recorded silences',
    description: 'Changes nothing. Settings that are left out are those in force.',
    tags: ['monitors'],
    body: trialSchema,
    responses: { 200: { description: 'What would have happened', schema: resultSchema } },
    async handle({ body }) {
      const { service, since, ttl, ...settings } = body;
      const events = await eventsSince(store, since === undefined ? -Infinity : Date.parse(since));
      const isWanted = (of: string): boolean => service === undefined || of === service;
      const all = silencesIn(events).filter((silence) => isWanted(silence.service));
      const silences: readonly RecordedSilence[] = all
        .toSorted((a, b) => b.lastBeatMs - a.lastBeatMs)
        .slice(0, MOST_SILENCES);
      const evictions = events.filter(({ type }) => type === 'instance.evicted');
      const evicted = evictions.flatMap(({ data }) =>
        'instance' in data && isWanted(data.instance.service)
          ? [memberOf(data.instance.service, data.instance.id)]
          : [],
      );
      if (settings.maxUnhealthyPercent === undefined && ttl === undefined && Object.keys(settings).length === 0) {
        return refuse('invalid_input', 'there is nothing to try', {
          why: ['give at least one of ttl, maxUnhealthyPercent, crowdPercent, crowdMinimum, crowdPatienceTtls'],
        }).error;
      }
      const instances = new Map(
        feed.view.serviceNames().map((name) => [name, [...feed.view.instancesOf(name)].length]),
      );
      await turn();
      const trial = dryRun(silences, instances, {
        ...settings,
        // Redis's clock, as far as it is known here
        untilMs: Math.max(clock.unixMs(), Date.parse(events.at(-1)?.time ?? '') || 0),
        ttlMs: ttl === undefined ? undefined : parseDurationMs(ttl),
        maxUnhealthyPercentOf: (name) =>
          (feed.view.policyOf(name)?.document ?? defaultServicePolicy).maxUnhealthyPercent,
      });
      const notes = [
        'Silences that were shorter than the TTL in force are not recorded: a shorter TTL may evict more than is shown.',
        'The number of instances of a service is the present one.',
        ...(all.length > silences.length
          ? [`Only the latest ${MOST_SILENCES} of ${all.length} silences were judged.`]
          : []),
        ...(events.length >= MOST_EVENTS ? [`Only the latest ${MOST_EVENTS} events were read.`] : []),
        ...(trial.cut > 0 ? [`${plural(trial.cut, 'episode')} longer than ten minutes judged to there.`] : []),
      ];
      return {
        status: 200,
        body: {
          summary: summaryOf(evicted, trial),
          recorded: { from: events[0]?.time ?? null, silences: all.length, evicted },
          would: {
            suspected: [...trial.suspected],
            evicted: trial.evicted.map(({ atMs, ...rest }) => ({ ...rest, at: new Date(atMs).toISOString() })),
            held: [...trial.held],
          },
          notes,
        },
      };
    },
  });
