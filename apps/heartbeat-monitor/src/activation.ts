// Does every active/standby service have its one active instance? The leader looks at each event that concerns such a service, and
// commits what libs/catalog decides: fenced by its lease, and on the service as it saw it. Then it carries out `onActivate`.
import {
  activateInstance,
  decideActivation,
  isGoverned,
  memberOfInstance,
  rightRole,
  vacateService,
} from '@switchyard/catalog';
import type { ActivationVerdict, CatalogStore, Commit, GovernedService } from '@switchyard/catalog';
import { leases } from '@switchyard/protocol';
import type { Evidence, Instance } from '@switchyard/protocol';
import type { CatalogFeed, FeedNews } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { ActivationHooks, HookNews } from './activation-hooks.ts';
import type { Monitor } from './monitor.ts';

/** Events wake it; this is for a new leader, and for what could not be committed. */
const EVERY_MS = 250;
const MAX_SERVICES_AT_ONCE = 16;
/** Roles put right one by one in one look; the others wait for the next. */
const MAX_RIGHTED_AT_ONCE = 32;
const VIEW_LAG_MS = 500;
const CONFLICT_WAIT_MS = 100;

type Change = Extract<ActivationVerdict, { type: 'activate' | 'vacate' }>;

/** Keeps active/standby services as they should be, while `monitor` leads. */
export function createActivation(options: {
  /** of this monitor, for the evidence */
  readonly id: string;
  readonly monitor: Pick<Monitor, 'status'>;
  readonly store: CatalogStore;
  readonly feed: CatalogFeed;
  readonly hooks: ActivationHooks;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { id: monitorId, monitor, store, feed, hooks, clock, logger } = options;
  /** services that something happened to */
  const dirty = new Set<string>();
  /** why the active one of a service was suspected or evicted; at most one a service */
  const losses = new Map<string, Evidence>();
  let led = false;
  let scannedAtMs = -Infinity;

  /** Undefined: it was not committed, and there is nothing to carry out. */
  const commit = async (name: string, change: Commit, token: number): Promise<number | undefined> => {
    const outcome = await store.commit(change, { lease: leases.monitor, token });
    if (outcome.type === 'committed') {
      await feed.reached(outcome.cursor.revision, VIEW_LAG_MS);
      return outcome.token;
    }
    logger.info({ service: name, outcome: outcome.type }, 'activation.not_committed');
    if (outcome.type === 'conflict') {
      // decided again as soon as what was in the way is in the view
      await feed.reached(feed.view.revision + 1, CONFLICT_WAIT_MS);
      dirty.add(name);
      ticker.wake();
    }
    return undefined;
  };

  const carryOut = async (service: GovernedService, verdict: Change, leaderToken: number): Promise<void> => {
    const { name, settings, instances } = service;
    const { reason } = verdict;
    const chosen = verdict.type === 'activate' ? verdict.chosen : undefined;
    const { onActivate } = settings.document;
    // whoever is registered needs nobody to be started in his place, and one that left on its owner's wish left for good
    const isCold = instances.length > 0 && instances.every(({ liveness }) => liveness === 'dead');
    const planned = onActivate && (chosen || isCold) ? hooks.plan(onActivate) : undefined;
    const evidence: Evidence = {
      ...(losses.get(name) ?? { because: 'requested', detail: reason }),
      monitor: monitorId,
      fencingToken: leaderToken,
    };
    const facts = { reason, nowMs: clock.unixMs(), evidence, ...(planned ? { onActivate: planned } : {}) };
    const change = chosen ? activateInstance(service, chosen, facts) : vacateService(service, facts);
    if (!change) return;
    const token = await commit(name, change, leaderToken);
    if (token === undefined) return;
    losses.delete(name);
    const previous = previousIn(change);
    logger.info(
      { service: name, instance: chosen?.id ?? null, fencingToken: token, previous, reason },
      change.event.type,
    );
    if (!onActivate || !planned) return;
    const news: HookNews = {
      service: name,
      instance: chosen ? { id: chosen.id, url: chosen.url } : null,
      fencingToken: chosen ? token : null,
      previous,
      reason,
    };
    hooks.run(onActivate, planned, news);
  };

  const right = async (
    name: string,
    settings: GovernedService['settings'] | undefined,
    { instances, token }: { readonly instances: readonly Instance[]; readonly token: number },
  ): Promise<void> => {
    let begun = 0;
    for (const instance of instances) {
      const decision = rightRole(instance, settings);
      if (decision.type === 'unchanged') continue;
      if (begun >= MAX_RIGHTED_AT_ONCE) {
        dirty.add(name);
        ticker.wake();
        return;
      }
      begun += 1;
      const done = await commit(name, decision.commit, token);
      if (done === undefined) return;
      logger.info({ member: memberOfInstance(instance) }, 'activation.role_righted');
    }
  };

  const settle = async (name: string, token: number): Promise<void> => {
    const settings = feed.view.policyOf(name);
    const instances = [...feed.view.instancesOf(name)];
    if (!isGoverned(settings)) {
      await right(name, settings, { instances, token });
      return;
    }
    const service = { name, settings, instances };
    const verdict = decideActivation(service, clock.unixMs());
    if (verdict.type === 'activate' || verdict.type === 'vacate') await carryOut(service, verdict, token);
    else if (verdict.type === 'keep') await right(name, settings, { instances, token });
  };

  const look = async (): Promise<void> => {
    const { leader, fencingToken } = monitor.status();
    if (!leader || !feed.status().loaded) {
      led = false;
      dirty.clear();
      return;
    }
    const nowMs = clock.monotonicMs();
    const names = new Set(dirty);
    dirty.clear();
    if (!led || nowMs - scannedAtMs >= EVERY_MS) {
      scannedAtMs = nowMs;
      for (const name of feed.view.serviceNames()) {
        // a new leader also looks for what the one before has left half done
        if (!led || isGoverned(feed.view.policyOf(name))) names.add(name);
      }
      led = true;
    }
    const waiting = [...names];
    while (waiting.length > 0) {
      const results = await Promise.allSettled(
        waiting.splice(0, MAX_SERVICES_AT_ONCE).map((name) => settle(name, fencingToken)),
      );
      const failed = results.find((result) => result.status === 'rejected');
      // Redis is away: all of them are looked at again
      if (failed) {
        led = false;
        throw failed.reason;
      }
    }
  };
  const ticker = createTicker({ name: 'activation', everyMs: EVERY_MS, run: look, clock, logger, deadlineMs: 10_000 });

  const hear = (news: FeedNews): void => {
    if (news.type === 'reset') {
      led = false;
      ticker.wake();
      return;
    }
    const { change, event, view } = news;
    if (change.type !== 'service') return;
    if (!isGoverned(view.policyOf(change.service)) && event.type !== 'service.updated') return;
    if (event.type === 'instance.evicted' || event.type === 'instance.suspected') {
      const { instance, evidence } = event.data;
      if (instance.role === 'active' && evidence) losses.set(change.service, evidence);
    } else if (event.type === 'instance.revived' && event.data.instance.role === 'active')
      losses.delete(change.service);
    dirty.add(change.service);
    ticker.wake();
  };
  let stopListening: (() => void) | undefined;
  return {
    name: 'activation',
    async start(signal) {
      stopListening = feed.listen(hear);
      await ticker.start(signal);
    },
    async stop() {
      stopListening?.();
      await ticker.stop();
      hooks.stop();
    },
  };
}

function previousIn({ event }: Commit): HookNews['previous'] {
  return event.type === 'service.activated' || event.type === 'service.vacated' ? event.data.previous : null;
}
