import { seededRandom, type SeededRandom } from '@switchyard/testing';
import { createCommandScanner, type CommandScanner, type ScannedCommand } from './command-scanner.ts';
import { ReplicationLinkError } from './replication-problem.ts';
import { encodeCommand } from './resp.ts';

// A longer search: SWITCHYARD_FUZZ_MS=60000, repeated by SWITCHYARD_TEST_SEED.
const fuzzMs = Number(process.env['SWITCHYARD_FUZZ_MS'] ?? 1_000);

interface Seen {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly database: number;
  readonly isInTransaction: boolean;
  readonly words: readonly string[];
  readonly boundary: number;
}

interface Scan {
  readonly seen: readonly Seen[];
  readonly scanner: CommandScanner;
  readonly error: unknown;
}

function scan(chunks: Iterable<Buffer>, start: { position: number; database?: number } = { position: 0 }): Scan {
  const seen: Seen[] = [];
  const scanner = createCommandScanner(start, (command) => seen.push(copyOf(command, scanner)));
  let error: unknown;
  try {
    for (const chunk of chunks) scanner.push(chunk);
  } catch (thrown) {
    error = thrown;
  }
  return { seen, scanner, error };
}

function copyOf(command: ScannedCommand, scanner: CommandScanner): Seen {
  const { name, from, to, database, isInTransaction } = command;
  const words = Array.from({ length: Math.min(command.words, 64) }, (_, index) => {
    const text = command.argument(index).toString('latin1');
    return text.length === command.argumentBytes(index) ? text : `${text}... ${command.argumentBytes(index)}`;
  });
  return { name, from, to, database, isInTransaction, words, boundary: scanner.boundary() };
}

const resp = (...words: readonly string[]): Buffer => encodeCommand(words);

describe('createCommandScanner', () => {
  it('tells each command with its place, its database and its words', () => {
    const set = resp('SET', 'k', 'v\r\n$1');
    const select = resp('select', '3');
    const ping = resp('pIng');
    const { seen, scanner } = scan([Buffer.concat([set, select, Buffer.from('\n'), ping])], { position: 1_000 });
    const at = (bytes: number): number => 1_000 + bytes;
    const afterSelect = set.length + select.length;
    expect(seen).toEqual([
      {
        name: 'SET',
        from: 1_000,
        to: at(set.length),
        database: 0,
        isInTransaction: false,
        words: ['SET', 'k', 'v\r\n$1'],
        boundary: at(set.length),
      },
      {
        name: 'SELECT',
        from: at(set.length),
        to: at(afterSelect),
        database: 3,
        isInTransaction: false,
        words: ['select', '3'],
        boundary: at(afterSelect),
      },
      {
        name: 'PING',
        from: at(afterSelect + 1),
        to: at(afterSelect + 1 + ping.length),
        database: 3,
        isInTransaction: false,
        words: ['pIng'],
        boundary: at(afterSelect + 1 + ping.length),
      },
    ]);
    expect(scanner.database()).toBe(3);
    expect(scanner.position()).toBe(scanner.boundary());
  });

  it('goes on in the database that it was told', () => {
    expect(scan([resp('GET', 'k')], { position: 0, database: 7 }).seen).toMatchObject([{ database: 7 }]);
  });

  it('allows no cut between MULTI and the end of EXEC, and knows the database of the cut', () => {
    const before = resp('SET', 'a', '1');
    const { seen, scanner } = scan([before, resp('MULTI'), resp('SELECT', '5'), resp('INCR', 'a')]);
    expect(seen.map(({ isInTransaction }) => isInTransaction)).toEqual([false, true, true, true]);
    expect(scanner.boundary()).toBe(before.length);
    expect([scanner.database(), scanner.boundaryDatabase()]).toEqual([5, 0]);
    scanner.push(resp('EXEC'));
    expect(scanner.boundary()).toBe(scanner.position());
    expect(scanner.boundaryDatabase()).toBe(5);
    expect(seen.at(-1)).toMatchObject({ name: 'EXEC', isInTransaction: true });
    scanner.push(Buffer.from('\n'));
    expect(scanner.boundary()).toBe(scanner.position());
  });

  it('gives the first 4 KiB of a long word and its whole length, however it is cut', () => {
    const long = `${'x'.repeat(4_095)}yz${'.'.repeat(10_000)}`;
    const bytes = Buffer.concat([resp('SET', 'k', long), resp('DEL', 'k')]);
    const whole = scan([bytes]).seen;
    expect(whole[0]?.words[2]?.slice(4_090)).toBe(`${long.slice(4_090, 4_096)}... ${long.length}`);
    for (const size of [1, 7, 4_096, 5_000]) expect(scan(piecesOf(bytes, size)).seen).toEqual(whole);
  });

  it('counts all words of a command and lets the first 64 be read', () => {
    const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`);
    const bytes = resp('DEL', ...keys);
    const errors: unknown[] = [];
    const scanner = createCommandScanner({ position: 0 }, (command) => {
      expect(command.words).toBe(101);
      expect(command.argument(63).toString()).toBe('key-62');
      for (const index of [64, 100, 101, -1, 0.5])
        try {
          command.argument(index);
        } catch (error) {
          errors.push(error);
        }
    });
    for (const piece of piecesOf(bytes, 10)) scanner.push(piece);
    expect(errors).toHaveLength(5);
    expect(errors.every((error) => error instanceof RangeError)).toBe(true);
  });

  it('skips over a value of half a gigabyte without keeping it', () => {
    const bytes = 512 * 1024 * 1024;
    const piece = Buffer.alloc(1024 * 1024, 'v');
    const names: string[] = [];
    const scanner = createCommandScanner({ position: 0 }, ({ name }) => names.push(name));
    const before = process.memoryUsage().arrayBuffers;
    scanner.push(Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${bytes}\r\n`));
    for (let sent = 0; sent < bytes; sent += piece.length) scanner.push(piece);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
    scanner.push(Buffer.from('\r\n*1\r\n$4\r\nPING\r\n'));
    expect(names).toEqual(['SET', 'PING']);
    expect(scanner.boundary()).toBe(scanner.position());
  });

  it.each([
    ['HELLO\r\n', 0],
    ['*0\r\n', 3],
    ['*-1\r\n', 1],
    ['*\r\n', 1],
    ['*1\n', 2],
    ['*1\r\r', 3],
    ['*12345678901\r\n', 11],
    ['*1\r\n:3\r\n', 4],
    ['*1\r\n$x', 5],
    ['*1\r\n$536870913\r\n', 15],
    ['*1\r\n$4\r\nPINGxx', 12],
    ['*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n', 23],
    ['*1\r\n$6\r\nSELECT\r\n', 16],
  ])('says where %j cannot be understood, in whole and byte by byte, and stays failed', (text, position) => {
    const bytes = Buffer.concat([resp('PING'), Buffer.from(text)]);
    const at = 100 + resp('PING').length + position;
    for (const chunks of [[bytes], piecesOf(bytes, 1)]) {
      const { error, scanner, seen } = scan(chunks, { position: 100 });
      expect(error).toBeInstanceOf(ReplicationLinkError);
      expect(error).toMatchObject({ code: 'protocol_error', message: expect.stringContaining(`position ${at}:`) });
      expect(() => scanner.push(resp('PING'))).toThrow('cannot be understood');
      expect(scanner.boundary()).toBe(100 + resp('PING').length);
      expect(seen).toHaveLength(1);
    }
  });

  it('finds the same commands however the stream is cut into chunks', () => {
    const random = seededRandom();
    try {
      repeatFor(fuzzMs, () => {
        const bytes = randomStream(random);
        const whole = scan([bytes], { position: 10 });
        expect(whole.error).toBeUndefined();
        const cut = scan(randomPieces(bytes, random), { position: 10 });
        expect(cut.seen).toEqual(whole.seen);
        expect(cut.scanner.position()).toBe(10 + bytes.length);
      });
    } catch (error) {
      throw new Error(`Seed ${random.seed}`, { cause: error });
    }
  });

  it('ends with an error or in good order on damaged streams, never beyond what it was given', () => {
    const random = seededRandom();
    try {
      repeatFor(fuzzMs, () => {
        const bytes = damaged(randomStream(random), random);
        const { seen, scanner, error } = scan(randomPieces(bytes, random));
        if (error !== undefined) expect(error).toMatchObject({ code: 'protocol_error' });
        expect(scanner.position()).toBeLessThanOrEqual(bytes.length);
        expect(scanner.boundary()).toBeLessThanOrEqual(scanner.position());
        let last = 0;
        for (const { from, to } of seen) {
          expect(from).toBeGreaterThanOrEqual(last);
          expect(to).toBeGreaterThan(from);
          last = to;
        }
        expect(last).toBeLessThanOrEqual(scanner.position());
      });
    } catch (error) {
      throw new Error(`Seed ${random.seed}`, { cause: error });
    }
  });
});

