import { manualClock } from '@switchyard/testing';
import { chooseSource } from '@switchyard/backup';
import { RedisNodeError } from '@switchyard/redis';
import type { GroupProbe } from './group-probe.ts';
import { createGroupSurvey } from './group-survey.ts';
import { nodeFactsOf, serverOf } from './node-facts.ts';

const sentinelSettings = {
  kind: 'sentinel',
  group: 'main',
  sentinels: [
    { host: '10.0.0.1', port: 4741 },
    { host: '10.0.0.2', port: 4742 },
    { host: '10.0.0.3', port: 4743 },
  ],
} as const;
const replicationId = 'a'.repeat(40);
const primaryInfo = `redis_version:7.0.15\r\nrole:master\r\nmaster_replid:${replicationId}\r\nmaster_repl_offset:100\r\n`;
const replicaInfo = (offset: number, link = 'up'): string =>
  `redis_version:7.0.15\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:1\r\nmaster_link_status:${link}\r\nmaster_replid:${replicationId}\r\nslave_repl_offset:${offset}\r\nmaster_repl_offset:${offset}\r\n`;

// Answers as the nodes would; a missing one cannot be reached.
function group(infos: Readonly<Record<number, string>>, sentinelsUp = 3): GroupProbe {
  const replica = (at: number): string[] => ['ip', '10.0.0.1', 'port', String(at), 'flags', 'slave'];
  const master = ['name', 'main', 'ip', '10.0.0.1', 'port', '1', 'flags', 'master', 'config-epoch', '3'];
  let asked = 0;
  return {
    sentinel: () => {
      asked += 1;
      if (asked > sentinelsUp) return Promise.reject(new RedisNodeError('gone', 'connect ECONNREFUSED'));
      return Promise.resolve({ master, replicas: [replica(2), replica(3), replica(0)] });
    },
    node: ({ port }) => {
      const info = infos[port];
      return info === undefined ? Promise.reject(new RedisNodeError('silent', 'no answer')) : Promise.resolve(info);
    },
  };
}

const survey = (probe: GroupProbe): ReturnType<ReturnType<typeof createGroupSurvey>> =>
  createGroupSurvey({ settings: sentinelSettings, probe, clock: manualClock() })();

describe('createGroupSurvey', () => {
  it('finds every node that a Sentinel names, with role, lag and server; ghosts are none', async () => {
    const { nodes } = await survey(group({ 1: primaryInfo, 2: replicaInfo(90), 3: replicaInfo(100) }));
    expect(
      nodes.map(({ name, role, state, lagBytes, server }) => [name, role, state, lagBytes, server?.version]),
    ).toEqual([
      ['10.0.0.1:1', 'primary', 'ok', 0, '7.0.15'],
      ['10.0.0.1:2', 'replica', 'ok', 10, '7.0.15'],
      ['10.0.0.1:3', 'replica', 'ok', 0, '7.0.15'],
    ]);
    const choice = chooseSource(nodes, { maxLagBytes: 50, primaryAllowed: false });
    expect(choice).toMatchObject({ ok: true, value: { source: { name: '10.0.0.1:3', server: { kind: 'redis' } } } });
  });

  it('says of nodes that are down or cut off what is wrong with them', async () => {
    const { nodes } = await survey(group({ 1: primaryInfo, 2: replicaInfo(90, 'down') }));
    expect(chooseSource(nodes, { maxLagBytes: 50, primaryAllowed: false })).toMatchObject({
      ok: false,
      error: {
        why: [
          expect.stringContaining('it is the primary'),
          expect.stringContaining('its link to the primary is down'),
          expect.stringContaining('it cannot be reached'),
        ],
      },
    });
  });

  it('does not know the lag when nobody is primary', async () => {
    const { nodes } = await survey(group({ 2: replicaInfo(90), 3: replicaInfo(100) }));
    expect(nodes.filter((node) => node.role === 'replica').map((node) => node.lagBytes)).toEqual([null, null]);
  });

  it('never rejects: without any Sentinel it knows no node and says why', async () => {
    const found = await survey(group({}, 0));
    expect(found.nodes).toEqual([]);
    expect(found.problems.length).toBeGreaterThan(0);
  });

  it('asks the one node of a group without Sentinels', async () => {
    const settings = { kind: 'single', group: 'main', endpoint: { host: '10.0.0.9', port: 1 } } as const;
    const { nodes } = await createGroupSurvey({ settings, probe: group({ 1: primaryInfo }), clock: manualClock() })();
    expect(nodes).toMatchObject([{ name: '10.0.0.9:1', role: 'primary', state: 'ok' }]);
  });
});

describe('serverOf', () => {
  it('tells Valkey from Redis: Valkey names a Redis version too', () => {
    expect(serverOf('redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n')).toEqual({
      kind: 'valkey',
      version: '8.1.0',
    });
    expect(serverOf('redis_version:7.0.15\r\n')).toEqual({ kind: 'redis', version: '7.0.15' });
    expect(serverOf('nothing')).toBeNull();
  });
});

describe('nodeFactsOf', () => {
  it('reads where a node can go on, the history before a promotion, what it is busy with and its memory', () => {
    const info = [
      'redis_version:7.0.15',
      'used_memory_rss:500',
      'total_system_memory:4000',
      'maxmemory:0',
      'rdb_bgsave_in_progress:0',
      'aof_rewrite_in_progress:1',
      `master_replid:${replicationId}`,
      `master_replid2:${'b'.repeat(40)}`,
      'master_repl_offset:900',
      'second_repl_offset:601',
      'repl_backlog_active:1',
      'repl_backlog_first_byte_offset:101',
      '',
    ].join('\r\n');
    expect(nodeFactsOf(info)).toMatchObject({
      history: {
        replicationId,
        offset: 900,
        previous: { replicationId: 'b'.repeat(40), sharedUntil: 600 },
        continuesFrom: 100,
      },
      isBusy: true,
      memory: { usedBytes: 500, machineBytes: 4_000, limitBytes: null },
    });
    expect(nodeFactsOf('nothing')).toEqual({ server: null, history: null, isBusy: false, memory: null });
    const never = info.replace('b'.repeat(40), '0'.repeat(40)).replace('active:1', 'active:0');
    expect(nodeFactsOf(never).history).toMatchObject({ previous: null, continuesFrom: null });
  });
});
