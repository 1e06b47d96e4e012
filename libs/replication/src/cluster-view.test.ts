// The transcript was recorded on a real cluster of 3 + 3 (Redis 7.0.15): the primary of slot 12385 is killed and comes back.
import { readFileSync } from 'node:fs';
import { seededRandom } from '@switchyard/testing';
import type { ClusterNodeObservation, ClusterObservation } from './cluster-observation.ts';
import { parseClusterInfo, parseClusterNodes } from './cluster-parser.ts';
import { clusterSlots, countSlots, hasSlot, keyInSlots, slotOfKey } from './cluster-slot.ts';
import { clusterFollowerState, type ClusterFollowerState } from './cluster-follower-state.ts';
import { stepCluster } from './cluster-follower.ts';
import { mergeCluster } from './cluster-topology.ts';
import { describeCluster } from './cluster-view.ts';
import { parseInfo } from './info-parser.ts';
import { defaultLimits } from './observation.ts';

interface Recorded {
  readonly name: string;
  readonly nodes: readonly {
    readonly name: string;
    readonly host: string;
    readonly port: number;
    readonly nodes?: string;
    readonly state?: string;
    readonly info?: string;
  }[];
}

const recorded = JSON.parse(
  readFileSync(new URL('transcripts-cluster/killed-primary.json', import.meta.url), 'utf8'),
) as readonly Recorded[];
const homeSlot = 12_385;
const nowMs = 10_000;

const settings = { nodeTimeoutMs: 1_000, requireFullCoverage: false, allowReplicaMigration: true };

function nodeOf(one: Recorded['nodes'][number], atMs: number): ClusterNodeObservation {
  const at = { name: one.name, host: one.host, port: one.port };
  const gone = { kind: 'gone', detail: 'connect ECONNREFUSED' } as const;
  const heard = one.nodes !== undefined;
  return {
    ...at,
    info: heard ? parseInfo(one.info ?? '') : null,
    savePoints: '3600 1',
    answeredAtMs: heard ? atMs : null,
    failure: heard ? null : gone,
    cluster: heard ? { lines: parseClusterNodes(one.nodes ?? '', at), state: parseClusterInfo(one.state ?? '') } : null,
    settings,
  };
}

