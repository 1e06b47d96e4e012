import { redisGroupViewSchema } from '@switchyard/protocol';
import { pickPrimary, pickReplica } from './address-pick.ts';
import { parseInfo } from './info-parser.ts';
import type { Failure, GroupObservation, NodeObservation, SentinelObservation } from './observation.ts';
import { describeGroup, type GroupFacts } from './topology.ts';

const nowMs = 100_000;
const host = '127.0.0.1';
const gone: Failure = { kind: 'gone', detail: 'connect ECONNREFUSED' };

interface NodeSketch {
  readonly info?: readonly string[];
  readonly failure?: Failure;
  readonly answeredAgoMs?: number;
  readonly savePoints?: string | null;
}

const healthy = ['redis_version:7.0.15', 'aof_enabled:1', 'rdb_last_bgsave_status:ok', 'loading:0'];
const asPrimary = (offset: number, lineage = 'L1'): readonly string[] => [
  ...healthy,
  'role:master',
  `master_replid:${lineage}`,
  `master_repl_offset:${String(offset)}`,
];
const asReplica = (offset: number, more: readonly string[] = []): readonly string[] => [
  ...healthy,
  'role:slave',
  `master_host:${host}`,
  'master_port:4731',
  'master_link_status:up',
  'master_replid:L1',
  `slave_repl_offset:${String(offset)}`,
  ...more,
];

const node = (name: string, sketch: NodeSketch): NodeObservation => ({
  name,
  host,
  port: 4730 + Number(name.slice(1)),
  info: sketch.info === undefined ? null : parseInfo(sketch.info.join('\r\n')),
  savePoints: sketch.savePoints === undefined ? '3600 1' : sketch.savePoints,
  answeredAtMs: sketch.info === undefined ? null : nowMs - (sketch.answeredAgoMs ?? 100),
  failure: sketch.failure ?? null,
});

