import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Operation } from '@switchyard/protocol';
import type { SavedSetting, SwitchoverState } from '@switchyard/replication';
import { createLogger } from '@switchyard/runtime';
import { createSwitchoverJournal, type SwitchoverJournal } from './switchover-journal.ts';
import { parseAt } from './switchover-schedule.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-test-journal-'));
  path = join(directory, 'switchovers.jsonl');
});
afterEach(async () => rm(directory, { recursive: true, force: true }));

const opened = async (): Promise<SwitchoverJournal> => {
  const journal = createSwitchoverJournal(path, logger);
  await journal.open();
  return journal;
};
const reread = async (journal: SwitchoverJournal): ReturnType<SwitchoverJournal['open']> => {
  await journal.close();
  const next = createSwitchoverJournal(path, logger);
  const memory = await next.open();
  await next.close();
  return memory;
};
const stateOf = (id: string, waitsFor: string): SwitchoverState =>
  ({ plan: { id }, waitsFor }) as unknown as SwitchoverState;
const operation = (id: string): Operation => ({
  id,
  kind: 'switchover',
  subject: 'main',
  state: 'succeeded',
  percent: 100,
  etaSeconds: null,
  createdAt: '2026-11-21T00:00:00.000Z',
  startedAt: '2026-11-21T00:00:00.000Z',
  finishedAt: '2026-11-21T00:00:01.000Z',
  steps: [],
  result: {},
  problem: null,
});
const left: SavedSetting = {
  at: { name: 'r2', host: 'h', port: 1 },
  kind: 'config',
  name: 'replica-priority',
  value: '100',
};

describe('the journal of switchovers', () => {
  it('knows after a restart what was under way, and how far', async () => {
    const journal = await opened();
    await journal.append({ type: 'step', state: stateOf('a', 'writes-paused'), sentinels: [] });
    await journal.append({ type: 'step', state: stateOf('a', 'promoted'), sentinels: [] }, true);
    expect((await reread(journal)).underWay?.state).toEqual(stateOf('a', 'promoted'));
  });

  it('knows how it ended, and what is still to be put back', async () => {
    const journal = await opened();
    await journal.append({ type: 'step', state: stateOf('a', 'probed'), sentinels: [] });
    await journal.append({ type: 'ended', operation: operation('a'), group: 'main', left: [left] });
    expect(await reread(journal)).toEqual({ underWay: null, scheduled: [], ended: [operation('a')], left: [left] });
    const again = await opened();
    await again.append({ type: 'restored', id: 'a' });
    expect((await reread(again)).left).toEqual([]);
  });

  it('keeps what is scheduled until it has begun or ended', async () => {
    const journal = await opened();
    for (const id of ['a', 'b', 'c'])
      await journal.append({ type: 'scheduled', request: { id, to: null, atUnixMs: 1 } });
    await journal.append({ type: 'step', state: stateOf('a', 'target-preferred'), sentinels: [] });
    await journal.append({ type: 'ended', operation: operation('b'), group: 'main', left: [] });
    expect((await reread(journal)).scheduled.map(({ id }) => id)).toEqual(['c']);
  });

  it('leaves torn and foreign lines out', async () => {
    const journal = await opened();
    await journal.append({ type: 'ended', operation: operation('a'), group: 'main', left: [] });
    await appendFile(path, '{"type":"ended","operation":{}}\n{"type":"?"}\nnull\n{"type":"step","sta');
    expect((await reread(journal)).ended).toEqual([operation('a')]);
  });

  it('stays small, however many switchovers there were', async () => {
    const journal = await opened();
    for (let at = 0; at < 1_100; at += 1) {
      await journal.append({ type: 'ended', operation: operation(`o${String(at)}`), group: 'main', left: [] });
    }
    await journal.close();
    expect((await readFile(path, 'utf8')).split('\n').length).toBeLessThan(300);
  });
});

describe('the time of a switchover', () => {
  const nowMs = Date.parse('2026-11-21T00:00:00Z');
  it.each([
    [undefined, null],
    ['in 10m', nowMs + 600_000],
    ['2026-11-21T03:00:00Z', nowMs + 3 * 3_600_000],
  ])('%s is read', (text, atMs) => {
    expect(parseAt(text, nowMs)).toEqual({ ok: true, value: atMs });
  });
  it.each(['soon', 'in a while', '2026-11-20T00:00:00Z', '2027-11-21T00:00:00Z', 'in -5m', ''])(
    '%p is refused',
    (text) => {
      expect(parseAt(text, nowMs)).toMatchObject({ ok: false, error: { code: 'invalid_input' } });
    },
  );
});
