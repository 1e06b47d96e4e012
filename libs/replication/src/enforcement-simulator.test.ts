// Two managers with views of different age look at a group whose Sentinels fail over, whose nodes freeze, die, return and are cut off
// from one manager or the other. Whatever they see, what must never happen does not happen.
import { seededRandom, type SeededRandom } from '@switchyard/testing';
import { addressKey, sameAddress } from './address.ts';
import {
  enforcementState,
  fenceOf,
  stepEnforcement,
  type EnforcementAction,
  type EnforcementInput,
  type EnforcementState,
} from './enforcement.ts';
import { parseInfo } from './info-parser.ts';
import { defaultLimits, type GroupObservation, type NodeObservation } from './observation.ts';
import { primaryVerdict } from './primary-verdict.ts';

const host = '10.0.0.1';

interface SimNode {
  readonly port: number;
  up: boolean;
  role: 'master' | 'slave';
  follows: number | null;
  lineage: number;
  before: number;
  run: number;
}
interface SimSentinel {
  up: boolean;
  names: number;
  epoch: number;
}
interface World {
  nowMs: number;
  epoch: number;
  next: number;
  /** Whom Sentinel is promoting, and when the majority will say so. */
  promoting: {
    readonly port: number;
    readonly epoch: number;
    readonly sinceMs: number;
    readonly told: Set<number>;
  } | null;
  readonly nodes: readonly SimNode[];
  readonly sentinels: readonly SimSentinel[];
}
interface Manager {
  state: EnforcementState;
  view: GroupObservation;
  /** What it decided and has not carried out yet. */
  pending: EnforcementAction[];
}

const newWorld = (random: SeededRandom): World => {
  const ports = Array.from({ length: random.integer(2, 5) }, (_none, at) => at + 1);
  return {
    nowMs: 0,
    epoch: 1,
    next: 2,
    promoting: null,
    nodes: ports.map((port) => ({
      port,
      up: true,
      role: port === 1 ? 'master' : 'slave',
      follows: port === 1 ? null : 1,
      lineage: 1,
      before: 0,
      run: port,
    })),
    sentinels: Array.from({ length: 3 }, () => ({ up: true, names: 1, epoch: 1 })),
  };
};
const nodeAt = (world: World, port: number): SimNode => world.nodes.find((node) => node.port === port) as SimNode;

/** What really happens: Sentinel promotes a replica, tells the others one by one; nodes die, return, and are restarted as primaries. */
const happen = (world: World, random: SeededRandom): void => {
  world.nowMs += random.pick([10, 50, 250, 250, 1_000, 6_000]);
  // Replicas have the stream of their primary, once both are there.
  for (const node of world.nodes) {
    const primary = node.follows === null ? undefined : nodeAt(world, node.follows);
    if (node.up && primary?.up === true && random() < 0.8) node.lineage = primary.lineage;
  }
  const { promoting } = world;
  const up = world.sentinels.filter((sentinel) => sentinel.up);
  // They greet each other every 2 s: after that all know it that are there.
  const all = promoting !== null && world.nowMs - promoting.sinceMs > 2_500;
  if (promoting !== null && (all || random() < 0.6)) {
    for (const [at, sentinel] of world.sentinels.entries()) {
      if (promoting.told.has(at) || !sentinel.up) continue;
      sentinel.names = promoting.port;
      sentinel.epoch = promoting.epoch;
      promoting.told.add(at);
      if (!all) break;
    }
    if (promoting.told.size === world.sentinels.length) world.promoting = null;
  }
  const event = random();
  const node = random.pick(world.nodes);
  if (event < 0.1 && promoting === null && up.length >= 2) {
    const named = new Set(world.sentinels.map(({ names }) => names));
    const chosen = world.nodes.find((one) => one.up && one.role === 'slave' && !named.has(one.port));
    if (chosen === undefined) return;
    world.epoch += 1;
    chosen.before = chosen.lineage;
    chosen.lineage = world.next;
    world.next += 1;
    chosen.role = 'master';
    chosen.follows = null;
    world.promoting = { port: chosen.port, epoch: world.epoch, sinceMs: world.nowMs, told: new Set() };
    for (const other of world.nodes)
      if (other.up && other.role === 'slave' && random() < 0.8) other.follows = chosen.port;
  } else if (event < 0.2) node.up = false;
  else if (event < 0.4) node.up = true;
  // One that dies while it is being promoted is another story: what it was promoted for is gone.
  else if (event < 0.43 && promoting?.port !== node.port && world.promoting?.port !== node.port) {
    node.up = true;
    node.run = 1_000 + world.next;
    node.lineage = world.next;
    node.before = 0;
    world.next += 1;
  } else if (event < 0.5) random.pick(world.sentinels).up = random() < 0.7;
};

