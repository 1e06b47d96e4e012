// Which nodes does the group have at this moment, and how are they? Sentinels name them, INFO describes them; nothing is cached,
// because a backup must not rest on what was true before a failover.
import type { BackupManifest } from '@switchyard/protocol';
import type { StreamCandidate } from '@switchyard/backup';
import {
  addressKey,
  defaultLimits,
  describeGroup,
  parseInfo,
  parseSentinelReplicas,
  parseSentinelView,
} from '@switchyard/replication';
import type { Address, Failure, NodeObservation, SentinelObservation } from '@switchyard/replication';
import { RedisNodeError, type RedisSettings } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import type { GroupProbe } from './group-probe.ts';
import { nodeFactsOf, nothingSaid, type NodeFacts, type NodeMemory } from './node-facts.ts';
import { textOf } from '../system-error.ts';

/** A node with the server that it runs; null when it did not answer. */
export interface SurveyedNode extends StreamCandidate {
  readonly server: BackupManifest['server'] | null;
  /** What a copy costs it; null when it did not say. */
  readonly memory: NodeMemory | null;
}

/** The group now. */
export interface GroupSurvey {
  readonly nodes: readonly SurveyedNode[];
  /** What is wrong with the group, one a line. */
  readonly problems: readonly string[];
  /** A failover is under way, as a Sentinel or the primary says. */
  readonly isInFailover: boolean;
}

/** Why a group of this kind is not backed up; null when it is. */
export const whyNoBackup = ({ kind }: RedisSettings): string | null => (kind === 'cluster' ? NO_CLUSTER : null);

/** One node has a part of the data only, and a backup of a part must not look like one of the whole. */
const NO_CLUSTER = 'a Redis Cluster is not backed up yet: follow each of its primaries with SWITCHYARD_REDIS_URL';

/** Asks all Sentinels, then all nodes that any of them names (or the one node of a group without Sentinels). Never rejects. */
export function createGroupSurvey(options: {
  readonly settings: RedisSettings;
  readonly probe: GroupProbe;
  readonly clock: Clock;
}): () => Promise<GroupSurvey> {
  const { settings, probe, clock } = options;
  return async () => {
    if (settings.kind === 'cluster') return { nodes: [], problems: [NO_CLUSTER], isInFailover: false };
    const sentinels =
      settings.kind === 'single'
        ? []
        : await Promise.all(settings.sentinels.map((at) => askSentinel(probe, at, clock)));
    const addresses = settings.kind === 'single' ? [settings.endpoint] : namedBy(sentinels);
    const nodes = await Promise.all(addresses.map((at) => askNode(probe, at, clock)));
    const facts = describeGroup(
      { name: settings.group, kind: settings.kind, nodes: nodes.map((node) => node.observation), sentinels },
      // All answers are from this survey, so none is stale.
      { nowMs: clock.monotonicMs(), limits: { ...defaultLimits, staleAfterMs: Number.MAX_SAFE_INTEGER } },
    );
    const said = new Map(nodes.map(({ observation, more }) => [observation.name, more]));
    return {
      nodes: facts.nodes.map((node) => ({ ...node, ...(said.get(node.name) ?? nothingSaid) })),
      problems: facts.problems.map((problem) => problem.detail),
      isInFailover:
        sentinels.some(({ view }) => view?.flags.includes('failover_in_progress') === true) ||
        nodes.some(({ isFailingOver }) => isFailingOver),
    };
  };
}

async function askSentinel(probe: GroupProbe, at: Address, clock: Clock): Promise<SentinelObservation> {
  const nothing = { ...named(at), view: null, tilted: null, replicas: [], ghosts: 0, peers: [], answeredAtMs: null };
  try {
    const { master, replicas } = await probe.sentinel(at);
    const answeredAtMs = clock.monotonicMs();
    return {
      ...nothing,
      view: parseSentinelView(master),
      ...parseSentinelReplicas(replicas),
      answeredAtMs,
      failure: null,
    };
  } catch (error) {
    return { ...nothing, failure: failureOf(error) };
  }
}

async function askNode(
  probe: GroupProbe,
  at: Address,
  clock: Clock,
): Promise<{ readonly observation: NodeObservation; readonly more: NodeFacts; readonly isFailingOver: boolean }> {
  const nothing = { ...named(at), info: null, savePoints: null, answeredAtMs: null };
  try {
    const text = await probe.node(at);
    const observation = { ...nothing, info: parseInfo(text), answeredAtMs: clock.monotonicMs(), failure: null };
    const isFailingOver = !/^master_failover_state:no-failover/m.test(text) && /^master_failover_state:/m.test(text);
    return { observation, more: nodeFactsOf(text), isFailingOver };
  } catch (error) {
    return { observation: { ...nothing, failure: failureOf(error) }, more: nothingSaid, isFailingOver: false };
  }
}

function namedBy(sentinels: readonly SentinelObservation[]): readonly Address[] {
  const found = new Map<string, Address>();
  for (const { view, replicas } of sentinels)
    for (const at of [...(view === null ? [] : [view.primary]), ...replicas])
      found.set(addressKey(at), { host: at.host, port: at.port });
  return [...found.values()];
}

function named(at: Address): Address & { readonly name: string } {
  return { name: addressKey(at), host: at.host, port: at.port };
}

function failureOf(error: unknown): Failure {
  return { kind: error instanceof RedisNodeError ? error.kind : 'gone', detail: textOf(error) };
}
