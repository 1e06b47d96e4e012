import { ok, refuse, type RestorePoint, type Result } from '@switchyard/protocol';
import { systemClock } from '@switchyard/runtime';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import type { ArchiveHead } from '../archive/archive.ts';
import type { DirectOutcome } from '../operations/operation-runner.ts';
import { command, makeMaterialiser, record, type Recording } from '../restore/restore-fixture.ts';
import { createGroupProbe } from '../source/group-probe.ts';
import { createGroupSurvey } from '../source/group-survey.ts';
import { quietLogger } from '../test-fixtures.ts';
import { selectiveRollback, type SelectiveRequest, type SelectiveTools } from './selective-rollback.ts';

const never = new AbortController().signal;
const clock = systemClock;
const logger = quietLogger;

const fill = (redis: TestRedis): Promise<unknown> =>
  redis.cli(
    'EVAL',
    "for i = 1, 700 do redis.call('SET', 'cart:' .. i, 'item ' .. i) redis.call('SADD', 'cart:set:' .. i, i, 'a', 'b', 'c') end " +
      "redis.call('PEXPIREAT', 'cart:5', 4102444800000) redis.call('SET', 'user:1', 'name')",
    0,
  );

interface Bed {
  readonly recording: Recording;
  readonly tools: SelectiveTools;
  readonly points: Map<string, RestorePoint>;
  end(): Promise<void>;
}

/** A server that is recorded, with what a selective rollback needs. */
async function bed(more: Partial<SelectiveTools> = {}): Promise<Bed> {
  const recording = await record(fill);
  const { redis } = recording;
  const { materialise, end } = await makeMaterialiser(recording.source, { command });
  const points = new Map<string, RestorePoint>();
  const settings = { kind: 'single', group: 'main', endpoint: { host: redis.host, port: redis.port } } as const;
  const probe = createGroupProbe(settings, { name: 'test', clock, logger });
  const locate = (to: SelectiveRequest['to']): Promise<Result<RestorePoint>> => {
    const base = recording.base();
    if ('offset' in to)
      return Promise.resolve(ok({ ...base, offset: to.offset, streamBytes: to.offset - base.offset }));
    const found = 'label' in to ? points.get(to.label) : undefined;
    return Promise.resolve(found === undefined ? refuse('not_restorable', 'no such point') : ok(found));
  };
  const tools: SelectiveTools = {
    survey: createGroupSurvey({ settings, probe, clock }),
    access: {},
    archive: {
      locate,
      flush: async ({ untilOffset = 0 }) => {
        const { offset, replicationId, timeline } = await recording.now();
        if (timeline === null || offset < untilOffset) return refuse('not_ready', 'not there yet');
        return ok({ timeline, offset, replicationId, atMs: clock.unixMs() });
      },
    },
    materialise,
    keepPoint: async ({ offset }: ArchiveHead) => {
      const point = await locate({ offset });
      if (point.ok) points.set(`safety-${points.size}`, point.value);
      return { label: `safety-${points.size - 1}` };
    },
    clock,
    logger,
    ...more,
  };
  return {
    recording,
    tools,
    points,
    end: async () => {
      await recording.stop();
      await end();
    },
  };
}

const run = (
  { tools }: Pick<Bed, 'tools'>,
  request: Partial<SelectiveRequest> & Pick<SelectiveRequest, 'to'>,
  signal = never,
): Promise<DirectOutcome> =>
  selectiveRollback(
    tools,
    { group: 'main', match: 'cart:*', dryRun: false, ...request },
    { id: 'op-1', report: () => undefined, signal },
  );

/** What somebody does wrong, and what else happens meanwhile. */
async function spoil(redis: TestRedis): Promise<void> {
  await redis.cli('EVAL', "for i = 1, 300 do redis.call('DEL', 'cart:' .. i) end", 0);
  await redis.cli('EVAL', "for i = 301, 500 do redis.call('SET', 'cart:' .. i, 'wrong') end", 0);
  await redis.cli('EVAL', "for i = 1, 150 do redis.call('SREM', 'cart:set:' .. i, 'a') end", 0);
  await redis.cli('SREM', 'cart:set:700', 'b');
  await redis.cli('SADD', 'cart:set:700', 'b');
  await redis.cli('SET', 'cart:new', 'must go');
  await redis.cli('SET', 'user:1', 'new name');
  await redis.cli('SET', 'user:2', 'stays');
}

