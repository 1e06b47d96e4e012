// Decisions before work on a cluster, on what a real one said (cluster-view.test.ts has where it is from).
import { readFileSync } from 'node:fs';
import type { ClusterNodeObservation } from './cluster-observation.ts';
import { parseClusterInfo, parseClusterNodes } from './cluster-parser.ts';
import { pickShard, pickShardPrimary, pickShardReplica } from './cluster-pick.ts';
import {
  planAddReplica,
  planRemoveNode,
  planShardSwitchover,
  planShardTakeover,
  type ClusterCheck,
} from './cluster-plan.ts';
import { describeCluster, type ClusterFacts } from './cluster-view.ts';
import { parseInfo } from './info-parser.ts';

interface Recorded {
  readonly name: string;
  readonly nodes: readonly {
    name: string;
    host: string;
    port: number;
    nodes?: string;
    state?: string;
    info?: string;
  }[];
}

const recorded = JSON.parse(
  readFileSync(new URL('transcripts-cluster/killed-primary.json', import.meta.url), 'utf8'),
) as readonly Recorded[];
const nowMs = 10_000;
const same = (node: ClusterNodeObservation): ClusterNodeObservation => node;

function facts(name: string, change: (node: ClusterNodeObservation) => ClusterNodeObservation = same): ClusterFacts {
  const nodes = (recorded.find((one) => one.name === name)?.nodes ?? []).map((one): ClusterNodeObservation => {
    const at = { name: one.name, host: one.host, port: one.port };
    const heard = one.nodes !== undefined;
    return change({
      ...at,
      info: heard ? parseInfo(one.info ?? '') : null,
      savePoints: '',
      answeredAtMs: heard ? nowMs : null,
      failure: heard ? null : { kind: 'gone', detail: 'connect ECONNREFUSED' },
      cluster: heard
        ? { lines: parseClusterNodes(one.nodes ?? '', at), state: parseClusterInfo(one.state ?? '') }
        : null,
      settings: { nodeTimeoutMs: 1_000, requireFullCoverage: false, allowReplicaMigration: true },
    });
  });
  return describeCluster({ name: 'main', homeSlot: 12_385, nodes }, { nowMs });
}

const failing = (plan: {
  readonly ok: boolean;
  readonly value?: { readonly blockers: readonly ClusterCheck[] };
}): string[] => plan.value?.blockers.map(({ code }) => code) ?? [];
const mostLagBytes = 1_048_576;

describe('a planned failover of a shard', () => {
  it('is possible in a healthy cluster, to the replica that is named or that lags least', () => {
    const named = planShardSwitchover(facts('healthy'), { to: 'r6' }, mostLagBytes);
    expect(named).toMatchObject({ ok: true, value: { from: { name: 'r3' }, to: { name: 'r6' }, blockers: [] } });
    const chosen = planShardSwitchover(facts('healthy'), { shard: '0-5460' }, mostLagBytes);
    expect(chosen).toMatchObject({ ok: true, value: { from: { name: 'r1' }, to: { name: 'r4' }, blockers: [] } });
  });

  it('is refused without a choice, to strangers, and to a replica of another shard', () => {
    expect(planShardSwitchover(facts('healthy'), {}, mostLagBytes)).toMatchObject({
      ok: false,
      error: { code: 'invalid_input' },
    });
    expect(planShardSwitchover(facts('healthy'), { to: 'r9' }, mostLagBytes)).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
    const other = planShardSwitchover(facts('healthy'), { to: 'r6', shard: '0-5460' }, mostLagBytes);
    expect(other).toMatchObject({ ok: false, error: { code: 'invalid_input' } });
  });

  it('names every reason against it: its own primary, a dead primary, lag, an open slot', () => {
    expect(failing(planShardSwitchover(facts('healthy'), { to: 'r3' }, mostLagBytes))).toEqual(['target_is_replica']);
    expect(failing(planShardSwitchover(facts('killed'), { to: 'r6' }, mostLagBytes))).toContain('primary_serves');
    const late = facts('healthy', (node) =>
      node.name === 'r3' && node.info !== null ? { ...node, info: { ...node.info, offset: 9_000_000 } } : node,
    );
    expect(failing(planShardSwitchover(late, { to: 'r6' }, mostLagBytes))).toEqual(['target_fit', 'target_in_step']);
    const open = facts('open-slot-and-stranger');
    const moving = open.shards.find(({ primary }) => primary.open.length > 0);
    expect(failing(planShardSwitchover(open, { shard: moving?.name }, mostLagBytes))).toContain('no_open_slots');
  });
});

describe('a failover without the primary', () => {
  it('is for a shard whose primary is gone, and needs a vote as long as there can be one', () => {
    expect(failing(planShardTakeover(facts('healthy'), { shard: '0-5460' }, false))).toEqual(['primary_gone']);
    const dead = planShardTakeover(facts('failed'), {}, false);
    expect(dead).toMatchObject({ ok: true, value: { from: { name: 'r3' }, to: { name: 'r6' }, blockers: [] } });
    expect(failing(planShardTakeover(facts('failed'), {}, true))).toEqual(['takeover_needed']);
    const alone = facts('failed', (node) =>
      node.name === 'r2' ? { ...node, failure: { kind: 'gone', detail: 'cut off' } } : node,
    );
    expect(failing(planShardTakeover(alone, { to: 'r6' }, false))).toEqual(['majority']);
    expect(failing(planShardTakeover(alone, { to: 'r6' }, true))).toEqual([]);
  });
});

