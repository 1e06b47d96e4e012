// A model of a group under a rollback: a primary with data and writers, a replica, Sentinels, an archive, and we who serve. Every rule
// that must hold is checked where the world changes; `broken` collects what did not hold.
import {
  rollbackLimits,
  type RollbackAddress,
  type RollbackCommand,
  type RollbackInput,
  type RollbackLook,
  type RollbackNode,
  type RollbackPlan,
} from './rollback-plan.ts';

type Data = 'before' | 'target' | 'safety' | 'broken' | 'disk';

interface WorldNode {
  readonly at: RollbackAddress;
  runId: string;
  replicationId: string;
  previousReplicationId: string | null;
  offset: number;
  role: 'primary' | 'replica';
  follows: RollbackAddress | null;
  link: 'up' | 'down';
  data: Data;
  alive: boolean;
  frozenUntilMs: number;
  pausedUntilMs: number;
  settings: Record<string, string>;
}

interface Served {
  readonly at: RollbackAddress;
  readonly data: Data;
  readonly replicationId: string;
  readonly offset: number;
  readonly reachable: boolean;
  contacted: boolean;
  sentBytes: number;
}

export type Answer = Extract<RollbackInput, { readonly type: 'answer' }>;

const id = (letter: string): string => letter.repeat(40);
const p1: RollbackAddress = { host: '10.0.0.1', port: 6379 };
const p2: RollbackAddress = { host: '10.0.0.2', port: 6379 };
const sentinels = [1, 2, 3].map((at): RollbackAddress => ({ host: `10.0.1.${at}`, port: 26379 }));

/** A plan for the world's group. */
export function worldPlan(kind: 'sentinel' | 'single', loads: 'swapdb' | 'plain' = 'swapdb'): RollbackPlan {
  return {
    id: 'op-1',
    group: 'main',
    kind,
    primary: p1,
    runId: id('1'),
    replicationId: id('a'),
    epoch: kind === 'sentinel' ? 3 : null,
    replicas: kind === 'sentinel' ? [p2] : [],
    sentinels: kind === 'sentinel' ? sentinels : [],
    settings: [
      ...(kind === 'sentinel'
        ? sentinels.map((at) => ({
            at,
            kind: 'sentinel' as const,
            name: 'down-after-milliseconds',
            before: '1000',
            meanwhile: '600000',
          }))
        : []),
      { at: p1, kind: 'config', name: 'min-replicas-to-write', before: '1', meanwhile: '0' },
    ],
    loads,
    targetOffset: 2 ** 40,
    safetyOffset: 2 ** 41,
    limits: rollbackLimits,
  };
}

