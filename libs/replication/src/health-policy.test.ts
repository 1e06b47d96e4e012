import { parseSettings, parseVitals } from './health-policy-facts.ts';
import type { HealthInput, HealthNode } from './health-policy-input.ts';
import { stepWriteRate, type WriteRate } from './health-policy-rate.ts';
import { healthProblems } from './health-policy.ts';
import { settingsAdvice } from './settings-advice.ts';

const mib = 1_048_576;
const good = {
  save: '3600 1',
  appendonly: 'yes',
  appendfsync: 'everysec',
  maxmemory: '0',
  'maxmemory-policy': 'noeviction',
  'repl-backlog-size': String(64 * mib),
  'repl-diskless-sync': 'yes',
  'repl-diskless-sync-delay': '0',
  'repl-timeout': '60',
  'repl-ping-replica-period': '10',
  'client-output-buffer-limit': 'replica 268435456 67108864 60',
};
const vitals = parseVitals(
  'used_memory:104857600\r\nused_memory_rss:114857600\r\ntotal_system_memory:8589934592\r\ndb0:keys=5000,expires=0',
);
const node = (name: string, more: Partial<HealthNode> = {}): HealthNode => ({
  name,
  host: `10.0.0.${name.slice(1)}`,
  port: 6379,
  role: name === 'r1' ? 'primary' : 'replica',
  version: '7.0.15',
  vitals,
  settings: good,
  machine: null,
  ...more,
});
const group = (nodes: readonly HealthNode[], more: Partial<HealthInput> = {}): HealthInput => ({
  nodes,
  peakBytesPerSecond: 10_000,
  downAfterMs: 1_000,
  policy: 'availability',
  allowedOutageMs: 60_000,
  ...more,
});
const problemsOf = (input: HealthInput, before: readonly string[] = []) => healthProblems(input, new Set(before));
const set = (name: string, settings: Record<string, string>, more: Partial<HealthNode> = {}): HealthNode =>
  node(name, { settings: { ...good, ...settings }, ...more });

describe('a group that is set up well', () => {
  it('has no problem and gets no advice', () => {
    const input = group([node('r1'), node('r2')]);
    expect(problemsOf(input)).toEqual([]);
    expect(settingsAdvice(input)).toEqual([]);
  });

  it('has none either while nothing is known of it', () => {
    const unknown = { vitals: null, settings: null, version: null };
    const input = group([node('r1', unknown), node('r2', unknown)], { peakBytesPerSecond: null, downAfterMs: null });
    expect(problemsOf(input)).toEqual([]);
    expect(settingsAdvice(input)).toEqual([]);
  });
});

