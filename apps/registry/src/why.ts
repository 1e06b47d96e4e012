// Why is an instance what it is? Puts together what the catalog, its history, Redis's clock, monitors and dispatchers know.
import { presentInstance } from '@switchyard/catalog';
import type { CatalogStore } from '@switchyard/catalog';
import { memberOf, platformService } from '@switchyard/protocol';
import type { Instance, InstanceWhy, SwitchyardEvent } from '@switchyard/protocol';
import type { CatalogFeed, DispatcherBoard } from '@switchyard/redis';
import { withDeadline } from '@switchyard/runtime';
import { z } from 'zod';
import { summaryOf } from './why-summary.ts';

type Why = InstanceWhy;

const MOST_EVENTS = 30;
/** Events looked through for one that is not in the catalog any more, and for holds, which change no document. */
const RECENT_EVENTS = 1_000;
const ASK_DEADLINE_MS = 500;
const MOST_MONITORS = 8;

const monitorsSchema = z.object({
  monitors: z
    .array(
      z.object({
        id: z.string(),
        leader: z.boolean(),
        lastSweepAgoMs: z.number().nullable(),
        suspects: z.array(z.object({ member: z.string(), held: z.string().nullable() })),
      }),
    )
    .min(1),
});

export interface WhyOptions {
  readonly feed: Pick<CatalogFeed, 'view'>;
  readonly store: Pick<CatalogStore, 'history' | 'changeAt' | 'deadlineOf'>;
  readonly board: Pick<DispatcherBoard, 'states'>;
  readonly fetch?: typeof globalThis.fetch;
}

/** The answer; undefined when nobody of that name is or was known. Never rejects: what cannot be found out is named in it. */
export async function whyInstance(
  { feed, store, board, fetch = globalThis.fetch }: WhyOptions,
  { service, id }: { readonly service: string; readonly id: string },
): Promise<Why | undefined> {
  const problems: string[] = [];
  const attempt = async <T>(what: string, work: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await withDeadline(work, 4 * ASK_DEADLINE_MS, what);
    } catch (error) {
      problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`.slice(0, 300));
      return otherwise;
    }
  };
  const instance = feed.view.instance(service, id);
  const member = memberOf(service, id);
  const [history, deadline, dispatchers, monitors] = await Promise.all([
    attempt('its history', historyOf(store, { service, id }, instance), []),
    attempt('its deadline', store.deadlineOf(service, id), undefined),
    attempt('what dispatchers say', dispatchersOf(board, { service, id }), []),
    Promise.all(monitorUrls(feed).map((at) => askMonitor(fetch, at, member))),
  ]);
  if (!instance && history.length === 0) return undefined;
  const ttlMs = instance?.ttlMs ?? 0;
  const dueInMs = deadline === undefined ? 0 : deadline.deadlineMs - deadline.nowMs;
  const facts = {
    service,
    id,
    instance: instance ? presentInstance(instance) : null,
    heartbeat: deadline && instance ? { lastAgoMs: Math.max(0, ttlMs - dueInMs), ttlMs, dueInMs } : null,
    history,
    monitors,
    dispatchers,
    problems,
  };
  return { ...facts, summary: summaryOf(facts) };
}

/** Each change names the revision before it, so nothing has to be searched for one that is in the catalog. */
async function historyOf(
  store: WhyOptions['store'],
  { service, id }: { readonly service: string; readonly id: string },
  instance: Instance | undefined,
): Promise<SwitchyardEvent[]> {
  const member = memberOf(service, id);
  const { events } = await store.history(undefined, RECENT_EVENTS);
  const found = new Map<number, SwitchyardEvent>();
  const isAbout = (event: SwitchyardEvent): boolean =>
    event.subject === member || (event.subject === service && JSON.stringify(event.data).includes(JSON.stringify(id)));
  for (const event of events) if (isAbout(event)) found.set(event.revision, event);
  let revision = instance?.revision ?? [...found.values()].find(({ subject }) => subject === member)?.revision ?? 0;
  for (let steps = 0; revision > 0 && steps < MOST_EVENTS; steps += 1) {
    const known = await store.changeAt(revision);
    if (known?.event) found.set(revision, known.event);
    revision = known?.change.undo?.find(({ kind, key }) => kind === 'instance' && key === member)?.revision ?? 0;
  }
  return [...found.values()].toSorted((a, b) => b.revision - a.revision).slice(0, MOST_EVENTS);
}

async function dispatchersOf(
  board: WhyOptions['board'],
  { service, id }: { readonly service: string; readonly id: string },
): Promise<Why['dispatchers']> {
  const states = await board.states();
  return states.flatMap(({ id: dispatcher, ageMs, told }) => {
    const traffic = told?.instances.find((each) => each.service === service && each.id === id);
    if (!traffic) return [];
    const { picked, why, requests, errors, ejections, lastError } = traffic;
    return [{ id: dispatcher, ageMs, picked, why, requests, errors, ejections, lastError }];
  });
}

function monitorUrls({ view }: WhyOptions['feed']): { readonly id: string; readonly url: string }[] {
  const monitors = [...view.instancesOf(platformService('heartbeat-monitor'))];
  return monitors.filter(({ liveness }) => liveness !== 'dead').slice(0, MOST_MONITORS);
}

async function askMonitor(
  fetch: typeof globalThis.fetch,
  { id, url }: { readonly id: string; readonly url: string },
  member: string,
): Promise<Why['monitors'][number]> {
  try {
    const response = await fetch(new URL('/v1/monitors', url), { signal: AbortSignal.timeout(ASK_DEADLINE_MS) });
    const [monitor] = monitorsSchema.parse(await response.json()).monitors;
    const suspect = monitor?.suspects.find((each) => each.member === member);
    return {
      id,
      leader: monitor?.leader ?? null,
      lastSweepAgoMs: monitor?.lastSweepAgoMs ?? null,
      suspected: suspect !== undefined,
      held: suspect?.held ?? null,
      problem: null,
    };
  } catch (error) {
    const problem = (error instanceof Error ? error.message : String(error)).slice(0, 200);
    return { id, leader: null, lastSweepAgoMs: null, suspected: false, held: null, problem };
  }
}