describe('selectiveRollback', () => {
  let at: Bed;
  beforeEach(async () => {
    at = await bed();
  });
  afterEach(() => at.end());

  it('brings back exactly the keys that match, removes those that were not there, and can itself be undone', async () => {
    const { redis } = at.recording;
    const { offset } = await at.recording.now();
    await spoil(redis);
    const outcome = await run(at, { to: { offset } });
    expect(outcome).toMatchObject({
      ok: true,
      value: {
        diff: { added: 300, changed: 350, removed: 1, samples: { removed: ['cart:new'] } },
        restored: 650,
        removed: 1,
        writtenSince: 0,
        attempts: 1,
        safetyPoint: 'safety-0',
        undo: { request: { body: { group: 'main', to: { label: 'safety-0' }, match: 'cart:*' } } },
      },
    });
    expect(await redis.cli('GET', 'cart:300')).toBe('item 300');
    expect(await redis.cli('GET', 'cart:499')).toBe('item 499');
    expect(await redis.cli('PEXPIRETIME', 'cart:5')).toBe(4_102_444_800_000);
    expect(await redis.cli('SCARD', 'cart:set:1')).toBe(4);
    expect(await redis.cli('EXISTS', 'cart:new')).toBe(0);
    expect([await redis.cli('GET', 'user:1'), await redis.cli('GET', 'user:2')]).toEqual(['new name', 'stays']);

    // Once more: nothing is left to do.
    expect(await run(at, { to: { offset } })).toMatchObject({
      value: { diff: { added: 0, changed: 0, removed: 0 }, restored: 0, safetyPoint: null },
    });

    expect(await run(at, { to: { label: 'safety-0' } })).toMatchObject({
      ok: true,
      value: { removed: 300, restored: 351 },
    });
    expect([await redis.cli('GET', 'cart:new'), await redis.cli('EXISTS', 'cart:300')]).toEqual(['must go', 0]);
    expect(await redis.cli('SCARD', 'cart:set:1')).toBe(3);
  });

  it('only says what would change when asked for a dry run', async () => {
    const { redis } = at.recording;
    const { offset } = await at.recording.now();
    await spoil(redis);
    const before = await redis.cli('DEBUG', 'DIGEST');
    expect(await run(at, { to: { offset }, dryRun: true })).toMatchObject({
      ok: true,
      value: { dryRun: true, diff: { added: 300, changed: 350, removed: 1 }, safetyPoint: null, undo: null },
    });
    expect(await redis.cli('DEBUG', 'DIGEST')).toBe(before);
    expect(at.points.size).toBe(0);
  });

  it('leaves the keys of the control plane alone, whatever the pattern', async () => {
    const { redis } = at.recording;
    await redis.cli('HSET', '{switchyard}:catalog', 'revision', 7);
    const { offset } = await at.recording.now();
    await redis.cli('HSET', '{switchyard}:catalog', 'revision', 8);
    await redis.cli('SET', '{switchyard}:new', 1);
    await redis.cli('DEL', 'user:1');
    expect(await run(at, { to: { offset }, match: '*' })).toMatchObject({ value: { restored: 1, removed: 0 } });
    expect(await redis.cli('HGET', '{switchyard}:catalog', 'revision')).toBe('8');
    expect(await redis.cli('GET', 'user:1')).toBe('name');
  });

  it('names keys that are too large before anything is written', async () => {
    const { redis } = at.recording;
    await redis.cli('EVAL', "for i = 1, 2000 do redis.call('HSET', 'cart:huge', i, redis.sha1hex(i)) end", 0);
    const { offset } = await at.recording.now();
    await spoil(redis);
    await redis.cli('DEL', 'cart:huge');
    const tools = { ...at.tools, largestKeyBytes: 10_000 };
    expect(await run({ tools }, { to: { offset } })).toMatchObject({
      ok: false,
      error: { code: 'too_large', why: ['cart:huge'], next: expect.any(String) },
    });
    expect(await redis.cli('EXISTS', 'cart:1')).toBe(0);
    expect(await run(at, { to: { offset } })).toMatchObject({ ok: true });
    expect(await redis.cli('HLEN', 'cart:huge')).toBe(2_000);
  });

  it('follows a primary that moves, and writes nothing more to the old one', async () => {
    const { redis } = at.recording;
    const next = await startRedis({ replicaOf: redis });
    try {
      const { offset } = await at.recording.now();
      await spoil(redis);
      await eventually(async () => (await next.cli('GET', 'user:2')) === 'stays');
      let surveys = 0;
      const fault = once(async (): Promise<void> => {
        await next.cli('REPLICAOF', 'NO', 'ONE');
        await redis.cli('REPLICAOF', next.host, next.port);
      });
      const survey: SelectiveTools['survey'] = async () => {
        const found = await at.tools.survey();
        surveys += 1;
        // What Sentinels said a moment ago: the first look is at the old primary, and it moves right after that.
        if (surveys === 2) await fault();
        if (surveys <= 2) return found;
        const [node] = found.nodes;
        if (node === undefined) throw new Error('no node');
        const moved = {
          ...node,
          name: `${next.host}:${next.port}`,
          port: next.port,
          role: 'primary',
          state: 'ok',
        } as const;
        return { ...found, nodes: [moved] };
      };
      const outcome = await run({ tools: { ...at.tools, survey } }, { to: { offset } });
      expect(outcome).toMatchObject({
        ok: true,
        value: { attempts: 2, restored: 650, removed: 1, primary: `${next.host}:${next.port}` },
      });
      expect(await next.cli('GET', 'cart:300')).toBe('item 300');
      expect(await next.cli('GET', 'user:2')).toBe('stays');
    } finally {
      await next.stop();
    }
  });

  it('refuses while nobody is primary for sure, and when the moment or the present is not archived', async () => {
    const { offset } = await at.recording.now();
    const survey: SelectiveTools['survey'] = async () => ({ ...(await at.tools.survey()), isInFailover: true });
    expect(await run({ tools: { ...at.tools, survey } }, { to: { offset } })).toMatchObject({
      error: { code: 'no_primary', detail: 'A failover is under way.' },
    });
    expect(await run(at, { to: { label: 'nothing' } })).toMatchObject({ error: { code: 'not_restorable' } });
    const archive = { ...at.tools.archive, flush: () => Promise.resolve(refuse('not_ready', 'nobody follows')) };
    expect(await run({ tools: { ...at.tools, archive } }, { to: { offset } })).toMatchObject({
      error: { code: 'not_ready' },
    });
  });

  it('says how far it came when it is cancelled or the primary refuses', async () => {
    const { redis } = at.recording;
    const { offset } = await at.recording.now();
    await spoil(redis);
    const cancel = new AbortController();
    const keepPoint: SelectiveTools['keepPoint'] = async (head, operation, detail, signal) => {
      cancel.abort(new Error('cancelled'));
      return at.tools.keepPoint(head, operation, detail, signal);
    };
    expect(await run({ tools: { ...at.tools, keepPoint } }, { to: { offset } }, cancel.signal)).toMatchObject({
      ok: false,
      error: { code: 'cancelled', next: expect.stringContaining('again') },
      result: { safetyPoint: 'safety-0', restored: 0 },
    });
    await redis.cli('ACL', 'SETUSER', 'default', '-restore');
    expect(await run(at, { to: { offset } })).toMatchObject({
      ok: false,
      error: { code: 'conflict', why: [expect.stringMatching(/NOPERM/)] },
      result: { safetyPoint: 'safety-1' },
    });
  });
});

/** Does it once. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done = false;
  return async () => {
    if (done) return;
    done = true;
    await work();
  };
}