const sentinel = (
  name: string,
  names: number | null,
  more: Partial<SentinelObservation> & { readonly epoch?: number } = {},
): SentinelObservation => ({
  name,
  host,
  port: 4740 + Number(name.slice(1)),
  view:
    names === null
      ? null
      : {
          group: 'main',
          primary: { host, port: names },
          flags: ['master'],
          epoch: more.epoch ?? 3,
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
  answeredAtMs: names === null ? null : nowMs - 100,
  failure: names === null ? gone : null,
  ...more,
});

const describeMain = (change: Partial<GroupObservation>): GroupFacts => {
  const facts = describeGroup(
    {
      name: 'main',
      kind: 'sentinel',
      nodes: [
        node('r1', { info: asPrimary(1_000) }),
        node('r2', { info: asReplica(1_000) }),
        node('r3', { info: asReplica(900) }),
      ],
      sentinels: [sentinel('s1', 4731), sentinel('s2', 4731), sentinel('s3', 4731)],
      ...change,
    },
    { nowMs },
  );
  // Whatever is described is what the API promises.
  redisGroupViewSchema.parse({ ...facts, observedAt: '2026-01-01T00:00:00Z' });
  return facts;
};
const codes = (facts: GroupFacts): readonly string[] => facts.problems.map(({ code }) => code);
const named = (facts: GroupFacts, name: string): GroupFacts['nodes'][number] | undefined =>
  facts.nodes.find((one) => one.name === name);

describe('a healthy group', () => {
  it('is ok: the majority names a primary that says the same, replicas are in step', () => {
    const facts = describeMain({});
    expect(facts).toMatchObject({
      state: 'ok',
      primary: { name: 'r1', port: 4731 },
      epoch: 3,
      quorum: { needed: 2, sentinels: 3, reachable: 3, agreeing: 3, ok: true },
      problems: [],
    });
    expect(facts.nodes.map(({ name, role, lagBytes, eligible }) => ({ name, role, lagBytes, eligible }))).toEqual([
      { name: 'r1', role: 'primary', lagBytes: 0, eligible: true },
      { name: 'r2', role: 'replica', lagBytes: 0, eligible: true },
      { name: 'r3', role: 'replica', lagBytes: 100, eligible: true },
    ]);
  });

  it('stays ok with advice about what would hurt later', () => {
    const noDisk = ['aof_enabled:0', 'maxmemory:1000', 'maxmemory_policy:allkeys-lru'];
    const facts = describeMain({
      nodes: [
        node('r1', { info: [...asPrimary(1_000), ...noDisk], savePoints: '' }),
        node('r2', { info: asReplica(1_000) }),
      ],
    });
    expect(facts.state).toBe('ok');
    expect(codes(facts)).toEqual(['no_persistence', 'evicting_policy']);
  });
});

describe('who is primary', () => {
  it('is nobody while the named one does not answer, though a replica was promoted already', () => {
    const facts = describeMain({
      nodes: [
        node('r1', { info: asPrimary(1_000), failure: gone }),
        node('r2', { info: asPrimary(1_000, 'L2') }),
        node('r3', { info: asReplica(900, ['master_link_status:down']) }),
      ],
    });
    expect(facts).toMatchObject({ state: 'down', primary: null });
    expect(codes(facts)).toContain('no_primary');
    expect(named(facts, 'r1')).toMatchObject({
      state: 'unreachable',
      role: 'unknown',
      reason: `it is not there (${gone.detail})`,
    });
    // Not stray: nobody else is primary, it is the one being promoted.
    expect(named(facts, 'r2')).toMatchObject({ state: 'ok', role: 'primary' });
  });

  it('is the one that the majority names, also when the old one is back and still says primary', () => {
    const facts = describeMain({
      nodes: [node('r1', { info: asPrimary(50, 'L9') }), node('r2', { info: asPrimary(1_000) })],
      sentinels: [sentinel('s1', 4732, { epoch: 4 }), sentinel('s2', 4732, { epoch: 4 }), sentinel('s3', 4731)],
    });
    expect(facts).toMatchObject({ primary: { name: 'r2' }, epoch: 4, state: 'degraded' });
    expect(named(facts, 'r1')).toMatchObject({ state: 'stray-primary', eligible: false, lagBytes: null });
    expect(codes(facts)).toEqual(expect.arrayContaining(['stray_primary', 'sentinel_disagrees']));
  });

  it('keeps its epoch while the Sentinel that leads the failover has raised its own and still names it', () => {
    const inProgress = [sentinel('s1', 4731, { epoch: 4 }), sentinel('s2', 4731), sentinel('s3', 4731)];
    expect(describeMain({ sentinels: inProgress })).toMatchObject({ primary: { name: 'r1' }, epoch: 3 });
  });

  it('is told by the nodes when most Sentinels are gone, and the lost quorum is said', () => {
    const facts = describeMain({ sentinels: [sentinel('s1', 4731), sentinel('s2', null), sentinel('s3', null)] });
    expect(facts).toMatchObject({
      primary: { name: 'r1' },
      state: 'degraded',
      quorum: { needed: 2, sentinels: 3, reachable: 1, agreeing: 1, ok: false },
    });
    expect(codes(facts)).toEqual(['quorum_lost', 'sentinel_unreachable', 'sentinel_unreachable']);
  });

  it('is nobody when two nodes say so with equal right and no Sentinel is left', () => {
    const facts = describeMain({
      nodes: [node('r1', { info: asPrimary(1_000) }), node('r2', { info: asPrimary(1_000, 'L2') })],
      sentinels: [sentinel('s1', null), sentinel('s2', null), sentinel('s3', null)],
    });
    expect(facts).toMatchObject({ state: 'down', primary: null, epoch: null });
  });

  it('counts tilted Sentinels out of the quorum, though they still name the primary', () => {
    const tilted = { tilted: true };
    const facts = describeMain({
      sentinels: [sentinel('s1', 4731), sentinel('s2', 4731, tilted), sentinel('s3', 4731, tilted)],
    });
    expect(facts).toMatchObject({ primary: { name: 'r1' }, quorum: { reachable: 3, agreeing: 1, ok: false } });
    expect(codes(facts)).toEqual(['quorum_lost', 'sentinel_tilted', 'sentinel_tilted']);
  });

  it('is the one node of a single group, without any quorum', () => {
    const facts = describeMain({ kind: 'single', nodes: [node('r1', { info: asPrimary(10) })], sentinels: [] });
    expect(facts).toMatchObject({ state: 'ok', primary: { name: 'r1' }, epoch: null, quorum: { needed: 0, ok: true } });
    const down = describeMain({ kind: 'single', nodes: [node('r1', { failure: gone })], sentinels: [] });
    expect(down).toMatchObject({ state: 'down', primary: null });
    expect(codes(down)).toEqual(['no_primary']);
  });
});

describe('a node', () => {
  it('that was silent for a moment still counts; for longer it is unreachable', () => {
    const silent: Failure = { kind: 'silent', detail: 'no answer within 500 ms' };
    const after = (answeredAgoMs: number): GroupFacts =>
      describeMain({
        nodes: [node('r1', { info: asPrimary(1), failure: silent, answeredAgoMs }), node('r2', { info: asReplica(1) })],
      });
    expect(after(600).primary?.name).toBe('r1');
    expect(after(2_000)).toMatchObject({ state: 'down', primary: null });
  });

  it.each([
    ['loading', ['loading:1'], 'loading', 'node_loading'],
    ['syncing', ['master_link_status:down', 'master_sync_in_progress:1'], 'syncing', 'replica_syncing'],
    ['cut off', ['master_link_status:down'], 'link-down', 'replica_link_down'],
    ['told never to lead', ['slave_priority:0'], 'ok', 'replica_not_fit'],
    ['following another', ['master_port:4799'], 'ok', 'replica_not_fit'],
    ['far behind', ['slave_repl_offset:1'], 'ok', 'replica_not_fit'],
  ])('that is %s is not fit to become primary, and says why', (_what, more, state, code) => {
    const facts = describeMain({
      nodes: [node('r1', { info: asPrimary(9_000_000) }), node('r2', { info: asReplica(9_000_000, more) })],
    });
    expect(named(facts, 'r2')).toMatchObject({ state, eligible: false, reason: expect.any(String) });
    expect(codes(facts)).toEqual([code, 'no_replica']);
    expect(facts.state).toBe('degraded');
  });
});

describe('an address for a load balancer', () => {
  it('is the primary, or a refusal with the problems', () => {
    expect(pickPrimary(describeMain({}))).toMatchObject({ ok: true, value: { name: 'r1' } });
    const down = describeMain({ nodes: [node('r1', { info: asPrimary(1), failure: gone })] });
    expect(pickPrimary(down)).toMatchObject({
      ok: false,
      error: { code: 'no_primary', why: [expect.stringContaining('no_primary: ')] },
    });
  });

  it('is the replica that lags least, within what was asked', () => {
    expect(pickReplica(describeMain({}), null)).toMatchObject({ ok: true, value: { name: 'r2' } });
    const behind = describeMain({
      nodes: [node('r1', { info: asPrimary(1_000) }), node('r2', { info: asReplica(900) })],
    });
    expect(pickReplica(behind, 100)).toMatchObject({ ok: true, value: { name: 'r2' } });
    expect(pickReplica(behind, 99)).toMatchObject({
      ok: false,
      error: { code: 'no_replica', why: ['r1: it is no replica', 'r2: it lags 100 bytes'] },
    });
  });

  it('is refused with a bound when the lag is not known, because there is no primary to compare with', () => {
    const orphan = describeMain({
      nodes: [
        node('r1', { info: asPrimary(1), failure: gone }),
        node('r2', { info: asReplica(1, ['master_link_status:down']) }),
      ],
    });
    expect(pickReplica(orphan, null)).toMatchObject({ ok: true, value: { name: 'r2' } });
    expect(pickReplica(orphan, 1_000)).toMatchObject({ ok: false });
  });
});
