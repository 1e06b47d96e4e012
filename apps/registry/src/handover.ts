// How does one instance take over from another on purpose? In one commit: from one revision to the next, every dispatcher sends new
// requests to the new one, and the old one finishes what it has.
import {
  activateInstance,
  activationOf,
  activeOf,
  bestStandby,
  isGoverned,
  unchanged,
  unfitFor,
} from '@switchyard/catalog';
import type { CatalogStore, Decision, GovernedService } from '@switchyard/catalog';
import { ok, refuse } from '@switchyard/protocol';
import type { HandoverBody, Instance, Result } from '@switchyard/protocol';
import { decideAndCommit } from '@switchyard/redis';
import type { CatalogFeed } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';

export interface HandoverContext {
  readonly store: CatalogStore;
  readonly feed: CatalogFeed;
  readonly clock: Clock;
}

/** What a hand-over did, or in a dry run would do. */
export interface HandoverDone {
  readonly changed: boolean;
  readonly active: Instance;
  readonly previous: { readonly id: string; readonly fencingToken: number | null } | null;
  readonly reason: string;
}

const VIEW_LAG_MS = 300;
/** A decision on a view that lags is refused; the next one waits for what was in the way. */
const CONFLICT_WAIT_MS = 50;
const MOST_REASONS = 20;

/** Refuses a service that is not active/standby. */
export const notGoverned = (service: string): ReturnType<typeof refuse> =>
  refuse('conflict', `service ${service} is not active/standby: all its instances are members`, {
    next: 'set "mode": "active-standby" with PUT /v1/services/{service} first',
  });

/** The service now: what concerns the two of a hand-over from Redis itself, the others as this registry knows them. */
async function readGoverned(
  { store, feed }: HandoverContext,
  name: string,
  to: string | undefined,
): Promise<Result<GovernedService>> {
  const settings = await store.readService(name);
  const known = new Map([...feed.view.instancesOf(name)].map((instance) => [instance.id, instance]));
  if (!settings && known.size === 0) return refuse('not_found', `there is no service named ${name}`);
  if (!isGoverned(settings)) return notGoverned(name);
  const active = activationOf(settings)?.id;
  const chosen = to ?? bestStandby([...known.values()], active)?.id;
  for (const id of new Set([active, chosen])) {
    if (id === undefined) continue;
    const fresh = await store.readInstance(name, id);
    if (fresh) known.set(id, fresh);
    else known.delete(id);
  }
  return ok({ name, settings, instances: [...known.values()] });
}

/** Who is to be the active one. */
function chosenIn(service: GovernedService, to: string | undefined): Result<Instance> {
  const { name, instances } = service;
  const active = activeOf(service);
  if (to === undefined) {
    const best = bestStandby(instances, active?.id);
    if (best) return ok(best);
    const others = instances.filter(({ id }) => id !== active?.id);
    const why = others.slice(0, MOST_REASONS).map((each) => `${each.id}: ${unfitFor(each) ?? 'fit'}`);
    return refuse('conflict', `no instance of service ${name} could take over`, {
      why: why.length > 0 ? why : ['no other instance is registered'],
      next: 'register a standby, or mend one of those named in why',
    });
  }
  const named = instances.find(({ id }) => id === to);
  if (!named) return refuse('not_found', `instance ${to} of service ${name} is not registered`);
  const unfit = to === active?.id ? undefined : unfitFor(named);
  if (unfit === undefined) return ok(named);
  return refuse('conflict', `instance ${to} of service ${name} could not take over`, { why: [`${to}: ${unfit}`] });
}

/** Hands over to `to`, or to the best standby. Who is active already stays it, and nothing changes. */
export async function handOver(
  context: HandoverContext,
  service: string,
  { to, reason = 'asked for over HTTP', dryRun }: HandoverBody,
): Promise<Result<HandoverDone>> {
  const { store, feed, clock } = context;
  let done: HandoverDone | undefined;
  let attempts = 0;
  const decide = async (): Promise<Result<Decision>> => {
    attempts += 1;
    if (attempts > 1) await feed.reached(feed.view.revision + 1, CONFLICT_WAIT_MS);
    const governed = await readGoverned(context, service, to);
    if (!governed.ok) return governed;
    const chosen = chosenIn(governed.value, to);
    if (!chosen.ok) return chosen;
    const activation = activationOf(governed.value.settings);
    const isActive = chosen.value.id === activeOf(governed.value)?.id;
    const previous = activation ? { id: activation.id, fencingToken: activation.fencingToken } : null;
    done = { changed: !isActive && !dryRun, active: chosen.value, previous: isActive ? null : previous, reason };
    if (isActive || dryRun) return ok(unchanged);
    const nowMs = clock.unixMs();
    const evidence = { because: 'requested', detail: reason } as const;
    return ok({ type: 'commit', commit: activateInstance(governed.value, chosen.value, { reason, nowMs, evidence }) });
  };
  const carried = await decideAndCommit(store, decide);
  if (!carried.ok) return carried;
  if (!done) throw new Error('a hand-over was carried out that nobody decided');
  if (carried.value.type === 'unchanged') return ok(done);
  await feed.reached(carried.value.cursor.revision, VIEW_LAG_MS);
  const active = await store.readInstance(service, done.active.id);
  return active
    ? ok({ ...done, active })
    : refuse('conflict', `instance ${done.active.id} was removed right after it had taken over`);
}
