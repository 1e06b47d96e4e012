import { sameAddress, type Address } from './address.ts';
import {
  astrayPatienceMs,
  enforcementState,
  fenceOf,
  fillPatienceMs,
  stepEnforcement,
  strayPatienceMs,
  type EnforcementInput,
  type EnforcementState,
  type EnforcementStep,
} from './enforcement.ts';
import { parseInfo } from './info-parser.ts';
import { defaultLimits, type NodeObservation, type SentinelObservation } from './observation.ts';
import { primaryVerdict } from './primary-verdict.ts';

const host = '10.0.0.1';
const at = (port: number): Address => ({ host, port });

interface Facts {
  readonly role: 'master' | 'slave';
  readonly lineage?: string;
  readonly before?: string;
  readonly follows?: number;
  readonly runId?: string;
  readonly seen?: boolean;
  /** Priority 0, and it copies. */
  readonly filled?: boolean;
}
const node = (port: number, facts: Facts, nowMs: number): NodeObservation => ({
  name: `r${String(port)}`,
  ...at(port),
  info: parseInfo(
    [
      `role:${facts.role}`,
      `run_id:${facts.runId ?? `run${String(port)}`}`,
      `master_replid:${facts.lineage ?? 'A'}`,
      `master_replid2:${facts.before ?? '0'}`,
      'master_repl_offset:1000',
      'second_repl_offset:900',
      ...(facts.filled === true ? ['slave_priority:0', 'master_sync_in_progress:1'] : []),
      ...(facts.follows === undefined ? [] : [`master_host:${host}`, `master_port:${String(facts.follows)}`]),
    ].join('\n'),
  ),
  savePoints: null,
  answeredAtMs: facts.seen === false ? nowMs - 60_000 : nowMs,
  failure: null,
});
const sentinel = (
  index: number,
  names: number | null,
  more: { epoch?: number; nowMs: number; flags?: readonly string[] },
): SentinelObservation => ({
  name: `s${String(index)}`,
  host,
  port: 900 + index,
  view:
    names === null
      ? null
      : {
          group: 'main',
          primary: at(names),
          flags: more.flags ?? ['master'],
          epoch: more.epoch ?? 1,
          quorum: 2,
          otherSentinels: 2,
          replicas: 2,
          downAfterMs: 1_000,
          failoverTimeoutMs: 15_000,
        },
  tilted: false,
  replicas: [],
  ghosts: 0,
  peers: [],
  answeredAtMs: names === null ? null : more.nowMs,
  failure: null,
});

interface Scene {
  readonly nodes: Readonly<Record<number, Facts>>;
  readonly votes: readonly (number | null)[];
  readonly epoch?: number;
  readonly nowMs: number;
  readonly isUnderWay?: boolean;
  readonly selected?: number;
  readonly held?: number;
  readonly flags?: readonly string[];
}
const inputOf = (scene: Scene): EnforcementInput => {
  const { nowMs } = scene;
  const observation = {
    name: 'main',
    kind: 'sentinel' as const,
    nodes: Object.entries(scene.nodes).map(([port, facts]) => node(Number(port), facts, nowMs)),
    sentinels: scene.votes.map((names, index) =>
      sentinel(index, names, {
        nowMs,
        ...(scene.epoch === undefined ? {} : { epoch: scene.epoch }),
        ...(scene.flags === undefined ? {} : { flags: scene.flags }),
      }),
    ),
  };
  return {
    observation,
    verdict: primaryVerdict(observation, nowMs, defaultLimits),
    limits: defaultLimits,
    isUnderWay: scene.isUnderWay ?? false,
    selected: scene.selected === undefined ? null : at(scene.selected),
    isHeld: (one) => sameAddress(one, scene.held === undefined ? null : at(scene.held)),
    nowMs,
  };
};
const run = (scenes: readonly Scene[], from: EnforcementState = enforcementState): EnforcementStep => {
  let step: EnforcementStep = { state: from, actions: [], awaited: [], problems: [] };
  for (const scene of scenes) step = stepEnforcement(step.state, inputOf(scene));
  return step;
};
const done = (step: EnforcementStep): readonly string[] =>
  step.actions.map((action) => `${action.type} ${action.node.name} -> ${action.primary.name} @${String(action.epoch)}`);

const led = { 1: { role: 'master' }, 2: { role: 'slave', follows: 1 }, 3: { role: 'slave', follows: 1 } } as const;
const promoted = { role: 'master', lineage: 'B', before: 'A' } as const;
const switchedTo2 = { 2: promoted, 3: { role: 'slave', follows: 2, lineage: 'B' } } as const;
const before: Scene = { nodes: led, votes: [1, 1, 1], epoch: 0, nowMs: 0 };
const away: Scene = {
  nodes: { ...switchedTo2, 1: { role: 'master', seen: false } },
  votes: [2, 2, 2],
  epoch: 1,
  nowMs: 5_000,
};
const back: Scene = { ...away, nodes: { ...switchedTo2, 1: { role: 'master' } }, nowMs: 6_000 };

