// What is a group under management made of? Eyes, a history, the loop of looks, and the parts that act; put together here.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { RedisGroupView } from '@switchyard/protocol';
import {
  accessOf,
  createCatalogStore,
  createLeases,
  createRedisHistory,
  createRedisNodeAdmin,
  type Redis,
} from '@switchyard/redis';
import { noFindings, withFindings } from '@switchyard/replication';
import type { Clock, Component, Health, Logger, Metrics } from '@switchyard/runtime';
import { createEnforcement, type Enforcement, type EnforcementSettings } from './enforcer/enforcer-parts.ts';
import { createEarlyPrimary } from './enforcer/early-primary.ts';
import type { BackupWorkers } from './backups/backup-workers.ts';
import { createClusterMemory } from './cluster/cluster-memory.ts';
import { createClusterObserver } from './cluster/cluster-observer.ts';
import { createClusterVerification, type ClusterVerification } from './cluster/cluster-verification.ts';
import { createClusterWatch } from './cluster/cluster-watch.ts';
import { createClusterWork, type ClusterWork } from './cluster/cluster-work.ts';
import { createConsistency, type Consistency, type ConsistencySettings } from './consistency/consistency.ts';
import { createGroupMetrics } from './group-metrics.ts';
import type { GroupDefinition, GroupPart, GroupTools } from './group-part.ts';
import { createGroupWatch, type GroupWatch } from './group-watch.ts';
import { createHealthPolicy, type HealthPolicy } from './health-policy/health-policy.ts';
import { createHistory, type History } from './history.ts';
import { createJournal } from './journal.ts';
import { createDamagedFiles } from './logs/damaged-files.ts';
import { createLogEvidence, type LogEvidenceSettings } from './logs/log-evidence.ts';
import { createObserver, type Observer } from './observer.ts';
import { createOperationGate } from './switchover/operation-gate.ts';
import { createProvisionPart } from './sentinels/provision-part.ts';
import { createRebuilds, type Rebuilds } from './rebuild/rebuild.ts';
import type { RedisOperations } from './redis-operations.ts';
import { createVerification } from './consistency/verification.ts';
import { createSentinelDoctor } from './sentinels/sentinel-doctor.ts';
import { createMaintenance, type Maintenance } from './switchover/maintenance.ts';
import { createSwitchover, type Switchover, type SwitchoverSettings } from './switchover/switchover.ts';

