import { createCatalogView, emptySnapshot } from '@switchyard/catalog';
import type { Commit } from '@switchyard/catalog';
import type { ProbeResult } from '@switchyard/failure-detection';
import { memberOf, storedInstanceSchema } from '@switchyard/protocol';
import type { Doubt, Instance } from '@switchyard/protocol';
import type { CheckBeat } from '@switchyard/redis';
import { createLogger, createMetrics } from '@switchyard/runtime';
import { manualClock } from '@switchyard/testing';
import { createChecks } from './checks.ts';
import type { ChecksOptions } from './checks.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const check = { type: 'http', path: '/health', interval: '1s' } as const;
const instanceOf = (id: string, more: Partial<Instance> = {}): Instance => ({
  ...storedInstanceSchema.parse({
    service: 'shop',
    id,
    url: 'http://127.0.0.1:3000',
    weight: 1,
    declaredWeight: 1,
    meta: {},
    ttlMs: 3_000,
    check,
    role: 'member',
    intent: 'in-service',
    liveness: 'alive',
    sinceMs: 0,
    incarnation: 1,
    ...more,
  }),
  revision: more.revision ?? 1,
});

/** One monitor's checks, with everything around them in the hands of the test. */
function world(...start: readonly Instance[]) {
  const clock = manualClock();
  const instances = new Map(start.map((one) => [memberOf(one.service, one.id), one]));
  const outcomes = new Map<string, ProbeResult['outcome']>();
  const asked: string[] = [];
  const beats: CheckBeat[] = [];
  const commits: [string, string][] = [];
  const doubts: Doubt[] = [];
  const listeners: (() => void)[] = [];
  const waiting: (() => void)[] = [];
  const is = { leader: true, slow: false, late: 0, refusesCommits: false };
  let view = createCatalogView();
  let revision = 1;
  const show = (): void => {
    view = createCatalogView({
      ...emptySnapshot,
      epoch: 1,
      revision: (revision += 1),
      instances: [...instances.values()],
    });
    for (const listener of listeners) listener();
  };
  const checks = createChecks({
    id: 'm1',
    monitor: {
      status: () => ({ leader: is.leader, fencingToken: 7 }),
      doubt: (doubt) => doubts.push(doubt),
    },
    store: {
      commit({ event, writes }: Commit, fence) {
        expect(fence).toEqual({ lease: 'monitor', token: 7 });
        if (is.refusesCommits) return Promise.resolve({ type: 'conflict', key: event.subject });
        commits.push([event.type, event.subject]);
        instances.set(event.subject, { ...(writes[0]?.document as Instance), revision: revision + 1 });
        show();
        return Promise.resolve({ type: 'committed', cursor: { epoch: 1, revision } }) as never;
      },
    },
    feed: {
      get view() {
        return view;
      },
      listen(listener) {
        listeners.push(listener as () => void);
        return () => undefined;
      },
      reached: () => Promise.resolve(),
      refresh: () => undefined,
    },
    async probe(instance): ReturnType<ChecksOptions['probe']> {
      asked.push(instance.id);
      const outcome = outcomes.get(instance.id) ?? 'answered';
      if (is.slow) await new Promise<void>((resolve) => waiting.push(resolve));
      const kind = instance.check?.type === 'tcp' ? 'tcp' : 'http';
      const detail = outcome === 'answered' ? 'its check answered 200' : `it ${outcome}`;
      return { kind, outcome, tookMs: 3, detail, heard: kind === 'http' && ['answered', 'failed'].includes(outcome) };
    },
    beat(batch) {
      beats.push(...batch);
      return Promise.resolve(batch.map(() => 5_000));
    },
    timeoutMs: 500,
    random: () => 0,
    clock: { ...clock, monotonicMs: () => clock.monotonicMs() + is.late },
    logger,
    metrics: createMetrics(),
  });
  show();
  return {
    asked,
    beats,
    clock,
    commits,
    doubts,
    instances,
    is,
    outcomes,
    checks,
    show,
    status: () => checks.status(),
    answerAll: () => waiting.splice(0).forEach((answer) => answer()),
    start: () => checks.start?.(new AbortController().signal),
    set: (id: string, more: Partial<Instance>) => {
      instances.set(`shop/${id}`, { ...instanceOf(id), ...instances.get(`shop/${id}`), ...more });
      show();
    },
  };
}