describe('enforcing the verdict of the majority', () => {
  it('lets a replica be that is filled from a backup at the wish of another manager, but not for ever', () => {
    const at30s = (filled: boolean): EnforcementStep => {
      const nodes = { ...led, 3: { role: 'slave', follows: 9, filled } } as const;
      return run([0, 30_000].map((nowMs) => ({ ...before, nodes, nowMs })));
    };
    expect(done(at30s(true))).toEqual([]);
    expect(done(at30s(false))).toEqual(['repoint r3 -> r1 @0']);
    const nodes = { ...led, 3: { role: 'slave', follows: 9, filled: true } } as const;
    const late = run([0, fillPatienceMs].map((nowMs) => ({ ...before, nodes, nowMs })));
    expect(done(late)).toEqual(['repoint r3 -> r1 @0']);
  });

  it('does nothing while the named primary is given other data and says replica, and nothing when it is back', () => {
    const given = { ...led, 1: { role: 'slave', follows: 9, lineage: 'X' } } as const;
    const done30s = Array.from({ length: 121 }, (_, look) => ({ ...before, nodes: given, nowMs: 250 * look }));
    let step: EnforcementStep = { state: enforcementState, actions: [], awaited: [], problems: [] };
    const backAs = { role: 'master', lineage: 'Y', before: 'X' } as const;
    for (const scene of [before, ...done30s, { ...before, nodes: { ...led, 1: backAs }, nowMs: 30_250 }]) {
      step = stepEnforcement(step.state, inputOf(scene));
      expect(done(step)).toEqual([]);
    }
  });

  it('awaits a former primary while it is away, and fences it at first sight', () => {
    expect(run([before, away]).awaited.map(({ name }) => name)).toEqual(['r1']);
    expect(done(run([before, away, back]))).toEqual(['fence r1 -> r2 @1']);
  });
  it('knows a former primary by its stream when the manager has just started', () => {
    expect(done(run([back]))).toEqual(['fence r1 -> r2 @1']);
  });
  it('knows it, too, when it was restarted, with or without a file', () => {
    for (const more of [{}, { before: 'A' }]) {
      const nodes = { ...switchedTo2, 1: { role: 'master', lineage: 'Y', runId: 'other', ...more } } as const;
      expect(done(run([before, away, { ...back, nodes }]))).toEqual(['fence r1 -> r2 @1']);
    }
    // Promoted from a stream that nobody knows, while nobody looked.
    const nodes = { ...switchedTo2, 1: { role: 'master', lineage: 'Y', runId: 'other', before: 'Z' } } as const;
    expect(done(run([before, away, { ...back, nodes }]))).toEqual([]);
  });
  it('leaves alone a primary that nobody ever named, until it has stayed for some seconds', () => {
    const nodes = { ...switchedTo2, 1: { role: 'master', lineage: 'X' } } as const;
    expect(done(run([{ ...back, nodes }]))).toEqual([]);
    expect(
      done(
        run([
          { ...back, nodes },
          { ...back, nodes, nowMs: 6_000 + strayPatienceMs },
        ]),
      ),
    ).toEqual(['fence r1 -> r2 @1']);
  });
  it('never takes the replica that Sentinel is promoting for a stray primary', () => {
    // r3 was promoted from r2 a moment ago, and the majority names r2 for a second longer.
    const nodes = {
      1: { role: 'slave', follows: 2 },
      2: promoted,
      3: { role: 'master', lineage: 'C', before: 'B' },
    } as const;
    const scene: Scene = { nodes, votes: [2, 2, 2], epoch: 1, nowMs: 8_000 };
    expect(done(run([before, away, scene]))).toEqual([]);
    // Not even when it had been primary itself, and nobody saw it as a replica in between.
    const again: Scene = { ...scene, nodes: { ...switchedTo2, 1: { role: 'master', lineage: 'C', before: 'B' } } };
    expect(done(run([before, away, again]))).toEqual([]);
    expect(done(run([before, away, { ...back, selected: 1, isUnderWay: true }]))).toEqual([]);
    expect(done(run([before, away, { ...back, isUnderWay: true }]))).toEqual([]);
  });
  it('spares whom a single Sentinel names at a later epoch', () => {
    const input = inputOf({ ...back, votes: [2, 2, 1] });
    const [first, second, third] = input.observation.sentinels as [
      SentinelObservation,
      SentinelObservation,
      SentinelObservation,
    ];
    const later = (epoch: number): EnforcementInput => {
      const view = third.view === null ? null : { ...third.view, epoch };
      const observation = { ...input.observation, sentinels: [first, second, { ...third, view }] };
      return { ...input, observation };
    };
    const { state } = run([before, away]);
    expect(stepEnforcement(state, later(2)).actions).toEqual([]);
    expect(stepEnforcement(state, later(0)).actions).toHaveLength(1);
  });
  it('does nothing on the word of a minority, nor of Sentinels that cannot be reached', () => {
    expect(done(run([before, away, { ...back, votes: [2, null, null] }]))).toEqual([]);
    expect(done(run([before, away, { ...back, votes: [2, 1, null] }]))).toEqual([]);
    expect(done(run([before, away, { ...back, votes: [2, 2, null] }]))).toEqual(['fence r1 -> r2 @1']);
  });
  it('demotes nobody while the named primary does not serve: it could be the last copy', () => {
    const nodes = { ...back.nodes, 2: { ...promoted, seen: false } };
    expect(done(run([before, away, { ...back, nodes }]))).toEqual([]);
    const follows = { ...back.nodes, 2: { role: 'slave', follows: 1 } } as const;
    expect(done(run([before, away, { ...back, nodes: follows }]))).toEqual([]);
  });
  it('stops at an epoch older than one that was seen, says so, and believes it after half a minute', () => {
    const seen = run([before, { ...away, epoch: 7 }]);
    const old: Scene = { ...back, epoch: 1 };
    const stopped = run([old], seen.state);
    expect(done(stopped)).toEqual([]);
    expect(stopped.problems.map(({ code }) => code)).toEqual(['epoch_fell']);
    const later = run([old, { ...old, nowMs: 40_000 }], seen.state);
    expect(later.problems).toEqual([]);
    expect(done(later)).toEqual(['fence r1 -> r2 @1']);
  });
  it('leaves nodes alone that an operation works on', () => {
    expect(done(run([before, away, { ...back, held: 1 }]))).toEqual([]);
  });
  it('never tells a process to follow itself under another address', () => {
    const nodes = { ...switchedTo2, 1: { role: 'master', lineage: 'B', before: 'A', runId: 'run2' } } as const;
    expect(done(run([before, away, { ...back, nodes }, { ...back, nodes, nowMs: 20_000 }]))).toEqual([]);
  });
  it('looks again with the facts of the paused node', () => {
    const { state } = run([before, away, back]);
    const input = inputOf(back);
    const demoted = node(1, { role: 'slave', follows: 2 }, back.nowMs);
    expect(fenceOf(state, input, input.observation.nodes[0] as NodeObservation)).not.toBeNull();
    expect(fenceOf(state, input, demoted)).toBeNull();
  });
  it('repoints a replica that leads nowhere, after Sentinel had its time, and not while Sentinel is at it', () => {
    const nodes = { 1: { role: 'master', seen: false }, 2: promoted, 3: { role: 'slave', follows: 1 } } as const;
    const lost: Scene = { nodes, votes: [2, 2, 2], epoch: 1, nowMs: 6_000 };
    const later: Scene = { ...lost, nowMs: 6_000 + astrayPatienceMs };
    expect(done(run([before, lost]))).toEqual([]);
    expect(done(run([before, lost, later]))).toEqual(['repoint r3 -> r2 @1']);
    expect(done(run([before, lost, { ...later, flags: ['master', 'failover_in_progress'] }]))).toEqual([]);
    expect(done(run([before, lost, { ...later, held: 3 }]))).toEqual([]);
  });
  it('leaves a replica of a replica alone, and mends a ring', () => {
    const chain = { 1: { role: 'slave', follows: 3 }, 2: promoted, 3: { role: 'slave', follows: 2 } } as const;
    const ring = { 1: { role: 'slave', follows: 3 }, 2: promoted, 3: { role: 'slave', follows: 1 } } as const;
    const times = [0, astrayPatienceMs].map((more) => 6_000 + more);
    const scenes = (nodes: Scene['nodes']): readonly Scene[] =>
      times.map((nowMs) => ({ nodes, votes: [2, 2, 2], epoch: 1, nowMs }));
    expect(done(run(scenes(chain)))).toEqual([]);
    expect(done(run(scenes(ring)))).toEqual(['repoint r1 -> r2 @1', 'repoint r3 -> r2 @1']);
  });
  it('says nothing about a single node', () => {
    const input = inputOf(before);
    const single = { ...input, observation: { ...input.observation, kind: 'single' as const } };
    expect(stepEnforcement(enforcementState, single).actions).toEqual([]);
  });
});