/** A group as the API serves it. */
export interface Group extends Component {
  readonly definition: GroupDefinition;
  readonly history: History;
  readonly tools: GroupTools;
  /** Of a Redis Cluster only: its shards, and the work on them. */
  readonly cluster: ClusterWork | null;
  readonly enforcement: Enforcement;
  readonly consistency: Consistency;
  readonly health: HealthPolicy;
  readonly rebuilds: Rebuilds;
  readonly switchover: Switchover;
  readonly maintenance: Maintenance;
  view(): RedisGroupView;
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

/** What all groups of a manager share. */
export interface GroupSurroundings {
  /** The control plane's own Redis: what is shared with other managers goes there; nothing depends on it. */
  readonly redis: Redis;
  readonly instanceId: string;
  readonly backups: BackupWorkers;
  readonly operations: RedisOperations;
  readonly stateDir: string;
  readonly pollMs: number;
  readonly enforcement: EnforcementSettings;
  readonly switchover: SwitchoverSettings;
  readonly consistency: ConsistencySettings;
  readonly logEvidence: LogEvidenceSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
}

/** A group; `start` reads its journal and begins to look. */
export const createGroup = (definition: GroupDefinition, surroundings: GroupSurroundings): Group => {
  const { name, settings, names, input } = definition;
  const { redis, instanceId, clock, logger, metrics, health, pollMs } = surroundings;
  const stateDir = join(surroundings.stateDir, 'groups', name);
  const history = createHistory({
    group: name,
    journal: createJournal(join(stateDir, 'failovers.jsonl'), logger),
    shared: createRedisHistory({ redis, group: name, holder: instanceId }),
    store: createCatalogStore(redis, instanceId),
    health,
    clock,
    logger,
  });
  const clusterObserver =
    settings.kind === 'cluster'
      ? createClusterObserver({
          settings,
          names,
          homeSlot: definition.homeSlot ?? null,
          clock,
          logger,
          onTurn: () => watch.turn(),
        })
      : null;
  const sentinelObserver = (): Observer => {
    if (settings.kind === 'cluster') throw new Error('a Redis Cluster has no Sentinels');
    return createObserver({
      settings,
      names,
      clock,
      logger,
      onMessage: (message) => watch.hear(message),
      onTurn: () => watch.turn(),
    });
  };
  const observer: Observer = clusterObserver ?? sentinelObserver();
  const tools: GroupTools = {
    definition,
    observer,
    history,
    gate: createOperationGate(name, { leases: createLeases(redis), stateDir: surroundings.stateDir, clock, logger }),
    operations: surroundings.operations,
    stateDir,
    clock,
    logger,
    metrics,
    health,
    manages: input.manage === 'manage',
    connect: (at, options = {}) =>
      createRedisNodeAdmin({ ...accessOf(settings), host: at.host, port: at.port, clock, logger, ...options }),
    sentinels: () => observer.sentinels(),
    wake: () => watch.turn(),
  };
  const enforcement = createEnforcement(tools, surroundings.enforcement, redis);
  const consistency = createConsistency(tools, surroundings.consistency, () => watch.view());
  const healthPolicy = createHealthPolicy(tools);
  const maintenance = createMaintenance(tools);
  const rebuilds = createRebuilds({
    tools,
    health: healthPolicy,
    consistency,
    backups: surroundings.backups,
    maintenance: () => maintenance.why(),
    view: () => watch.view(),
  });
  const switchover = createSwitchover({
    tools,
    settings: surroundings.switchover,
    maintenance: () => maintenance.why(),
    comparedAt: () => consistency.last()?.at ?? null,
  });
  const parts: readonly GroupPart[] = [
    maintenance.part,
    switchover.part,
    createEarlyPrimary(tools),
    ...enforcement.parts,
    healthPolicy,
    rebuilds.part,
    consistency.part,
    createVerification(tools, consistency),
    createLogEvidence(tools, surroundings.logEvidence),
    createDamagedFiles(tools, surroundings.logEvidence, consistency),
    createProvisionPart(tools),
    createSentinelDoctor(tools),
  ];
  const counted = createGroupMetrics(metrics, name);
  const common = { definition, history, metrics: counted, health, pollMs, clock, logger };
  const clusterWatch =
    clusterObserver &&
    createClusterWatch({
      ...common,
      observer: clusterObserver,
      memory: createClusterMemory(join(stateDir, 'shards.json'), logger),
      onFinished: (entry) => clusterVerification?.finished(entry),
    });
  const clusterVerification: ClusterVerification | null =
    clusterWatch && createClusterVerification(tools, consistency, () => clusterWatch.facts());
  const watch: GroupWatch = clusterWatch ?? createGroupWatch({ ...common, tools, parts });
  // A cluster has neither Sentinels nor looks: what compares data works with its view alone.
  const active = clusterWatch === null ? parts : [consistency.part];
  const viewNow = (): RedisGroupView => {
    const view = watch.view();
    const found = clusterWatch === null ? view : withFindings(view, [consistency.part.findings?.() ?? noFindings]);
    return { ...found, lastCheck: consistency.last() };
  };
  return {
    name: `group:${name}`,
    definition,
    history,
    tools,
    cluster:
      clusterWatch && clusterObserver && createClusterWork({ tools, observer: clusterObserver, watch: clusterWatch }),
    enforcement,
    consistency,
    health: healthPolicy,
    rebuilds,
    switchover,
    maintenance,
    view: () => viewNow(),
    async start(signal) {
      await mkdir(stateDir, { recursive: true }).catch((error: unknown) =>
        logger.error({ group: name, err: error }, 'group.state_dir_unusable'),
      );
      await history.start(signal);
      for (const part of active) await part.start?.(signal);
      await watch.start(signal);
    },
    async stop() {
      await watch.stop();
      await clusterVerification?.stop();
      for (const part of active.toReversed()) await part.stop?.();
      await history.stop();
      counted.forget();
    },
  };
};
