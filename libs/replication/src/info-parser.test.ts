import { parseInfo, parseRole } from './info-parser.ts';

const info = (lines: readonly string[]): string => ['# Replication', ...lines, ''].join('\r\n');

describe('INFO', () => {
  it('gives a primary with its replicas, its lineage and what it shares with the one before', () => {
    const facts = parseInfo(
      info([
        'role:master',
        'connected_slaves:2',
        'slave0:ip=127.0.0.1,port=4732,state=online,offset=400,lag=0',
        'slave1:ip=127.0.0.1,port=4733,state=send_bulk,offset=0,lag=3',
        'master_replid:869a710d3715392ac479b90517ca17f51347758f',
        'master_replid2:0123456789012345678901234567890123456789',
        'master_repl_offset:413',
        'second_repl_offset:301',
      ]),
    );
    expect(facts).toMatchObject({
      role: 'primary',
      offset: 413,
      lineage: '869a710d3715392ac479b90517ca17f51347758f',
      previousLineage: '0123456789012345678901234567890123456789',
      sharedOffset: 300,
      follows: null,
      replicas: [
        { host: '127.0.0.1', port: 4732, state: 'online', offset: 400, lagSeconds: 0 },
        { host: '127.0.0.1', port: 4733, state: 'send_bulk', offset: 0, lagSeconds: 3 },
      ],
    });
  });

  it.each(['redis_mode', 'server_mode'])('tells a Sentinel from a node, by Redis and by Valkey 9 (%s)', (field) => {
    expect(parseInfo(info(['redis_version:7.2.4', `${field}:sentinel`])).mode).toBe('sentinel');
  });

  it('gives a replica by its own offset, and whom it follows', () => {
    const facts = parseInfo(
      info([
        'role:slave',
        'master_host:10.0.0.1',
        'master_port:4731',
        'master_link_status:down',
        'master_sync_in_progress:1',
        'master_link_down_since_seconds:7',
        'slave_repl_offset:99',
        'slave_priority:0',
        'master_repl_offset:98',
      ]),
    );
    expect(facts).toMatchObject({
      role: 'replica',
      offset: 99,
      follows: { host: '10.0.0.1', port: 4731 },
      link: 'down',
      syncing: true,
      linkDownSeconds: 7,
      priority: 0,
    });
  });

  it('takes the -1 and the zeros of Redis for "nothing"', () => {
    const facts = parseInfo(
      info([
        'role:slave',
        'slave_repl_offset:-1',
        'master_link_down_since_seconds:-1',
        'second_repl_offset:-1',
        'master_replid2:0000000000000000000000000000000000000000',
      ]),
    );
    expect(facts).toMatchObject({ offset: null, linkDownSeconds: null, sharedOffset: null, previousLineage: null });
  });

  it('does not count a backup stream (port 0) as a replica', () => {
    expect(
      parseInfo(info(['role:master', 'slave0:ip=127.0.0.1,port=0,state=wait_bgsave,offset=0,lag=0'])).replicas,
    ).toEqual([]);
  });

  it('reads persistence, memory policy, version and tilt when they are there', () => {
    const text =
      'redis_version:8.2.1\nloading:1\naof_enabled:1\nrdb_last_bgsave_status:err\naof_last_write_status:ok\n' +
      'maxmemory:1024\nmaxmemory_policy:allkeys-lru\nsentinel_tilt:1\nnew_field_of_tomorrow:{"a":1}';
    expect(parseInfo(text)).toMatchObject({
      version: '8.2.1',
      loading: true,
      persistence: { aof: true, lastSaveOk: false, lastAofWriteOk: true },
      maxMemoryBytes: 1024,
      evictionPolicy: 'allkeys-lru',
      tilted: true,
    });
  });

  it('gives nothing but nulls for text that is no INFO', () => {
    const facts = parseInfo('-NOAUTH Authentication required.');
    expect(facts).toMatchObject({ role: null, offset: null, persistence: null, tilted: null, version: null });
    expect(facts.loading).toBe(false);
  });
});

describe('ROLE', () => {
  it('is understood for each kind of process', () => {
    expect(parseRole(['master', 413, [['127.0.0.1', '4732', '400']]])).toEqual({
      role: 'primary',
      offset: 413,
      replicas: [{ host: '127.0.0.1', port: 4732 }],
    });
    expect(parseRole(['slave', '127.0.0.1', 4731, 'connected', 413])).toEqual({
      role: 'replica',
      offset: 413,
      follows: { host: '127.0.0.1', port: 4731 },
      link: 'connected',
    });
    expect(parseRole(['slave', '127.0.0.1', 4731, 'connect', -1])).toMatchObject({ offset: null });
    expect(parseRole(['sentinel', ['main']])).toEqual({ role: 'sentinel' });
  });

  it('is null for anything else', () => {
    for (const nonsense of [null, 'master', {}, [], ['router'], 7]) expect(parseRole(nonsense)).toBeNull();
  });
});
