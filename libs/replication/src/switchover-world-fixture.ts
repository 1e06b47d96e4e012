// What would Redis and Sentinel do? A small model of three nodes, three Sentinels and some writers, in steps of 20 ms, with
// faults. Only what a switchover can meet is modelled; the numbers are those of sentinel.c and of redis 7.0.15.
import type { Endpoint } from './address.ts';
import {
  tickMs,
  type Random,
  type World,
  type WorldNode,
  type WorldSentinel,
} from './switchover-world-parts-fixture.ts';

/** Sentinel calls a primary down after so long. */
const downAfterMs = 1_000;

const endpoint = (name: string, port: number): Endpoint => ({ name, host: 'h', port });

export const createWorld = (random: Random): World => {
  const nodes: WorldNode[] = ['r1', 'r2', 'r3'].map((name, index) => ({
    at: endpoint(name, 1 + index),
    alive: true,
    frozenUntilMs: 0,
    frozenSinceMs: 0,
    role: index === 0 ? ('primary' as const) : ('replica' as const),
    follows: null,
    log: [],
    lineage: 'L0',
    previousLineage: null,
    sharedLength: -1,
    pausedUntilMs: 0,
    config: new Map([
      ['replica-priority', '100'],
      ['min-replicas-to-write', '0'],
      ['repl-ping-replica-period', '10'],
    ]),
    inbox: [],
    fullSyncs: 0,
  }));
  const [first] = nodes as [WorldNode];
  for (const node of nodes) if (node !== first) node.follows = first.at;
  const sentinels: WorldSentinel[] = [11, 12, 13].map((port) => ({
    at: endpoint(`s${String(port - 10)}`, port),
    alive: true,
    frozenUntilMs: 0,
    names: first,
    epoch: 0,
    failover: null,
    failoverTimeoutMs: 15_000,
    infoPeriodMs: 10_000,
    infoAtMs: -10_000 * random(),
    seen: new Map(nodes.map((node) => [node.at.name, { priority: 100, offset: 0 }])),
    inbox: [],
  }));
  const acked: World['acked'] = new Map();
  const violations: string[] = [];
  const clients = [0, 1].map(() => ({ node: first, stuckMs: 0 }));
  let nextWrite = 1;
  let lineages = 0;

  const awake = (one: { alive: boolean; frozenUntilMs: number }): boolean =>
    one.alive && world.nowMs >= one.frozenUntilMs;
  const nodeAt = (at: Endpoint | null): WorldNode | undefined => nodes.find((node) => node.at.port === at?.port);
  const followers = (of: WorldNode): WorldNode[] =>
    nodes.filter((node) => node.alive && node.role === 'replica' && node.follows?.port === of.at.port);
  const isWritable = (node: WorldNode): boolean =>
    awake(node) &&
    node.role === 'primary' &&
    world.nowMs >= node.pausedUntilMs &&
    followers(node).length >= Number(node.config.get('min-replicas-to-write'));

  const promote = (node: WorldNode, ours: boolean): void => {
    if (node.role === 'primary') return;
    const old = nodeAt(node.follows);
    const reachable = nodes.filter((one) => one !== node && awake(one));
    if (ours && !world.uncertain) {
      for (const other of reachable) {
        if (
          other.role === 'replica' &&
          other.follows?.port === node.follows?.port &&
          other.log.length > node.log.length
        ) {
          violations.push(`${node.at.name} was promoted behind ${other.at.name}`);
        }
      }
      const kept = new Set(node.log);
      const missing = [...acked.keys()].filter((id) => !kept.has(id));
      if (missing.length > 0 && !world.excused)
        violations.push(`${node.at.name} was promoted without ${String(missing.length)} acknowledged writes`);
    }
    if (ours && old !== undefined) world.ourHeir = { node, old, atMs: world.nowMs };
    node.role = 'primary';
    node.follows = null;
    node.previousLineage = node.lineage;
    node.sharedLength = node.log.length;
    node.lineage = `L${String((lineages += 1))}`;
  };
  const follow = (node: WorldNode, primary: WorldNode): void => {
    if (node === primary) return;
    node.role = 'replica';
    node.follows = primary.at;
  };

  const replicate = (): void => {
    for (const replica of nodes) {
      const primary = nodeAt(replica.follows);
      if (replica.role !== 'replica' || primary === undefined || !awake(replica) || !awake(primary)) continue;
      if (replica.lineage !== primary.lineage) {
        const continues = replica.lineage === primary.previousLineage && replica.log.length <= primary.sharedLength;
        if (primary.role === 'replica' && primary.follows?.port === replica.at.port) continue;
        if (!continues) {
          replica.fullSyncs += 1;
          replica.log = primary.log.slice(0, primary.log.length);
        }
        replica.lineage = primary.lineage;
        replica.previousLineage = primary.previousLineage;
        replica.sharedLength = primary.sharedLength;
      }
      const most = 1 + Math.floor(random() * 8);
      for (let count = 0; count < most && replica.log.length < primary.log.length; count += 1) {
        replica.log.push(primary.log[replica.log.length] ?? -1);
      }
    }
  };

  const write = (): void => {
    for (const client of clients) {
      const { node } = client;
      if (isWritable(node)) {
        client.stuckMs = 0;
        const id = nextWrite;
        nextWrite += 1;
        node.log.push(id);
        acked.set(id, { node, atMs: world.nowMs });
        const heir = world.ourHeir;
        if (heir !== null && node === heir.old && heir.node.role === 'primary' && world.nowMs > heir.atMs) {
          if (!world.excused)
            violations.push(`${node.at.name} took a write after ${heir.node.at.name} was promoted for us`);
        }
        continue;
      }
      client.stuckMs += tickMs;
      const held = awake(node) && node.role === 'primary' && world.nowMs < node.pausedUntilMs;
      const silent = node.alive && !awake(node) && client.stuckMs < 3_000;
      if (held || silent) continue;
      client.node = world.named() ?? node;
    }
  };

  const choose = (sentinel: WorldSentinel): WorldNode | null =>
    nodes
      .filter(
        (node) =>
          node.alive &&
          (awake(node) || world.nowMs - node.frozenSinceMs < downAfterMs) &&
          node !== sentinel.names &&
          (sentinel.seen.get(node.at.name)?.priority ?? 0) > 0,
      )
      .toSorted((a, b) => {
        const one = sentinel.seen.get(a.at.name) ?? { priority: 100, offset: 0 };
        const two = sentinel.seen.get(b.at.name) ?? { priority: 100, offset: 0 };
        return one.priority - two.priority || two.offset - one.offset || a.at.port - b.at.port;
      })[0] ?? null;

  /** The certain choice: nobody else has its priority. */
  const pickOf = (one: WorldSentinel): Endpoint | null => {
    const chosen = choose(one);
    const best = chosen === null ? 0 : (one.seen.get(chosen.at.name)?.priority ?? 0);
    const ties = nodes.filter((node) => node !== one.names && one.seen.get(node.at.name)?.priority === best).length;
    return chosen !== null && ties === 1 ? chosen.at : null;
  };

  const sentinelTurn = (sentinel: WorldSentinel): void => {
    if (!awake(sentinel)) return;
    for (const work of sentinel.inbox.splice(0)) work();
    const period = sentinel.failover === null ? sentinel.infoPeriodMs : 1_000;
    if (world.nowMs - sentinel.infoAtMs >= period) {
      sentinel.infoAtMs = world.nowMs;
      for (const node of nodes) {
        if (awake(node))
          sentinel.seen.set(node.at.name, {
            priority: Number(node.config.get('replica-priority')),
            offset: node.log.length,
          });
      }
      const { failover } = sentinel;
      if (
        failover?.stage === 'wait' &&
        failover.chosen !== null &&
        awake(failover.chosen) &&
        failover.chosen.role === 'primary'
      ) {
        sentinel.failover = { ...failover, stage: 'reconf', sinceMs: world.nowMs };
      }
    }
    const { failover } = sentinel;
    if (failover === null) return;
    if (failover.stage === 'start' && world.nowMs - failover.sinceMs >= 100) {
      const chosen = choose(sentinel);
      if (chosen === null) {
        sentinel.failover = null;
        return;
      }
      const orderedAtMs = world.nowMs;
      sentinel.failover = { ...failover, stage: 'wait', chosen, sinceMs: orderedAtMs };
      const order = (): void => {
        // An order that comes after it was given up makes a stray, not an heir.
        promote(chosen, failover.ours && sentinel.failover?.sinceMs === orderedAtMs);
      };
      if (awake(chosen)) order();
      else chosen.inbox.push(order);
      return;
    }
    if (failover.stage === 'wait' && world.nowMs - failover.sinceMs > sentinel.failoverTimeoutMs) {
      sentinel.failover = null;
      return;
    }
    if (failover.stage !== 'reconf' || failover.chosen === null) return;
    const { chosen } = failover;
    for (const node of nodes) {
      if (node !== chosen && node !== sentinel.names && awake(node) && node.role === 'replica') follow(node, chosen);
    }
    if (world.nowMs - failover.sinceMs < 100) return;
    sentinel.names = chosen;
    sentinel.failover = null;
    if (!failover.ours) world.excused = true;
  };

  const gossip = (): void => {
    const awakeOnes = sentinels.filter(awake);
    for (const one of awakeOnes) {
      const newest = awakeOnes.reduce(
        (best, other) => (other.failover === null && other.epoch > best.epoch ? other : best),
        one,
      );
      if (newest !== one && one.failover === null && random() < 0.25) {
        one.names = newest.names;
        one.epoch = newest.epoch;
      }
    }
    const named = world.named();
    if (named === null || !awake(named) || named.role !== 'primary') return;
    // +convert-to-slave: a node that calls itself primary for more than 8 s against the configuration.
    for (const node of nodes) {
      const since = strayMs.get(node) ?? 0;
      const stray = node !== named && awake(node) && node.role === 'primary';
      strayMs.set(node, stray ? since + 5 * tickMs : 0);
      if (stray && since > 8_000) follow(node, named);
    }
    // Replicas of the wrong primary.
    for (const node of nodes) {
      const wrong = node !== named && awake(node) && node.role === 'replica' && node.follows?.port !== named.at.port;
      const since = wrongMs.get(node) ?? 0;
      wrongMs.set(node, wrong ? since + 5 * tickMs : 0);
      if (wrong && since > 8_000) follow(node, named);
    }
  };
  const strayMs = new Map<WorldNode, number>();
  const wrongMs = new Map<WorldNode, number>();

  const judge = (): void => {
    const named = world.named();
    if (named === null || sentinels.some((one) => awake(one) && one.failover !== null)) return;
    const downMs = named.alive ? (awake(named) ? 0 : world.nowMs - named.frozenSinceMs) : downAfterMs;
    // A primary that says it is a replica is taken for failed, too, much later.
    roleMs = named.alive && awake(named) && named.role === 'replica' ? roleMs + tickMs : 0;
    const silentMs = named.alive ? downMs : world.nowMs - named.frozenSinceMs;
    if (silentMs < downAfterMs && roleMs < 21_000) return;
    const able = sentinels.filter((one) => awake(one) && one.names === named);
    const [leader] = able;
    if (able.length < 2 || leader === undefined || random() > 0.05) return;
    if (world.nowMs < blockedUntilMs) return;
    world.excused = true;
    blockedUntilMs = world.nowMs + 3_000;
    world.beginFailover(leader, false);
  };
  let roleMs = 0;
  let blockedUntilMs = 0;

  const world: World = {
    nowMs: 0,
    nodes,
    sentinels,
    acked,
    violations,
    excused: false,
    uncertain: false,
    ourHeir: null,
    tick() {
      world.nowMs += tickMs;
      for (const node of nodes) if (awake(node)) for (const work of node.inbox.splice(0)) work();
      replicate();
      for (const sentinel of sentinels) sentinelTurn(sentinel);
      if (world.nowMs % (5 * tickMs) === 0) gossip();
      judge();
      write();
    },
    named() {
      const [one, two, three] = sentinels as [WorldSentinel, WorldSentinel, WorldSentinel];
      const agree = (a: WorldSentinel, b: WorldSentinel): boolean => a.alive && b.alive && a.names === b.names;
      if (agree(one, two) || agree(one, three)) return one.names;
      return agree(two, three) ? two.names : null;
    },
    isCalm() {
      const named = world.named();
      return (
        named !== null &&
        awake(named) &&
        named.role === 'primary' &&
        nodes.every(
          (node) => !node.alive || (awake(node) && (node === named || node.follows?.port === named.at.port)),
        ) &&
        sentinels.every((one) => !one.alive || (awake(one) && one.failover === null && one.names === named))
      );
    },
    beginFailover(sentinel, ours) {
      if (sentinel.failover !== null) return false;
      sentinel.epoch = Math.max(...sentinels.map(({ epoch }) => epoch)) + 1;
      sentinel.failover = { stage: 'start', sinceMs: world.nowMs, chosen: null, ours };
      return true;
    },
    look() {
      const camp = sentinels.filter((one) => awake(one) && one.names === world.named());
      const epochs = camp.map((one) => (one.failover === null ? one.epoch : one.epoch - 1)).sort((a, b) => b - a);
      return {
        nodes: nodes.map((node) => {
          const reachable = awake(node);
          const primary = nodeAt(node.follows);
          const link = primary !== undefined && awake(primary) ? ('up' as const) : ('down' as const);
          return {
            ...node.at,
            reachable,
            role: reachable ? node.role : null,
            offset: reachable ? node.log.length : null,
            lineage: reachable ? node.lineage : null,
            previousLineage: reachable ? node.previousLineage : null,
            follows: reachable ? node.follows : null,
            link: reachable && node.role === 'replica' ? link : null,
          };
        }),
        sentinels: sentinels.map((one) => {
          return {
            ...one.at,
            reachable: awake(one),
            names: one.names.at,
            epoch: one.epoch,
            inProgress: awake(one) && one.failover !== null,
            // Asked for seldom.
            get picks() {
              return pickOf(one);
            },
          };
        }),
        named: camp.length >= 2 ? (world.named()?.at ?? null) : null,
        epoch: camp.length >= 2 ? (epochs[1] ?? null) : null,
      };
    },
    deliver(command, answer) {
      const words = command.words.map((word) => word.toUpperCase());
      if (command.to === 'sentinel') {
        const sentinel = sentinels.find(({ at }) => at.port === command.at.port);
        if (sentinel === undefined || !sentinel.alive) return;
        sentinel.inbox.push(() => {
          if (words[1] === 'FAILOVER') {
            if (choose(sentinel) === null) return answer('refused', 'NOGOODSLAVE');
            return world.beginFailover(sentinel, true) ? answer('ok', '') : answer('refused', 'INPROG');
          }
          if (words[1] === 'DEBUG') sentinel.infoPeriodMs = Number(words[3]);
          if (words[1] === 'SET') sentinel.failoverTimeoutMs = Number(words[4]);
          answer('ok', '');
        });
        return;
      }
      const node = nodeAt(command.at);
      if (node === undefined || !node.alive) return;
      node.inbox.push(() => {
        if (command.type === 'probe') return isWritable(node) ? answer('ok', '') : answer('refused', 'READONLY');
        if (words[0] === 'CLIENT' && words[1] === 'PAUSE') {
          const limitMs = Number(words[2]);
          if (!(limitMs > 0 && limitMs <= 5_000) || words[3] !== 'WRITE')
            violations.push(`paused without a limit: ${words.join(' ')}`);
          node.pausedUntilMs = Math.max(node.pausedUntilMs, world.nowMs + limitMs);
        }
        if (words[0] === 'CLIENT' && words[1] === 'UNPAUSE') node.pausedUntilMs = 0;
        if (words[0] === 'CONFIG' && words[1] === 'SET')
          node.config.set(command.words[2] ?? '', command.words[3] ?? '');
        if (words[0] === 'REPLICAOF') {
          const primary = nodes.find(({ at }) => String(at.port) === words[2]);
          if (primary !== undefined) follow(node, primary);
        }
        answer('ok', '');
      });
    },
  };
  return world;
};
