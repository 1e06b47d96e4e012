import { notableEventSchema } from '@switchyard/protocol';
import { createNotableEvents, type SeenCommand } from './notable-events.ts';

function command(text: string, from: number, facts: Partial<SeenCommand> = {}): SeenCommand {
  const words = text.split(' ');
  return {
    name: (words[0] ?? '').toUpperCase(),
    from,
    database: 0,
    words: words.length,
    isInTransaction: false,
    argument: (index) => Uint8Array.from(words[index] ?? '', (letter) => letter.charCodeAt(0)),
    ...facts,
  };
}

describe('createNotableEvents', () => {
  it.each([
    ['FLUSHALL', 'flush', null, 'all keys of all databases were removed'],
    ['FLUSHDB ASYNC', 'flush', 3, 'all keys of database 3 were removed'],
    ['SWAPDB 0 7', 'swap', null, 'databases 0 and 7 were swapped'],
    ['FUNCTION LOAD #!lua', 'functions', null, 'a library of functions was loaded'],
    ['FUNCTION delete mylib', 'functions', null, 'a library of functions was deleted: mylib'],
    ['SCRIPT FLUSH', 'functions', null, 'all cached scripts were removed'],
  ])('tells of %s', (text, kind, database, detail) => {
    const events = createNotableEvents();
    events.see(command(text, 70, { database: 3 }), 1_000);
    const { events: found } = events.take(100);
    const name = text.split(' ')[0];
    expect(found).toEqual([{ kind, command: name, before: 70, atMs: 1_000, database, detail }]);
    expect(notableEventSchema.safeParse(found[0]).success).toBe(true);
  });

  it('says nothing about ordinary commands, whatever they are called', () => {
    const events = createNotableEvents();
    for (const text of ['SET a 1', 'DEL a', 'CONSTRUCTOR', 'TOSTRING', '__PROTO__', 'SCRIPT LOAD x', 'FUNCTION KILL'])
      events.see(command(text, 1), 1);
    expect(events.take(9)).toEqual({ events: [], moreEvents: 0 });
  });

  it('places what happens inside a transaction before the transaction, and keeps it until that is archived', () => {
    const events = createNotableEvents();
    events.see(command('MULTI', 100), 5);
    events.see(command('SET a 1', 115, { isInTransaction: true }), 5);
    events.see(command('FLUSHALL', 130, { isInTransaction: true }), 5);
    expect(events.take(100).events).toEqual([]);
    events.see(command('EXEC', 150, { isInTransaction: true }), 6);
    events.see(command('FLUSHALL', 170), 7);
    expect(events.take(190).events.map(({ before }) => before)).toEqual([100, 170]);
  });

  it('calls many deletions within a second a mass delete, from the first of them on', () => {
    const events = createNotableEvents({ burstKeys: 50, commandKeys: 40 });
    for (let index = 0; index < 200; index += 1) events.see(command('DEL a', 1_000 + index * 20), 10_000 + index * 10);
    const { events: found } = events.take(10_000);
    expect(found).toMatchObject([{ kind: 'mass-delete', before: 1_000, atMs: 10_000, database: 0 }]);
    expect(found[0]?.detail).toContain('of 200 keys');
  });

  it('does not add up deletions that are far apart', () => {
    const events = createNotableEvents({ burstKeys: 50, commandKeys: 40 });
    for (let index = 0; index < 500; index += 1) events.see(command('UNLINK a', index * 20), index * 25);
    expect(events.take(1e9).events).toEqual([]);
  });

  it('calls one command with many keys a mass delete, and tells two that are apart as two', () => {
    const events = createNotableEvents();
    const many = `DEL ${'k '.repeat(150).trim()}`;
    events.see(command(many, 0), 1_000);
    events.see(command('DEL a', 400), 4_000);
    events.see(command(many, 500), 9_000);
    expect(events.take(1e9).events.map(({ before, atMs }) => [before, atMs])).toEqual([
      [0, 1_000],
      [500, 9_000],
    ]);
  });

  it('is not confused by a clock that is set back', () => {
    const events = createNotableEvents({ burstKeys: 10 });
    for (let index = 0; index < 9; index += 1) events.see(command('DEL a', index), 50_000);
    for (let index = 9; index < 18; index += 1) events.see(command('DEL a', index), 20_000);
    expect(events.take(1e9).events).toEqual([]);
  });

  it('keeps at most a hundred and counts the rest', () => {
    const events = createNotableEvents();
    for (let index = 0; index < 5_000; index += 1) events.see(command('FLUSHDB', index * 10), index);
    const { events: found, moreEvents } = events.take(1e9);
    expect([found.length, moreEvents]).toEqual([100, 4_900]);
    expect(events.take(1e9)).toEqual({ events: [], moreEvents: 0 });
  });

  it('tells of failovers and of clocks that were set', () => {
    const events = createNotableEvents();
    events.seeHistory('b'.repeat(40), 5, 1);
    events.seeClockJump(-90_500, 6, 2);
    expect(events.take(9).events).toMatchObject([
      { kind: 'failover', before: 5 },
      { kind: 'clock-jump', before: 6, detail: 'the clock was set back by 90.5 s' },
    ]);
  });
});