describe('settings', () => {
  it('of a node that writes nothing to disk: an AOF, with what its restart would cost', () => {
    const [advice] = settingsAdvice(group([set('r1', { appendonly: 'no', save: '' }), node('r2')]));
    expect(advice).toMatchObject({ setting: 'appendonly', present: 'no', proposed: 'yes', code: 'no_persistence' });
    expect(advice?.reason).toContain('5000 keys');
  });

  it.each([
    ['rdb_only', { appendonly: 'no' }, 'appendonly', 'yes'],
    ['fsync_never', { appendfsync: 'no' }, 'appendfsync', 'everysec'],
  ])('that fall short of the policy consistency (%s) are named', (code, settings, setting, proposed) => {
    const input = group([set('r1', settings), set('r2', settings)], { policy: 'consistency' });
    expect(problemsOf(input).map((one) => one.code)).toEqual([code]);
    expect(settingsAdvice(input)[0]).toMatchObject({ setting, proposed, level: 'advice' });
  });

  it('of a backlog that is too small for the rate of writes: the size that would do', () => {
    const input = group([set('r1', { 'repl-backlog-size': String(mib) }), node('r2')], { peakBytesPerSecond: 200_000 });
    expect(settingsAdvice(input)).toMatchObject([{ setting: 'repl-backlog-size', proposed: String(16 * mib) }]);
    const [problem] = problemsOf(input);
    expect(problem).toMatchObject({ code: 'backlog_too_small', advice: true });
    expect(problem?.detail).toContain('holds 5 s of it');
  });

  it('of a backlog never take more than a sixteenth of the memory, and say when that is not enough', () => {
    const small = parseVitals('total_system_memory:268435456\r\nused_memory:1048576\r\nused_memory_rss:1048576');
    const of = (size: number): HealthInput =>
      group([set('r1', { 'repl-backlog-size': String(size) }, { vitals: small })], { peakBytesPerSecond: 50e6 });
    expect(settingsAdvice(of(mib)).find(({ setting }) => setting === 'repl-backlog-size')).toMatchObject({
      proposed: String(8 * mib),
    });
    const full = settingsAdvice(of(16 * mib)).find(({ setting }) => setting === 'repl-backlog-size');
    expect(full).toMatchObject({ proposed: null });
  });

  it('of an output buffer that a copy of everything would overflow: one that it would not', () => {
    const large = parseVitals(
      'used_memory:10737418240\r\nused_memory_rss:10737418240\r\ntotal_system_memory:68719476736',
    );
    const input = group([node('r1', { vitals: large })], { peakBytesPerSecond: 1e6 });
    const advice = settingsAdvice(input).find(({ code }) => code === 'output_buffer_too_small');
    expect(advice).toMatchObject({
      present: 'replica 268435456 67108864 60',
      proposed: 'replica 1073741824 536870912 60',
    });
    expect(problemsOf(input).map(({ code }) => code)).toContain('output_buffer_too_small');
    const mended = set('r1', { 'client-output-buffer-limit': String(advice?.proposed) }, { vitals: large });
    expect(settingsAdvice(group([mended], { peakBytesPerSecond: 1e6 }))).toEqual([]);
  });

  it('that differ between a replica and its primary are named', () => {
    const input = group([node('r1'), set('r2', { maxmemory: '1048576', appendonly: 'no' })]);
    expect(settingsAdvice(input).map(({ code, proposed }) => [code, proposed])).toEqual([
      ['persistence_differs', 'yes'],
      ['maxmemory_differs', '0'],
    ]);
  });

  it('that only cost time are a note, and no problem of the group', () => {
    const input = group([set('r1', { 'repl-diskless-sync-delay': '5', 'maxmemory-policy': 'allkeys-lru' })]);
    expect(settingsAdvice(input).map(({ code, level }) => [code, level])).toEqual([
      ['evicting_policy', 'note'],
      ['diskless_delay', 'note'],
    ]);
    expect(problemsOf(input)).toEqual([]);
  });

  it('of the kernel are a note that nobody sets from here', () => {
    const machine = { diskFreeBytes: 1e12, diskTotalBytes: null, hugePages: 'always', overcommit: 0 };
    const input = group([node('r1', { machine })]);
    expect(settingsAdvice(input).map(({ code, level, proposed }) => [code, level, proposed])).toEqual([
      ['huge_pages', 'note', null],
      ['overcommit_off', 'note', null],
    ]);
    expect(problemsOf(input)).toEqual([]);
  });

  it('that many nodes share are one problem', () => {
    const slow = { 'repl-timeout': '5' };
    const problems = problemsOf(group([set('r1', slow), set('r2', slow), set('r3', slow)]));
    expect(problems).toHaveLength(1);
    expect(problems[0]?.detail).toContain('(the same on r2, r3)');
  });
});