function shot(name: string, atMs = nowMs): ClusterObservation {
  const found = recorded.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no recording named ${name}`);
  return { name: 'main', homeSlot, nodes: found.nodes.map((one) => nodeOf(one, atMs)) };
}

const lookAt = (name: string, change: (cluster: ClusterObservation) => ClusterObservation = (same) => same) =>
  describeCluster(change(shot(name)), { nowMs });
const codes = (name: string, change?: Parameters<typeof lookAt>[1]): string[] =>
  lookAt(name, change).view.problems.map(({ code }) => code);
const eachNode =
  (change: (node: ClusterNodeObservation, at: number) => ClusterNodeObservation) =>
  (cluster: ClusterObservation): ClusterObservation => ({ ...cluster, nodes: cluster.nodes.map(change) });

describe('the slot of a key', () => {
  it('is that of its hash tag', () => {
    // CLUSTER KEYSLOT of Redis 7.0.15
    expect(slotOfKey('123456789')).toBe(12_739);
    expect(slotOfKey('{switchyard}:probe')).toBe(homeSlot);
    expect(slotOfKey('foo{}{bar}')).toBe(8_363);
    expect(slotOfKey('a')).toBe(15_495);
  });

  it('can be chosen: a key for any shard', () => {
    for (const range of [
      { from: 0, to: 5_460 },
      { from: 16_000, to: 16_100 },
    ]) {
      expect(hasSlot([range], slotOfKey(keyInSlots([range], 'probe') ?? ''))).toBe(true);
    }
    expect(keyInSlots([], 'probe')).toBeNull();
  });
});

describe('the view of a Redis Cluster', () => {
  it('that is healthy has three shards that cover all slots, each with a replica, and one host as its only flaw', () => {
    const { view } = lookAt('healthy');
    expect(view).toMatchObject({
      kind: 'cluster',
      state: 'ok',
      primary: { name: 'r3' },
      quorum: { needed: 2, sentinels: 3, reachable: 3, agreeing: 3, ok: true },
    });
    expect(
      view.shards?.map(({ name, state, primary, replicas }) => [
        name,
        state,
        primary.name,
        replicas.map((one) => one.name),
      ]),
    ).toEqual([
      ['0-5460', 'ok', 'r1', ['r4']],
      ['5461-10921', 'ok', 'r2', ['r5']],
      ['10922-16383', 'ok', 'r3', ['r6']],
    ]);
    expect(countSlots(view.shards?.flatMap(({ slots }) => slots) ?? [])).toBe(clusterSlots);
    expect(view.nodes.every(({ state, eligible }) => state === 'ok' && eligible)).toBe(true);
    expect(view.problems.map(({ code }) => code)).toEqual(['single_host']);
  });

  it('names the shard that is down as soon as its primary does not answer, and that the cluster knows it', () => {
    const killed = lookAt('killed').view;
    expect(killed).toMatchObject({ state: 'down', primary: null });
    expect(killed.problems.map(({ code }) => code)).toEqual(expect.arrayContaining(['shard_down', 'node_unreachable']));
    expect(killed.nodes.find(({ name }) => name === 'r6')).toMatchObject({ eligible: true });
    const failed = lookAt('failed').view;
    expect(failed.problems.find(({ code }) => code === 'node_failed')?.detail).toMatch(/^r3 has failed, say r1/);
    expect(failed.shards?.[2]).toMatchObject({ state: 'down', primary: { name: 'r3' } });
  });

  it('has the promoted replica in a later epoch, and the shard is degraded until the old one is back', () => {
    const { view } = lookAt('promoted');
    expect(view).toMatchObject({ state: 'degraded', primary: { name: 'r6' } });
    expect(view.shards?.[2]).toMatchObject({ state: 'degraded', primary: { name: 'r6' } });
    expect(view.problems.map(({ code }) => code)).toContain('no_replica');
    expect(view.nodes.find(({ name }) => name === 'r6')?.state).toBe('wait-primary');
    const back = lookAt('returned').view;
    expect(back.state).toBe('ok');
    expect(back.shards?.[2]?.replicas.map(({ name }) => name)).toEqual(['r3']);
  });

  it('names a slot that was left open, and a node that is not in the cluster', () => {
    const { view } = lookAt('open-slot-and-stranger');
    expect(view.problems.map(({ code }) => code)).toEqual(expect.arrayContaining(['slots_open', 'node_outside']));
    expect(view.problems.find(({ code }) => code === 'slots_open')?.detail).toMatch(/15495/);
    expect(view.nodes.find(({ name }) => name === 'x1')?.reason).toBe('it is not in the cluster');
  });

  it('names lost coverage, a quorum that is gone, and clusters that lost their majority', () => {
    const without = eachNode((node) => ({
      ...node,
      cluster: node.cluster && {
        ...node.cluster,
        lines: node.cluster.lines.map((line) => ({ ...line, slots: line.slots.filter(({ from }) => from !== 0) })),
      },
    }));
    const lost = lookAt('healthy', without);
    expect(lost.view.problems.find(({ code }) => code === 'slots_uncovered')?.detail).toBe(
      '5461 of 16384 slots have no owner: 0-5460',
    );
    expect(lost.view.state).toBe('degraded');
    const deaf = eachNode((node, at) => (at < 2 ? { ...node, failure: { kind: 'gone', detail: 'refused' } } : node));
    expect(codes('healthy', deaf)).toContain('quorum_lost');
  });

  it('stops as a whole where full coverage is required', () => {
    const strict = eachNode((node) => ({ ...node, settings: { ...settings, requireFullCoverage: true } }));
    const elsewhere = (cluster: ClusterObservation) => ({ ...strict(cluster), homeSlot: 1 });
    expect(lookAt('failed', elsewhere).view.state).toBe('down');
    expect(lookAt('failed', (cluster) => ({ ...cluster, homeSlot: 1 })).view.state).toBe('degraded');
    expect(codes('healthy', strict)).toContain('full_coverage_required');
  });

  it('names settings that will hurt: patience, replica migration, versions, hosts', () => {
    const odd = eachNode((node, at) => ({
      ...node,
      host: at === 1 ? '10.0.0.2' : node.host,
      info: node.info && { ...node.info, version: at === 0 ? '7.2.4' : '7.0.15' },
      settings: { nodeTimeoutMs: at === 0 ? 100 : 1_000, requireFullCoverage: false, allowReplicaMigration: at !== 2 },
    }));
    expect(codes('healthy', odd)).toEqual(
      expect.arrayContaining([
        'node_timeout',
        'node_timeouts_differ',
        'no_replica_migration',
        'version_mix',
        'replica_same_host',
      ]),
    );
  });

  it('names two primaries with the same epoch, and the node that would send clients elsewhere', () => {
    const twins = eachNode((node) => ({
      ...node,
      cluster: node.cluster && {
        ...node.cluster,
        lines: node.cluster.lines.map((line) => ({ ...line, epoch: line.epoch === 2 ? 1 : line.epoch })),
      },
    }));
    expect(lookAt('healthy', twins).view.problems.find(({ code }) => code === 'epoch_collision')?.detail).toMatch(
      /r1, r2 share the config epoch 1|r2, r1 share the config epoch 1/,
    );
    const stale = shot('healthy');
    const [first] = stale.nodes;
    const now = shot('promoted');
    const mixed = { ...now, nodes: now.nodes.map((node, at) => (at === 0 && first ? first : node)) };
    expect(
      describeCluster(mixed, { nowMs }).view.problems.find(({ code }) => code === 'nodes_disagree')?.detail,
    ).toMatch(/^r1 /);
    expect(describeCluster(mixed, { nowMs }).view.primary?.name).toBe('r6');
  });

  it('never gives a slot to two shards, never throws, and prefers the higher epoch, whatever is missing (1000 random looks)', () => {
    const seed = 20_261_121;
    const random = seededRandom(seed);
    const shots = recorded.map(({ name }) => shot(name));
    const below = (n: number): number => Math.floor(random() * n);
    for (let round = 0; round < 1_000; round += 1) {
      const nodes = (shots[0]?.nodes ?? []).flatMap((_, at) => {
        const node = shots[below(shots.length)]?.nodes[at];
        if (node === undefined || below(5) === 0) return [];
        const silent =
          below(6) === 0
            ? { failure: { kind: 'silent', detail: 'late' } as const, answeredAtMs: nowMs - below(5_000) }
            : {};
        return [{ ...node, ...silent }];
      });
      const cluster = { name: 'main', homeSlot, nodes };
      const { view, shards, topology } = describeCluster(cluster, { nowMs });
      const owned = countSlots(shards.flatMap(({ primary }) => primary.slots));
      const from = `seed ${String(seed)}, round ${String(round)}`;
      expect([from, owned + countSlots(topology.uncovered)]).toEqual([from, clusterSlots]);
      const claims = mergeCluster(cluster, { nowMs, limits: defaultLimits }).members.filter(({ slots }) =>
        hasSlot(slots, homeSlot),
      );
      expect(claims.length).toBeLessThanOrEqual(1);
      const promotedIsKnown = nodes.some(
        ({ cluster: said, answeredAtMs, failure }) =>
          answeredAtMs !== null &&
          nowMs - answeredAtMs <= 1_200 &&
          (failure === null || failure.kind === 'silent') &&
          said?.lines.some(({ role, slots, epoch }) => role === 'primary' && hasSlot(slots, homeSlot) && epoch > 3),
      );
      if (promotedIsKnown && view.primary !== null) expect([from, view.primary.name]).toEqual([from, 'r6']);
    }
  });
});

describe('the follower of a Redis Cluster', () => {
  const follow = (...names: readonly string[]) => {
    let state: ClusterFollowerState = clusterFollowerState('main');
    const entries = [];
    let atMs = nowMs;
    for (const name of names) {
      atMs += 500;
      const facts = describeCluster(shot(name, atMs), { nowMs: atMs });
      const step = stepCluster(state, { type: 'look', facts }, atMs);
      state = step.state;
      entries.push(...step.finished);
    }
    return { state, entries, atMs };
  };

  it('makes one entry of a killed primary: who, in which epoch, phase by phase, and that no byte is missing', () => {
    const { state, atMs } = follow('healthy', 'killed', 'failed', 'promoted');
    const to = Object.values(state.attempts)[0]?.target?.to;
    if (to === undefined) throw new Error('nobody was promoted');
    const written = stepCluster(state, { type: 'probe', at: to, outcome: 'acked', detail: '' }, atMs + 100);
    expect(written.finished).toEqual([]);
    const facts = describeCluster(shot('returned', atMs + 200), { nowMs: atMs + 200 });
    const { finished } = stepCluster(written.state, { type: 'look', facts }, atMs + 200);
    expect(finished).toMatchObject([
      {
        kind: 'failover',
        from: { name: 'r3' },
        to: { name: 'r6' },
        shard: '10922-16383',
        cause: expect.stringMatching(/^r3 did not answer/),
        dataLoss: { verdict: 'none-expected' },
      },
    ]);
    expect(finished[0]?.phases.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['fail', 'promoted', 'first-write', 'reconfigured']),
    );
    expect(finished[0]?.id).toBe(`main-${String(finished[0]?.epoch)}`);
  });

  it('calls it a switchover when nobody had missed the primary, and tells it once', () => {
    const { entries, state } = follow('healthy', 'returned', ...Array.from({ length: 25 }, () => 'returned'));
    expect(entries).toMatchObject([{ kind: 'switchover', to: { name: 'r6' } }]);
    expect(state.attempts).toEqual({});
  });

  it("tells once what happened while nobody looked, without calling it anybody's wish", () => {
    const before = Object.values(follow('healthy').state.shards).map((shard) => ({
      ...shard,
      offset: null,
      isFresh: false,
    }));
    let state = clusterFollowerState('main', before);
    const entries = [];
    for (let atMs = nowMs; atMs < nowMs + 12_000; atMs += 500) {
      const facts = describeCluster(shot('returned', atMs), { nowMs: atMs });
      const step = stepCluster(state, { type: 'look', facts }, atMs);
      state = step.state;
      entries.push(...step.finished);
    }
    expect(entries).toMatchObject([
      { kind: 'failover', from: { name: 'r3' }, to: { name: 'r6' }, dataLoss: { verdict: 'unknown' } },
    ]);
    expect(entries[0]?.cause).toMatch(/^it was over before it was seen: r3 was primary in epoch 3/);
  });

  it('makes nothing of a primary that is missed and answers again', () => {
    const { entries, state } = follow('healthy', 'killed', 'healthy', 'healthy');
    expect(entries).toEqual([]);
    expect(state.attempts).toEqual({});
  });
});