/** The world; `random` decides what goes wrong, `trouble` (0 to 1) how often. */
export function createRollbackWorld(options: {
  readonly plan: RollbackPlan;
  readonly random: () => number;
  readonly trouble: number;
}) {
  const { plan, random, trouble } = options;
  const broken: string[] = [];
  let nowMs = 0;
  const nodeAt = (at: RollbackAddress, facts: Partial<WorldNode>): WorldNode => ({
    at,
    runId: id('1'),
    replicationId: id('a'),
    previousReplicationId: null,
    offset: 1_000,
    role: 'primary',
    follows: null,
    link: 'up',
    data: 'before',
    alive: true,
    frozenUntilMs: 0,
    pausedUntilMs: 0,
    settings: { 'min-replicas-to-write': '1' },
    ...facts,
  });
  const primary = nodeAt(p1, {});
  const replica = nodeAt(p2, { runId: id('2'), role: 'replica', follows: p1 });
  const patience = new Map(plan.sentinels.map((at) => [at.host, '1000']));
  let named = p1;
  let epoch = 3;
  let sealedUpTo = -1;
  let lastWrite = primary.offset;
  let served: Served | null = null;
  let restarted = false;
  let intruded = false;
  let loadingUntilMs: number | null = null;
  let nextPort = 7_001;
  let nextHistory = 'b';
  let pausedSinceMs: number | null = null;
  const listenerWorks = random() >= trouble / 3;
  const proofHolds = random() >= trouble / 3;
  const chance = (per: number): boolean => random() < trouble * per;
  const answers = (node: WorldNode): boolean => node.alive && nowMs >= node.frozenUntilMs;
  const must = (holds: boolean, what: string): void => {
    if (!holds && !broken.includes(what)) broken.push(what);
  };
  const history = (): string => {
    const made = id(nextHistory);
    nextHistory = String.fromCharCode(nextHistory.charCodeAt(0) + 1);
    return made;
  };

  const load = (): void => {
    if (served === null || primary.follows?.port !== served.at.port || !served.reachable || !answers(primary)) {
      loadingUntilMs = null;
      primary.link = primary.role === 'replica' ? 'down' : primary.link;
      return;
    }
    served.contacted = true;
    if (primary.offset >= served.offset) return;
    served.sentBytes = 1;
    loadingUntilMs ??= nowMs + 40 + random() * 400;
    if (plan.loads === 'plain' || primary.replicationId !== served.replicationId) primary.data = 'broken';
    if (nowMs < loadingUntilMs) return;
    loadingUntilMs = null;
    must(lastWrite <= sealedUpTo, 'the present data were dropped before all of them were archived');
    primary.data = served.data;
    primary.offset = served.offset;
    primary.replicationId = served.replicationId;
    primary.link = 'up';
  };

  const failover = (): void => {
    if (plan.kind === 'single' || !answers(replica) || named !== p1) return;
    named = p2;
    epoch += 1;
    replica.role = 'primary';
    replica.follows = null;
    replica.previousReplicationId = replica.replicationId;
    replica.replicationId = history();
  };

  const tick = (stepMs: number): void => {
    nowMs += stepMs;
    load();
    if (answers(primary) && primary.role === 'primary' && nowMs >= primary.pausedUntilMs && named === p1) {
      primary.offset += 10;
      lastWrite = primary.offset;
      pausedSinceMs = null;
      // It was not ours: what is written now belongs to whatever is there.
      if (primary.data === 'target' || primary.data === 'safety') lastWrite = -1;
    }
    if (plan.kind === 'sentinel' && answers(replica) && replica.role === 'replica' && primary.role === 'primary') {
      replica.link = answers(primary) ? 'up' : 'down';
      if (replica.link === 'up') {
        replica.data = primary.data;
        replica.offset = primary.offset;
        replica.replicationId = primary.replicationId;
        replica.previousReplicationId = primary.previousReplicationId;
      }
    }
    const isPatient = [...patience.values()].filter((value) => value !== '1000').length >= 2;
    if (!answers(primary) && !isPatient && chance(0.5)) failover();
    if (chance(0.002)) {
      primary.alive = false;
      primary.pausedUntilMs = 0;
    }
    if (!primary.alive && chance(0.02)) {
      Object.assign(primary, { alive: true, runId: id('9'), role: 'primary', follows: null, data: 'disk' });
      primary.replicationId = history();
      restarted = true;
    }
    if (chance(0.003)) primary.frozenUntilMs = nowMs + random() * 4_000;
    if (chance(0.0005)) failover();
    if (chance(0.0003) && answers(primary)) {
      intruded = true;
      primary.role = 'replica';
      primary.follows = { host: '10.9.9.9', port: 1 };
    }
  };

  const seen = (node: WorldNode): RollbackNode =>
    answers(node) && !chance(0.02)
      ? {
          ...node.at,
          reachable: true,
          runId: node.runId,
          role: node.role,
          replicationId: node.replicationId,
          previousReplicationId: node.previousReplicationId,
          offset: node.offset,
          follows: node.follows,
          link: node.role === 'replica' ? node.link : null,
        }
      : {
          ...node.at,
          reachable: false,
          runId: null,
          role: null,
          replicationId: null,
          previousReplicationId: null,
          offset: null,
          follows: null,
          link: null,
        };

  const look = (): RollbackLook => ({
    primary: seen(primary),
    replicas: plan.kind === 'single' ? [] : [seen(replica)],
    named: plan.kind === 'single' ? p1 : named,
    epoch: plan.kind === 'single' ? null : epoch,
    serving: served === null ? null : { contacted: served.contacted, sentBytes: served.sentBytes, failure: null },
  });

  const toPrimary = (words: readonly string[], runId: string | null): Answer['outcome'] => {
    if (!answers(primary)) return 'lost';
    if (runId !== null && primary.runId !== runId) return 'refused';
    const [command, first = '', second = ''] = words;
    if (command === 'CLIENT' && first === 'PAUSE') {
      must(Number(second) <= plan.limits.pauseMs, 'the writers were paused without a limit');
      primary.pausedUntilMs = Math.max(primary.pausedUntilMs, nowMs + Number(second));
      pausedSinceMs ??= nowMs;
    }
    if (command === 'CLIENT' && first === 'UNPAUSE') {
      primary.pausedUntilMs = 0;
    }
    if (command === 'CONFIG') primary.settings[first === 'SET' ? second : first] = words[3] ?? '';
    if (command === 'REPLICAOF' && first === 'NO') {
      must(plan.kind === 'single' || named === p1, 'two primaries by our doing');
      must(primary.runId === plan.runId, 'an order to another process');
      if (primary.role === 'replica') {
        primary.role = 'primary';
        primary.follows = null;
        primary.previousReplicationId = primary.replicationId;
        primary.replicationId = history();
      }
    } else if (command === 'REPLICAOF') {
      must(primary.runId === plan.runId, 'an order to another process');
      const isOurs = first === '192.0.2.1';
      if (isOurs && primary.role === 'primary') {
        const isUndo = served?.data === 'safety';
        must(isUndo || primary.replicationId === plan.replicationId, 'an order to a node with another history');
        must(named === p1 && epoch === (plan.epoch ?? 3), 'an order to a node that was not named any more');
      }
      primary.role = 'replica';
      primary.follows = { host: first, port: Number(second) };
      primary.link = 'down';
    }
    return 'ok';
  };

  const serve = (data: Data, facts: { readonly offset: number; readonly replicationId: string }): RollbackAddress => {
    const at = { host: '192.0.2.1', port: nextPort };
    nextPort += 1;
    served = { at, data, ...facts, reachable: listenerWorks || data === 'safety', contacted: false, sentBytes: 0 };
    return at;
  };

  const work = (command: Extract<RollbackCommand, { readonly to: 'driver' }>): Omit<Answer, 'type' | 'key'> => {
    const done = { outcome: 'ok' as const, detail: '' };
    switch (command.work.type) {
      case 'serve-target':
        return { ...done, address: serve('target', { offset: plan.targetOffset, replicationId: plan.replicationId }) };
      case 'serve-safety':
        if (sealedUpTo < 0) return { outcome: 'refused', detail: 'there is no safety point' };
        return {
          ...done,
          address: serve('safety', { offset: plan.safetyOffset, replicationId: command.work.replicationId }),
        };
      case 'seal':
        sealedUpTo = Math.max(sealedUpTo, command.work.offset);
        return done;
      case 'prove':
        if (command.work.what === 'target' && !proofHolds) return { outcome: 'refused', detail: 'it differs' };
        return answers(primary) ? done : { outcome: 'lost', detail: '' };
      case 'probe':
        return answers(primary) && primary.role === 'primary' ? done : { outcome: 'lost', detail: '' };
      case 'stop-serving':
        served = null;
        return done;
    }
  };

  return {
    broken,
    now: () => nowMs,
    tick,
    look,
    /** What we serve ends with our process. */
    died: () => {
      served = null;
    },
    carryOut: (command: RollbackCommand): Answer => {
      const lost = { type: 'answer', key: command.key, outcome: 'lost', detail: '' } as const;
      if (chance(0.03)) return lost;
      let answer: Answer;
      if (command.to === 'driver') answer = { type: 'answer', key: command.key, ...work(command) };
      else if (command.to === 'primary')
        answer = { ...lost, outcome: toPrimary(command.words, command.runId), detail: 'as the node says' };
      else {
        patience.set(command.at.host, command.words[4] ?? '');
        answer = { ...lost, outcome: 'ok' };
      }
      return chance(0.03) ? lost : answer;
    },
    facts: () => ({
      primary,
      replica,
      named,
      restarted,
      intruded,
      patience: [...patience.values()],
      pausedSinceMs,
    }),
  };
}
