// How do answers of nodes and Sentinels become one look of a switchover, and a preflight become its plan?
import { addressKey, sameAddress, type Endpoint } from './address.ts';
import { parseInfo } from './info-parser.ts';
import { pingPeriod } from './switchover-forward.ts';
import type { Preflight } from './switchover-preflight.ts';
import type { PreflightFacts } from './switchover-check.ts';
import { predictPick } from './switchover-pick.ts';
import { switchoverLimits } from './switchover-plan.ts';
import type {
  SavedSetting,
  SwitchoverLook,
  SwitchoverNode,
  SwitchoverPlan,
  SwitchoverSentinel,
} from './switchover-plan.ts';

/** A node by its answer to INFO replication; null = it did not answer. */
export const lookAtNode = (at: Endpoint, text: string | null): SwitchoverNode => {
  const info = text === null ? null : parseInfo(text);
  return {
    name: at.name,
    host: at.host,
    port: at.port,
    reachable: info !== null && info.role !== null,
    role: info?.role ?? null,
    offset: info?.offset ?? null,
    lineage: info?.lineage ?? null,
    previousLineage: info?.previousLineage ?? null,
    follows: info?.follows ?? null,
    link: info?.link ?? null,
  };
};

/** Everybody at once. The majority is counted among all Sentinels that are known, also those that are silent now. */
export const lookAtAll = (
  nodes: readonly SwitchoverNode[],
  sentinels: readonly SwitchoverSentinel[],
): SwitchoverLook => {
  const majority = Math.floor(sentinels.length / 2) + 1;
  const camps = new Map<string, SwitchoverSentinel[]>();
  for (const one of sentinels) {
    if (!one.reachable || one.names === null) continue;
    const key = addressKey(one.names);
    camps.set(key, [...(camps.get(key) ?? []), one]);
  }
  const camp = [...camps.values()].find((one) => one.length >= majority);
  // Not the highest epoch: the Sentinel that leads a promotion raises its own before anything is decided.
  const epochs = (camp ?? []).map(({ epoch }) => epoch ?? -1).sort((a, b) => b - a);
  return { nodes, sentinels, named: camp?.[0]?.names ?? null, epoch: epochs[majority - 1] ?? null };
};

/** The plan of a preflight without blockers; null when it has some, or no target. */
export const planSwitchover = (id: string, facts: PreflightFacts, found: Preflight): SwitchoverPlan | null => {
  const { from, target, acting, way } = found;
  if (from === null || target === null || found.blockers.length > 0) return null;
  const others = facts.nodes.filter((node) => !sameAddress(node, from) && !sameAddress(node, target)).map(plain);
  const hurried = way === 'direct' ? [] : facts.sentinels.filter((one) => one.reachable && one.infoPeriodMs !== null);
  const pick = acting === null ? null : predictPick(acting.replicas, acting.downAfterMs ?? 1_000);
  const prefer = way !== 'direct' && !(pick !== null && pick.certain && sameAddress(pick.pick, target));
  const maxLag = Number(from.config['min-replicas-max-lag'] ?? 0);
  const isBindable = way === 'sentinel' && maxLag > 0 && from.config['min-replicas-to-write'] !== undefined;
  const keep = (at: Endpoint & { readonly config: Readonly<Record<string, string>> }, name: string): SavedSetting[] => {
    const value = at.config[name];
    return value === undefined ? [] : [{ at: plain(at), kind: 'config', name, value }];
  };
  return {
    id,
    group: facts.group,
    way,
    from: plain(from),
    to: plain(target),
    others,
    acting: acting === null || way === 'direct' ? null : plain(acting),
    epoch: way === 'direct' ? null : facts.epoch,
    lineage: from.info?.lineage ?? null,
    prefer,
    hurried: prefer ? hurried.map(plain) : [],
    bound: isBindable ? from.onlineReplicas : 0,
    saved: [
      ...(prefer ? keep(target, 'replica-priority') : []),
      ...(isBindable ? keep(from, 'min-replicas-to-write') : []),
      ...(way === 'sentinel' ? keep(from, pingPeriod) : []),
      ...(prefer ? hurried.map(periodOf) : []),
      ...(acting === null || way === 'direct' ? [] : [timeoutOf(acting)]),
    ],
    limits: {
      ...switchoverLimits,
      preferMs: hurried.length > 0 ? switchoverLimits.hurriedMs : switchoverLimits.preferMs,
    },
  };
};

const plain = ({ name, host, port }: Endpoint): Endpoint => ({ name, host, port });

const periodOf = (one: PreflightFacts['sentinels'][number]): SavedSetting => ({
  at: plain(one),
  kind: 'debug',
  name: 'INFO-PERIOD',
  value: String(one.infoPeriodMs ?? 10_000),
});

const timeoutOf = (one: PreflightFacts['sentinels'][number]): SavedSetting => ({
  at: plain(one),
  kind: 'sentinel',
  name: 'failover-timeout',
  value: String(one.failoverTimeoutMs ?? 180_000),
});

/** Which clients of a node belong to applications: of CLIENT LIST the ids that are neither Sentinels, replicas nor ours. */
export const applicationClients = (list: string): readonly string[] =>
  list
    .split('\n')
    .filter((line) => /\bflags=[^ ]*/.test(line) && !/\bflags=[^ ]*[MS]/.test(line))
    .filter((line) => !/\bname=(sentinel-|switchyard-(watch|enforcer|sentry|switchover))/.test(line))
    .flatMap((line) => /\bid=(\d+)/.exec(line)?.[1] ?? []);
