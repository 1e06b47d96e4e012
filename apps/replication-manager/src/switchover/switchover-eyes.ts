// What does a switchover see now? Those that decide are asked and waited for a moment; of the others the latest answer counts.
import {
  lookAtAll,
  lookAtNode,
  parseReportedReplicas,
  parseSentinelView,
  predictPick,
  sameAddress,
  type Endpoint,
  type SwitchoverLook,
  type SwitchoverNode,
  type SwitchoverPlan,
  type SwitchoverSentinel,
  type SwitchoverWait,
} from '@switchyard/replication';
import type { Clock } from '@switchyard/runtime';
import type { Contacts } from './switchover-contacts.ts';

/** Looks, one after the other. */
export interface Eyes {
  /** Resolves within `patienceMs`. An answer of somebody who decides is never older than the beginning of the look. */
  look(waitsFor: SwitchoverWait): Promise<SwitchoverLook>;
}

/** How long those that decide are waited for. */
const patienceMs = 150;
/** An answer of the others that is older counts as none. */
const staleMs = 700;
/** Only while a Sentinel's choice matters is it asked for. */
const choiceMatters: ReadonlySet<SwitchoverWait> = new Set(['target-preferred', 'named']);

interface Glance<T> {
  readonly at: Endpoint;
  latest: { readonly value: T; readonly askedAtMs: number } | null;
  asking: Promise<void> | null;
}

/** Eyes on everybody of the plan. */
export const createEyes = (options: {
  readonly plan: SwitchoverPlan;
  readonly sentinels: readonly Endpoint[];
  readonly contacts: Contacts;
  readonly clock: Clock;
}): Eyes => {
  const { plan, contacts, clock } = options;
  const glance = <T>(at: Endpoint): Glance<T> => ({ at, latest: null, asking: null });
  const nodes = [plan.from, plan.to, ...plan.others].map((at) => glance<SwitchoverNode>(at));
  const sentinels = options.sentinels.map((at) => glance<SwitchoverSentinel>(at));

  const begin = <T>(one: Glance<T>, ask: (at: Endpoint) => Promise<T>): void => {
    if (one.asking !== null) return;
    const askedAtMs = clock.monotonicMs();
    one.asking = ask(one.at)
      .then((value) => {
        one.latest = { value, askedAtMs };
      })
      .catch(() => undefined)
      .finally(() => {
        one.asking = null;
      });
  };
  const askNode = async (at: Endpoint): Promise<SwitchoverNode> =>
    lookAtNode(at, await contacts.eye(at, 'node').info('replication'));
  const askSentinel =
    (withChoice: boolean) =>
    async (at: Endpoint): Promise<SwitchoverSentinel> => {
      const eye = contacts.eye(at, 'sentinel');
      const [said, replicas] = await Promise.all([
        eye.call('SENTINEL', 'MASTER', plan.group),
        withChoice ? eye.call('SENTINEL', 'REPLICAS', plan.group) : null,
      ]);
      const view = parseSentinelView(said);
      const { pick, certain } = predictPick(parseReportedReplicas(replicas), view?.downAfterMs ?? 1_000);
      return {
        name: at.name,
        host: at.host,
        port: at.port,
        reachable: view !== null,
        names: view?.primary ?? null,
        epoch: view?.epoch ?? null,
        inProgress: view?.flags.includes('failover_in_progress') ?? false,
        picks: certain ? pick : null,
      };
    };
  const decides = ({ at }: { readonly at: Endpoint }): boolean =>
    [plan.from, plan.to, plan.acting].some((one) => sameAddress(at, one));

  return {
    async look(waitsFor) {
      const sinceMs = clock.monotonicMs();
      for (const one of nodes) begin(one, askNode);
      for (const one of sentinels) begin(one, askSentinel(choiceMatters.has(waitsFor)));
      const awaited = [...nodes, ...sentinels].filter((one) => decides(one) || one.latest === null);
      const over = new AbortController();
      await Promise.race([
        Promise.all(awaited.map(async ({ asking }) => asking)),
        clock.sleep(patienceMs, over.signal).catch(() => undefined),
      ]);
      over.abort();
      const nowMs = clock.monotonicMs();
      const valueOf = <T>(one: Glance<T>, otherwise: T): T => {
        const oldestMs = decides(one) ? sinceMs : nowMs - staleMs;
        return one.latest !== null && one.latest.askedAtMs >= oldestMs ? one.latest.value : otherwise;
      };
      return lookAtAll(
        nodes.map((one) => valueOf(one, lookAtNode(one.at, null))),
        sentinels.map((one) => valueOf(one, silentSentinel(one.at))),
      );
    },
  };
};

const silentSentinel = ({ name, host, port }: Endpoint): SwitchoverSentinel => ({
  name,
  host,
  port,
  reachable: false,
  names: null,
  epoch: null,
  inProgress: false,
  picks: null,
});