function repeatFor(ms: number, work: () => void): void {
  const end = performance.now() + ms;
  do work();
  while (performance.now() < end);
}

function randomStream(random: SeededRandom): Buffer {
  const parts: Buffer[] = [];
  const commands = random.integer(1, 30);
  const word = (): string => 'abc\r\n$*1'.repeat(random.integer(0, 3)) + 'v'.repeat(random.pick([0, 1, 5, 40, 5_000]));
  for (let count = 0; count < commands; count += 1) {
    const kind = random.pick(['set', 'SELECT', 'MULTI', 'EXEC', 'newline', 'DEL', 'PING']);
    if (kind === 'newline') parts.push(Buffer.from(random.pick(['\n', '\r\n'])));
    else if (kind === 'SELECT') parts.push(resp('SELECT', String(random.integer(0, 15))));
    else if (kind === 'set') parts.push(resp('set', word(), word()));
    else if (kind === 'DEL') parts.push(resp('DEL', ...Array.from({ length: random.integer(1, 80) }, () => 'k')));
    else parts.push(resp(kind));
  }
  return Buffer.concat(parts);
}

function damaged(bytes: Buffer, random: SeededRandom): Buffer {
  const copy = Buffer.from(bytes);
  for (let count = random.integer(1, 4); count > 0; count -= 1) {
    const at = random.integer(0, copy.length - 1);
    if (random() < 0.3) copy.copy(copy, at, random.integer(0, copy.length - 1));
    else copy[at] = random() < 0.5 ? random.integer(0, 255) : random.pick([...Buffer.from('*$\r\n0123456789')]);
  }
  return copy.subarray(random.integer(0, 3));
}

// Each piece is overwritten when it has been used: nothing may be read from a chunk that is gone.
function* randomPieces(bytes: Buffer, random: SeededRandom): Generator<Buffer> {
  const largest = random.pick([1, 3, 20, 400, 20_000]);
  for (let at = 0; at < bytes.length;) {
    const size = random.integer(0, largest);
    const piece = Buffer.from(bytes.subarray(at, at + size));
    yield piece;
    piece.fill('!');
    at += size;
  }
}

function piecesOf(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}