describe('checks that are made all the time', () => {
  it('ask at the interval, and an answer over HTTP is a heartbeat until the one after the next', async () => {
    const { asked, beats, clock, commits, start, status } = world(
      instanceOf('a'),
      instanceOf('tcp', { check: { type: 'tcp', interval: '1s' } }),
      instanceOf('asked-when-suspected', { check: { type: 'http' } }),
      instanceOf('dead', { liveness: 'dead', check: { type: 'tcp', interval: '1s' } }),
    );
    await start();
    await clock.advance(4_500);

    expect(asked.toSorted()).toEqual([...Array<string>(5).fill('a'), ...Array<string>(5).fill('tcp')]);
    expect(beats.map(({ member }) => member)).toEqual(Array<string>(5).fill('shop/a'));
    expect(beats.slice(0, 2)).toEqual([
      { member: 'shop/a', reachMs: 2_000 },
      { member: 'shop/a', reachMs: 2_000, deadlineMs: 5_000 },
    ]);
    expect([commits, status()]).toEqual([[], { instances: 2, failing: [] }]);
  });

  it('make an instance suspect after so many failures in a row, asking faster, and alive again after so many answers', async () => {
    const { asked, clock, commits, instances, outcomes, start, status } = world(instanceOf('a'));
    await start();
    await clock.advance(10);
    outcomes.set('a', 'failed');
    await clock.advance(1_900);
    expect([asked.length, commits]).toEqual([4, [['instance.suspected', 'shop/a']]]);
    expect(instances.get('shop/a')).toMatchObject({
      liveness: 'suspect',
      suspectedBy: 'check',
      livenessReason: '3 probes in a row failed, the last one: it failed',
    });
    expect(status().failing).toEqual(['shop/a']);

    await clock.advance(5_000);
    outcomes.set('a', 'answered');
    await clock.advance(1_500);

    expect(commits).toEqual([
      ['instance.suspected', 'shop/a'],
      ['instance.revived', 'shop/a'],
    ]);
    expect(instances.get('shop/a')).toMatchObject({ liveness: 'alive' });
    expect(instances.get('shop/a')).not.toHaveProperty('suspectedBy');
  });

  it('hear a process that says it is not well: it is suspect, and alive', async () => {
    const { beats, clock, commits, outcomes, start } = world(instanceOf('a'), instanceOf('b'));
    outcomes.set('a', 'failed');
    outcomes.set('b', 'timeout');
    await start();
    await clock.advance(10_000);

    expect(new Set(beats.map(({ member }) => member))).toEqual(new Set(['shop/a']));
    expect(commits).toEqual([
      ['instance.suspected', 'shop/a'],
      ['instance.suspected', 'shop/b'],
    ]);
  });

  it('bring one back that was evicted, when it answers again, as it was registered', async () => {
    const zone = 'z1';
    const { asked, beats, clock, commits, instances, outcomes, start } = world(
      instanceOf('a', { liveness: 'dead', livenessReason: 'its address refuses connections', weight: 5, zone }),
    );
    outcomes.set('a', 'refused');
    await start();
    await clock.advance(5_000);
    expect([commits, beats]).toEqual([[], []]);

    const before = asked.length;
    outcomes.set('a', 'answered');
    await clock.advance(1_500);

    expect(commits).toEqual([['instance.registered', 'shop/a']]);
    expect(asked.length - before).toBeGreaterThanOrEqual(2);
    expect(instances.get('shop/a')).toMatchObject({ liveness: 'alive', incarnation: 2, ttlMs: 3_000, zone, check });
    expect(instances.get('shop/a')).not.toHaveProperty('livenessReason');
    await clock.advance(3_000);
    expect([commits.length, beats.length > 0]).toEqual([1, true]);
  });

  it('bring nobody back whose address another one of the service has now', async () => {
    const { clock, commits, set, start } = world(
      instanceOf('a', { liveness: 'dead' }),
      instanceOf('heir', { check: { type: 'none' } }),
    );
    await start();
    await clock.advance(5_000);
    expect(commits).toEqual([]);

    set('heir', { url: 'http://127.0.0.1:3001' });
    await clock.advance(2_000);

    expect(commits).toEqual([['instance.registered', 'shop/a']]);
  });

  it('count as its owner asks', async () => {
    const { clock, commits, outcomes, start } = world(instanceOf('a', { check: { ...check, fall: 1, rise: 1 } }));
    outcomes.set('a', 'timeout');
    await start();
    await clock.advance(100);
    expect(commits).toEqual([['instance.suspected', 'shop/a']]);

    outcomes.set('a', 'answered');
    await clock.advance(1_000);

    expect(commits).toHaveLength(2);
  });

  it.each(['refused', 'other'] as const)('have the detector look when the last failure was %s', async (outcome) => {
    const { clock, doubts, outcomes, start } = world(instanceOf('a'));
    outcomes.set('a', outcome);
    await start();
    await clock.advance(3_000);

    expect(doubts).toEqual([
      { service: 'shop', id: 'a', because: 'connect-failed', detail: `it ${outcome}`, witness: 'm1:check' },
    ]);
  });

  it('say nothing of one that fails and answers by turns', async () => {
    const { clock, commits, outcomes, start } = world(instanceOf('a'));
    await start();
    for (let turn = 0; turn < 20; turn += 1) {
      outcomes.set('a', turn % 3 === 2 ? 'answered' : 'failed');
      await clock.advance(333);
    }

    expect(commits).toEqual([]);
  });

  it('leave alone whom silence made suspect: heartbeats end that, and an answer is one', async () => {
    const { asked, beats, clock, commits, set, start } = world(
      instanceOf('a', { check: { ...check, interval: '1m' } }),
    );
    await start();
    await clock.advance(5_000);
    expect(asked).toHaveLength(1);

    set('a', { liveness: 'suspect', suspectedBy: 'silence' });
    await clock.advance(300);

    expect([asked.length, beats.length, commits]).toEqual([2, 2, []]);
  });

  it('are made by the monitor that leads alone, which goes on where another one stopped', async () => {
    const { asked, clock, commits, is, set, start, status } = world(instanceOf('a'));
    is.leader = false;
    await start();
    await clock.advance(5_000);
    expect([asked, status()]).toEqual([[], { instances: 0, failing: [] }]);

    set('a', { liveness: 'suspect', suspectedBy: 'check', livenessReason: 'found by another one' });
    is.leader = true;
    await clock.advance(100);
    expect([asked.length, status()]).toEqual([1, { instances: 1, failing: ['shop/a'] }]);
    await clock.advance(1_000);

    // two answers, not one: as if it had fallen here
    expect([asked.length, commits]).toEqual([2, [['instance.revived', 'shop/a']]]);
  });

  it('change nothing once another one leads, whose token this monitor has read', async () => {
    const { answerAll, clock, commits, is, outcomes, start } = world(instanceOf('a', { check: { ...check, fall: 1 } }));
    is.slow = true;
    outcomes.set('a', 'failed');
    await start();
    await clock.advance(100);

    is.leader = false;
    answerAll();
    await clock.advance(10);

    expect(commits).toEqual([]);
  });

  it('begin anew with a new process behind the name, and drop what is under way about the former one', async () => {
    const { answerAll, asked, clock, commits, is, outcomes, set, start } = world(
      instanceOf('a', { check: { ...check, fall: 1 } }),
    );
    is.slow = true;
    outcomes.set('a', 'refused');
    await start();
    await clock.advance(100);

    outcomes.set('a', 'answered');
    set('a', { incarnation: 2 });
    await clock.advance(250);
    answerAll();
    await clock.advance(100);

    expect([asked.length, commits]).toEqual([2, []]);
  });

  it('count for nothing when they began before a stall of this process', async () => {
    const { answerAll, clock, commits, is, outcomes, start } = world(instanceOf('a', { check: { ...check, fall: 1 } }));
    is.slow = true;
    outcomes.set('a', 'timeout');
    await start();
    await clock.advance(100);

    is.late = 600;
    answerAll();
    await clock.advance(100);
    expect(commits).toEqual([]);

    // one that began after it counts
    await clock.advance(1_000);
    answerAll();
    await clock.advance(100);
    expect(commits).toEqual([['instance.suspected', 'shop/a']]);
  });

  it('ask for a change again until the catalog has it', async () => {
    const { clock, commits, is, outcomes, start } = world(instanceOf('a', { check: { ...check, fall: 1 } }));
    outcomes.set('a', 'failed');
    is.refusesCommits = true;
    await start();
    await clock.advance(3_000);
    expect(commits).toEqual([]);

    is.refusesCommits = false;
    await clock.advance(1_000);

    expect(commits).toEqual([['instance.suspected', 'shop/a']]);
  });

  it('are 256 at once at most, and everybody has a turn', async () => {
    const many = Array.from({ length: 600 }, (_, n) => instanceOf(`i${n}`));
    const { answerAll, asked, clock, is, start } = world(...many);
    is.slow = true;
    await start();
    await clock.advance(300);
    expect(asked).toHaveLength(256);

    for (let turn = 0; turn < 3; turn += 1) {
      answerAll();
      await clock.advance(100);
    }

    expect(new Set(asked).size).toBe(600);
  });

  it('end with the monitor', async () => {
    const { asked, checks, clock, start } = world(instanceOf('a'));
    await start();
    await clock.advance(100);
    await checks.stop?.();
    await clock.advance(10_000);

    expect(asked).toHaveLength(1);
  });
});