describe('a new replica', () => {
  const id = 'a'.repeat(40);
  const at = { host: '127.0.0.1', port: 7_999 };
  const newcomer = (nodes: string, change: object = {}) => ({
    at,
    info: { ...parseInfo('role:master\r\nredis_version:7.0.15\r\nredis_mode:cluster\r\n') },
    lines: parseClusterNodes(nodes, at),
    keys: 0,
    ...change,
  });
  const alone = `${id} :7999@17999 myself,master - 0 0 0 connected`;

  it('joins when it is empty, alone, and of the same version', () => {
    const plan = planAddReplica(facts('healthy'), newcomer(alone), 'r1');
    expect(plan).toMatchObject({ ok: true, value: { primary: { name: 'r1' }, blockers: [] } });
  });

  it("goes on where an earlier attempt was interrupted: met, and nobody's replica", () => {
    const [first] = facts('healthy').topology.members;
    const lines = `${first?.id ?? ''} 127.0.0.1:7999@17999 myself,master - 0 0 0 connected\n${'b'.repeat(40)} 127.0.0.1:1@2 master - 0 0 1 connected`;
    expect(failing(planAddReplica(facts('healthy'), newcomer(lines), 'r1'))).toEqual([]);
    const follower = lines.replace('myself,master -', `myself,slave ${'b'.repeat(40)}`);
    expect(failing(planAddReplica(facts('healthy'), newcomer(follower), 'r1'))).toEqual([
      'not_a_member',
      'knows_nobody',
    ]);
  });

  it('does not when it has keys, slots, another cluster, another version, or no cluster support', () => {
    const against = (one: Parameters<typeof planAddReplica>[1]): string[] =>
      failing(planAddReplica(facts('healthy'), one, 'r1'));
    expect(against(newcomer(alone, { keys: 3 }))).toEqual(['empty']);
    expect(against(newcomer(`${alone} 0-5`))).toEqual(['owns_nothing']);
    expect(against(newcomer(`${alone}\n${'b'.repeat(40)} 127.0.0.1:1@2 master - 0 0 1 connected`))).toEqual([
      'knows_nobody',
    ]);
    expect(against(newcomer(alone, { info: parseInfo('role:master\r\nredis_version:6.2.0\r\n') }))).toEqual([
      'same_version',
    ]);
    expect(against(newcomer(''))).toEqual(expect.arrayContaining(['cluster_enabled']));
    expect(planAddReplica(facts('healthy'), newcomer(alone), 'r9')).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
  });
});

describe('the removal of a node', () => {
  it('is refused for a primary with slots, for the last replica, and while somebody cannot be told', () => {
    expect(failing(planRemoveNode(facts('healthy'), 'r1', true))).toEqual(['owns_no_slots', 'nobody_follows']);
    expect(failing(planRemoveNode(facts('healthy'), 'r4', false))).toEqual(['shard_keeps_replica']);
    expect(failing(planRemoveNode(facts('healthy'), 'r4', true))).toEqual([]);
    expect(failing(planRemoveNode(facts('killed'), 'r4', true))).toEqual(['everybody_answers']);
  });

  it('is possible for a former primary that will not come back', () => {
    expect(failing(planRemoveNode(facts('promoted'), 'r3', false))).toEqual([]);
  });
});

describe('the address of a shard', () => {
  it('is found by slot, key, name or node, and by the home slot without any', () => {
    const { view } = facts('healthy');
    const named = (choice: object, home: number | null = null): unknown => {
      const shard = pickShard(view, choice, home);
      return shard.ok ? shard.value.primary.name : shard.error.code;
    };
    expect([named({ slot: 0 }), named({ key: 'foo' }), named({ shard: '5461-10921' }), named({ shard: 'r6' })]).toEqual(
      ['r1', 'r3', 'r2', 'r3'],
    );
    expect([named({}, 12_385), named({}), named({ slot: 1, key: 'a' }), named({ shard: 'x' })]).toEqual([
      'r3',
      'invalid_input',
      'invalid_input',
      'not_found',
    ]);
  });

  it('is refused with the reason while the primary is gone, and a replica only within the lag that was asked for', () => {
    const { view } = facts('failed');
    const shard = pickShard(view, { slot: 16_000 }, null);
    if (!shard.ok) throw new Error('no shard');
    expect(pickShardPrimary(view, shard.value)).toMatchObject({ ok: false, error: { code: 'no_primary' } });
    expect(pickShardReplica(view, shard.value, null)).toMatchObject({ ok: true, value: { name: 'r6' } });
    expect(pickShardReplica(view, shard.value, 0)).toMatchObject({
      ok: false,
      error: { why: ['r6: its lag is not known'] },
    });
  });
});
