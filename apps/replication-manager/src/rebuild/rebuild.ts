// Who is being rebuilt, added or removed in this group? The part that shows it in the view, puts back what an interrupted one left, and
// knows the group as plans are made from it.
import { join } from 'node:path';
import { problemOf, refuse, type RedisGroupView, type Refusal } from '@switchyard/protocol';
import {
  addressKey,
  healthProblems,
  isLeaving,
  sameAddress,
  type Address,
  type Endpoint,
  type GroupProblem,
  type NodeFinding,
  type PlanGroup,
} from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { Consistency } from '../consistency/consistency.ts';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';
import type { HealthPolicy } from '../health-policy/health-policy.ts';
import type { BackupWorkers } from '../backups/backup-workers.ts';
import { createGuards, type Guard, type Guards } from './rebuild-guard.ts';

/** What work on the nodes of a group needs. */
export interface Rebuilds {
  readonly part: GroupPart;
  readonly tools: GroupTools;
  readonly guards: Guards;
  readonly consistency: Pick<Consistency, 'check'>;
  readonly backups: BackupWorkers;
  /** The group as it is now. */
  group(): PlanGroup;
  /** Shows the node as one that is worked on, until `done` is called. */
  show(node: Endpoint, reason: string): { tell(reason: string): void; done(): void };
  /** A connection of one's own. */
  connect(node: Endpoint): RedisNodeAdmin;
  /** Why work that began with this primary may not go on; null while it may. */
  stillLed(by: Address): Refusal | null;
}

/** What they are made from. */
export interface RebuildOptions {
  readonly tools: GroupTools;
  readonly health: Pick<HealthPolicy, 'input'>;
  readonly consistency: Pick<Consistency, 'check'>;
  readonly backups: BackupWorkers;
  /** Why requested work has to wait; null = it has not. */
  readonly maintenance: () => string | null;
  readonly view: () => RedisGroupView;
}

const questionMs = 2_000;
const guardsFile = 'rebuild.json';

/** The rebuilds of one group. */
export const createRebuilds = (options: RebuildOptions): Rebuilds => {
  const { tools, health, consistency, backups, maintenance, view } = options;
  const { gate, definition } = tools;
  const guards = createGuards(tools, join(tools.stateDir, guardsFile));
  const shown = new Map<string, { readonly node: Endpoint; reason: string }>();
  let last: GroupLook | null = null;

  const part: GroupPart = {
    name: 'rebuild',
    async start() {
      for (const guard of await guards.load()) {
        const { operation, node } = guard;
        tools.logger.warn({ group: definition.name, operation, node: node.name }, 'rebuild.interrupted');
        tools.operations.adopt(interrupted(guard, definition.name, tools.clock.unixMs()));
      }
    },
    look(look) {
      last = look;
      if (tools.manages) guards.look(look);
    },
    findings: () => ({
      problems: (last?.observation.nodes ?? [])
        .filter((node) => isLeaving(node) && !gate.isHeld(node))
        .map((node) => leaving(node, definition.name)),
      nodes: [
        ...(last?.observation.nodes ?? []).filter(isLeaving).map(leavingState),
        ...[...shown.values()].map(({ node, reason }): NodeFinding => ({
          ...node,
          state: 'rebuilding',
          eligible: false,
          reason,
        })),
      ],
    }),
  };

  return {
    part,
    tools,
    guards,
    consistency,
    backups,
    group: () => ({
      observation: tools.observer.observe(),
      view: view(),
      underWay: last !== null && last.follower.attempt !== null && last.follower.attempt.target === null,
      byHand: maintenance(),
      pressed: new Set(healthProblems(health.input(), new Set()).map(({ key }) => key)),
    }),
    show(node, reason) {
      const one = { node, reason };
      shown.set(addressKey(node), one);
      return {
        tell(more) {
          one.reason = more;
        },
        done() {
          if (shown.get(addressKey(node)) === one) shown.delete(addressKey(node));
        },
      };
    },
    connect: (node) => tools.connect(node, { deadlineMs: questionMs, name: 'switchyard-rebuild' }),
    stillLed(by) {
      const now = view().primary;
      // Nobody just now: a primary that pauses for a moment. A failover would name another one.
      return now === null || sameAddress(now, by)
        ? null
        : refuse(
            'conflict',
            `${now.name} is primary by now: Sentinel lets the node follow it, and the copy goes on from there`,
            {
              next: 'GET /v1/redis/groups/{group} tells when it is in sync',
            },
          ).error;
    },
  };
};

const leavingState = ({ name, host, port }: Endpoint): NodeFinding =>
  ({
    name,
    host,
    port,
    state: 'maintenance',
    eligible: false,
    reason: 'it was told to leave the group: it follows nobody and takes no writes',
  }) as NodeFinding;

const leaving = ({ name }: Endpoint, group: string): GroupProblem => ({
  code: 'node_leaving',
  detail: `${name} was told to leave the group and is still known here`,
  next: `it is forgotten within a minute; if not, DELETE /v1/redis/groups/${group}/nodes/${name} again, or REPLICAOF the primary on it to keep it`,
  advice: true,
});

const interrupted = ({ operation, kind, node, startedAtMs }: Guard, group: string, nowMs: number) => {
  const at = new Date(startedAtMs).toISOString();
  const { error } = refuse(
    'cancelled',
    `the manager ended while it worked on ${node.name}; the node goes on with its copy by itself`,
    {
      next: `its priority is put back when it is in sync; GET /v1/redis/groups/${group} tells its state`,
    },
  );
  return {
    id: operation,
    kind,
    subject: `${group}/${node.name}`,
    state: 'failed' as const,
    percent: 0,
    etaSeconds: null,
    createdAt: at,
    startedAt: at,
    finishedAt: new Date(nowMs).toISOString(),
    steps: [{ name: 'interrupted', state: 'failed' as const, detail: error.detail }],
    result: null,
    problem: problemOf(error),
  };
};