/** What a manager sees now; some of it not at all. */
const seenBy = (world: World, random: SeededRandom, before: GroupObservation | null): GroupObservation => ({
  name: 'main',
  kind: 'sentinel',
  nodes: world.nodes.map((node) => {
    const old = before?.nodes.find(({ port }) => port === node.port);
    return node.up && random() < 0.9
      ? seen(node, world.nowMs)
      : (old ?? { ...seen(node, world.nowMs), answeredAtMs: null });
  }),
  sentinels: world.sentinels.map(({ up, names, epoch }, at) => {
    const old = before?.sentinels[at];
    const fresh = {
      name: `s${String(at)}`,
      host,
      port: 900 + at,
      view: {
        group: 'main',
        primary: { host, port: names },
        flags: ['master'],
        epoch,
        quorum: 2,
        otherSentinels: 2,
        replicas: 1,
        downAfterMs: 1_000,
        failoverTimeoutMs: 15_000,
      },
      tilted: false,
      replicas: [],
      ghosts: 0,
      peers: [],
      answeredAtMs: world.nowMs,
      failure: null,
    };
    return up && random() < 0.85 ? fresh : (old ?? { ...fresh, answeredAtMs: null });
  }),
});
const seen = (node: SimNode, nowMs: number): NodeObservation => ({
  name: `r${String(node.port)}`,
  host,
  port: node.port,
  info: parseInfo(
    [
      `role:${node.role}`,
      `run_id:${String(node.run)}`,
      `master_replid:L${String(node.lineage)}`,
      `master_replid2:${node.before === 0 ? '0' : `L${String(node.before)}`}`,
      'master_repl_offset:10',
      'second_repl_offset:5',
      ...(node.follows === null ? [] : [`master_host:${host}`, `master_port:${String(node.follows)}`]),
    ].join('\n'),
  ),
  savePoints: null,
  answeredAtMs: nowMs,
  failure: null,
});

const inputOf = (world: World, view: GroupObservation, hears: boolean): EnforcementInput => ({
  observation: view,
  verdict: primaryVerdict(view, world.nowMs, defaultLimits),
  limits: defaultLimits,
  isUnderWay: hears && world.promoting !== null,
  selected: hears && world.promoting !== null ? { host, port: world.promoting.port } : null,
  isHeld: () => false,
  nowMs: world.nowMs,
});

/** Nothing that is forbidden is about to be done. By rules written down here, not taken from what is tested. */
const check = (world: World, input: EnforcementInput, action: EnforcementAction): string | null => {
  const fresh = input.observation.sentinels.filter(
    ({ answeredAtMs, view }) => answeredAtMs !== null && world.nowMs - answeredAtMs <= 1_200 && view !== null,
  );
  const votes = fresh.filter(({ view }) => sameAddress(view?.primary ?? null, action.primary));
  if (votes.length < 2) return 'on the word of a minority';
  if (sameAddress(action.node, action.primary)) return 'to follow itself';
  const truly = world.sentinels.filter(({ names }) => names === action.node.port).length;
  if (truly >= 2) return 'demotes whom the majority names';
  if (world.promoting?.port === action.node.port) return 'demotes whom Sentinel promotes';
  const seenPrimary = input.observation.nodes.find((node) => sameAddress(node, action.primary));
  if (seenPrimary?.info?.role !== 'primary') return 'follows a node that is no primary: a ring, or the last copy lost';
  return null;
};

const simulate = (seed: number): { readonly failure: string | null; readonly actions: number } => {
  const random = seededRandom(seed);
  const world = newWorld(random);
  const managers: Manager[] = Array.from({ length: 2 }, () => ({
    state: enforcementState,
    view: seenBy(world, random, null),
    pending: [],
  }));
  let actions = 0;
  for (let turn = 0; turn < 60; turn += 1) {
    happen(world, random);
    for (const manager of managers) {
      if (random() < 0.7) manager.view = seenBy(world, random, manager.view);
      // The messages of the Sentinels arrive, mostly.
      const hears = random() < 0.8;
      const step = stepEnforcement(manager.state, inputOf(world, manager.view, hears));
      if (step.actions.some((action) => addressKey(action.node) === addressKey(action.primary)))
        return { failure: `turn ${String(turn)}: a node is to follow itself`, actions };
      manager.state = step.state;
      manager.pending.push(...step.actions);
      // Carried out now or some turns later; before a demotion the node itself is asked once more.
      const [action] = manager.pending;
      if (action === undefined || random() < 0.3) continue;
      manager.pending.shift();
      const node = nodeAt(world, action.node.port);
      if (!node.up) continue;
      const told = seen(node, world.nowMs);
      const nodes = manager.view.nodes.map((one) => (sameAddress(one, told) ? told : one));
      const input = inputOf(world, { ...manager.view, nodes }, hears);
      const last = action.type === 'fence' ? fenceOf(manager.state, input, told) : null;
      if (last === null) continue;
      const failure = check(world, input, last);
      if (failure !== null)
        return { failure: `turn ${String(turn)}: ${last.node.name} -> ${last.primary.name} ${failure}`, actions };
      actions += 1;
      node.role = 'slave';
      node.follows = last.primary.port;
      node.before = 0;
      node.lineage = nodeAt(world, last.primary.port).lineage;
    }
  }
  return { failure: null, actions };
};

describe('two managers that enforce by views of different age', () => {
  it('never demote the named or the promoted one, never on the word of a minority, never in a ring', () => {
    const first = seededRandom().seed;
    let actions = 0;
    for (let round = 0; round < 400; round += 1) {
      const outcome = simulate(first + round);
      expect([`seed ${String(first + round)}`, outcome.failure]).toEqual([`seed ${String(first + round)}`, null]);
      actions += outcome.actions;
    }
    // A simulation in which nothing is done proves nothing.
    expect(actions).toBeGreaterThan(40);
  }, 60_000);
});