describe('a health problem', () => {
  it.each([
    ['7.0.15', '7.2.5', 'version_older', false],
    ['7.2.5', '7.0.15', 'version_mix', true],
  ])('is a replica of %s with a primary of %s: %s', (replica, primary, code, advice) => {
    const input = group([node('r1', { version: primary }), node('r2', { version: replica })]);
    expect(problemsOf(input)).toMatchObject([{ code, advice }]);
  });

  it('is no mix of patches of one release', () => {
    expect(problemsOf(group([node('r1', { version: '7.0.15' }), node('r2', { version: '7.0.9' })]))).toEqual([]);
  });

  it.each([
    ['fork_headroom', { vitals: parseVitals('used_memory:800\r\nused_memory_rss:900\r\ntotal_system_memory:1000') }],
    ['disk_headroom', { machine: { diskFreeBytes: mib, diskTotalBytes: null, hugePages: null, overcommit: null } }],
    ['fork_slow', { vitals: parseVitals('latest_fork_usec:600000') }],
    ['aof_rewrite_failed', { vitals: parseVitals('aof_last_bgrewrite_status:err') }],
    [
      'slow_reload',
      {
        vitals: parseVitals(
          'used_memory:10737418240\r\nused_memory_rss:10737418240\r\ntotal_system_memory:68719476736',
        ),
      },
    ],
  ] as const)('is %s, with its numbers and what helps', (code, more) => {
    const [problem] = problemsOf(group([node('r1', more)], { peakBytesPerSecond: null }));
    expect(problem).toMatchObject({ code, key: `${code} r1` });
    expect(problem?.detail).toMatch(/\d/);
  });

  it('is memory that is nearly full, and what happens then', () => {
    const full = { maxmemory: String(100 * mib) };
    expect(problemsOf(group([set('r1', full)]))[0]?.detail).toContain('refuses writes');
    const evicting = problemsOf(group([set('r1', { ...full, 'maxmemory-policy': 'allkeys-lru' })]));
    expect(evicting.find(({ code }) => code === 'memory_full')?.detail).toContain('thrown away');
  });

  it('stays until it is clearly better', () => {
    const forked = (ms: number): HealthInput =>
      group([node('r1', { vitals: parseVitals(`latest_fork_usec:${String(ms * 1_000)}`) })]);
    expect(problemsOf(forked(290))).toEqual([]);
    expect(problemsOf(forked(290), ['fork_slow r1'])).toHaveLength(1);
    expect(problemsOf(forked(230), ['fork_slow r1'])).toEqual([]);
  });
});

describe('the rate of writes', () => {
  const fed = (offsets: readonly number[], lineage = 'a'): WriteRate | null =>
    offsets.reduce<WriteRate | null>(
      (state, offset, second) => stepWriteRate(state, { lineage, offset }, second * 1_000),
      null,
    );

  it('is that of ten seconds, and the busiest one is remembered', () => {
    const steady = Array.from({ length: 21 }, (_, second) => second * 1_000);
    expect(fed(steady)).toMatchObject({ nowBytesPerSecond: 1_000, peakBytesPerSecond: 1_000 });
    const quiet = [...steady, ...Array.from({ length: 20 }, () => 20_000)];
    expect(fed(quiet)?.nowBytesPerSecond).toBe(0);
    expect(fed(quiet)?.peakBytesPerSecond).toBeGreaterThan(990);
  });

  it('begins anew when the stream does, and a jump of the offset is no write', () => {
    const first = fed(Array.from({ length: 12 }, (_, second) => second * 1_000));
    const other = stepWriteRate(first, { lineage: 'b', offset: 900_000_000 }, 30_000);
    expect(other?.peakBytesPerSecond).toBe(1_000);
    expect(stepWriteRate(other, { lineage: 'b', offset: 900_000_000 }, 41_000)?.nowBytesPerSecond).toBe(0);
  });
});

describe('what a node says of itself', () => {
  it('is read from CONFIG GET without what nobody asked for, the buffer of replicas alone', () => {
    const limit = 'normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60';
    expect(parseSettings(['client-output-buffer-limit', limit, 'masterauth', 'secret', 'save', ''])).toEqual({
      'client-output-buffer-limit': 'replica 268435456 67108864 60',
      save: '',
    });
    expect(parseSettings('nonsense')).toBeNull();
  });

  it('is null where a version does not say it', () => {
    expect(parseVitals('redis_version:5.0.0')).toMatchObject({
      keys: null,
      forkMs: null,
      configFile: null,
      saving: false,
    });
    expect(vitals).toMatchObject({ keys: 5_000, usedMemoryBytes: 104_857_600 });
  });
});
