import { createHash } from 'node:crypto';
import { encodeCommand } from '@switchyard/replication-link';
import { manualClock, type ManualClock } from '@switchyard/testing';
import { createStreamCollector, type StreamCollector } from './stream-collector.ts';

const id = 'a'.repeat(40);
const command = (...words: string[]): Buffer => Buffer.from(encodeCommand(words));
let clock: ManualClock;
let collector: StreamCollector;
beforeEach(() => {
  clock = manualClock({ unixMs: 1_000_000 });
  collector = createStreamCollector({ offset: 500, replicationId: id, database: 3 }, clock);
});

describe('createStreamCollector', () => {
  it('seals what has arrived, and says when, what, from which history and in which database', async () => {
    const [one, two] = [command('SET', 'a', '1'), command('SELECT', '7')];
    collector.push(one);
    await clock.advance(4);
    collector.push(command('INCR', 'b'));
    await clock.advance(20);
    collector.push(two);
    const piece = collector.seal();
    const to = 500 + one.length + command('INCR', 'b').length + two.length;
    expect(piece).toMatchObject({
      from: 500,
      to,
      startedAtMs: 1_000_000,
      endedAtMs: 1_000_024,
      histories: [{ from: 500, replicationId: id }],
      database: 3,
      commands: 3,
      commandCounts: { SET: 1, INCR: 1, SELECT: 1 },
      events: [],
      // Two arrivals within 10 ms are one.
      times: [
        [to - two.length, 1_000_004],
        [to, 1_000_024],
      ],
    });
    expect(piece?.sha256).toBe(
      createHash('sha256')
        .update(piece?.raw ?? '')
        .digest('hex'),
    );
    expect(collector.seal()).toBeUndefined();
    collector.push(command('SET', 'c', '1'));
    expect(collector.seal()).toMatchObject({ from: to, database: 7, commands: 1 });
  });

  it('cuts neither within a command nor within a transaction, and counts that where it ends', () => {
    const [first, multi, inside, exec] = [
      command('SET', 'a', '1'),
      command('MULTI'),
      command('SET', 'b', '2'),
      command('EXEC'),
    ];
    collector.push(Buffer.concat([first, multi, inside]));
    expect(collector.seal()).toMatchObject({
      from: 500,
      to: 500 + first.length,
      commandCounts: { SET: 1 },
      commands: 1,
    });
    expect([collector.sealableBytes(), collector.heldBytes()]).toEqual([0, multi.length + inside.length]);
    collector.push(exec.subarray(0, 5));
    expect(collector.seal()).toBeUndefined();
    collector.push(exec.subarray(5));
    expect(collector.seal()).toMatchObject({ commands: 3, commandCounts: { MULTI: 1, SET: 1, EXEC: 1 } });
  });

  it('forgets what a connection has not ended, and takes it again from the next', () => {
    const [first, second] = [command('SET', 'a', '1'), command('SET', 'b', '2')];
    collector.push(Buffer.concat([first, command('MULTI'), second.subarray(0, 7)]));
    collector.forgetRest();
    expect(collector.boundary()).toEqual({ offset: 500 + first.length, replicationId: id, database: 3 });
    collector.push(second);
    const piece = collector.seal();
    expect(piece).toMatchObject({ commands: 2, commandCounts: { SET: 2 } });
    expect(piece?.raw.equals(Buffer.concat([first, second]))).toBe(true);
  });

  it('keeps the names of a history that was renamed, and tells of the failover', () => {
    collector.push(command('SET', 'a', '1'));
    const { offset } = collector.boundary();
    collector.rename('b'.repeat(40));
    collector.rename('b'.repeat(40));
    collector.push(command('SET', 'b', '1'));
    const piece = collector.seal();
    expect(piece?.histories).toEqual([
      { from: 500, replicationId: id },
      { from: offset, replicationId: 'b'.repeat(40) },
    ]);
    expect(piece?.events).toMatchObject([{ kind: 'failover', before: offset }]);
    collector.rename('c'.repeat(40));
    collector.push(command('SET', 'c', '1'));
    expect(collector.seal()?.histories).toEqual([{ from: piece?.to, replicationId: 'c'.repeat(40) }]);
  });

  it('tells of a clock that jumps, and not of one that stands still while nothing comes', async () => {
    collector.push(command('SET', 'a', '1'));
    await clock.advance(3_600_000);
    collector.push(command('SET', 'a', '2'));
    const { offset } = collector.boundary();
    clock.jumpWallClock(-60_000);
    collector.push(command('SET', 'a', '3'));
    const piece = collector.seal();
    expect(piece?.events).toMatchObject([{ kind: 'clock-jump', before: offset }]);
    expect(piece?.times.at(-1)?.[1]).toBe(1_000_000 + 3_600_000 - 60_000);
  });

  it('knows since when something waits', async () => {
    expect(collector.oldestAtMs()).toBeNull();
    collector.push(command('SET', 'a', '1'));
    await clock.advance(50);
    const late = command('SET', 'a', '2');
    collector.push(late.subarray(0, 9));
    expect(collector.oldestAtMs()).toBe(1_000_000);
    collector.seal();
    expect(collector.oldestAtMs()).toBe(1_000_050);
  });

  it('names at most 200 commands', () => {
    for (let index = 0; index < 300; index += 1) collector.push(command(`C${index}`));
    const counts = collector.seal()?.commandCounts ?? {};
    expect(Object.keys(counts)).toHaveLength(200);
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(300);
  });
});
