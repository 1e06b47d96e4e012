// Which commands are in a replication stream, where does each begin and end, and where may it be cut?
// Follows the bytes as they come, in any chunks; values are skipped over, not collected. In steady state nothing is allocated.
// Source: Redis protocol specification; networking.c (processMultibulkBuffer); replication.c (feedReplicationBuffer).
import { createCommandWords, readableWords } from './command-words.ts';
import { printable, ReplicationLinkError } from './replication-problem.ts';

/** Longest value (proto-max-bulk-len's default) and most words that a command may have. */
const maxBulkBytes = 512 * 1024 * 1024;
const maxWords = 2 ** 31 - 1;

/** A command of the stream: one object that is used again for each, valid during the call that hands it over. */
export interface ScannedCommand {
  /** In upper case; at most 64 characters of it. */
  readonly name: string;
  /** Position of its first byte. */
  readonly from: number;
  /** Position after its last byte. */
  readonly to: number;
  /** Database that it works on; for SELECT the one that it chooses. */
  readonly database: number;
  /** Number of words, with its name. */
  readonly words: number;
  /** True from MULTI to EXEC, both included: no cut is allowed before the end of EXEC. */
  readonly isInTransaction: boolean;
  /**
   * A word: 0 is the name as it was written. A view on at most its first 4,096 bytes, valid during the call. Throws `RangeError` for a
   * word that there is not, and from the 65th on.
   */
  argument(index: number): Buffer;
  /** Length of that word in bytes, however long it is. Same errors. */
  argumentBytes(index: number): number;
}

/** Follows a stream. */
export interface CommandScanner {
  /**
   * Takes the next bytes; `onCommand` hears of each command that they complete, in this turn. Throws `protocol_error`, with the
   * position, at the first byte that cannot be; from then on at each call.
   */
  push(chunk: Buffer): void;
  /** The newest position at which the stream may be cut: between two commands, outside MULTI. */
  boundary(): number;
  /** Database that is selected at that boundary. */
  boundaryDatabase(): number;
  /** Database that is selected now. */
  database(): number;
  /** Position after the last byte that was pushed (or understood, after an error). */
  position(): number;
}

/** Where the stream begins. */
export interface CommandScannerStart {
  /** Position of the first byte that will be pushed; a command begins there, outside MULTI. */
  readonly position: number;
  /** Database that is selected there. Default 0, as after a data set. */
  readonly database?: number;
}

// What the next byte belongs to.
const atStart = 0;
const inCount = 1;
const atMark = 2;
const inLength = 3;
const inBody = 4;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const asterisk = 0x2a;
const dollar = 0x24;
const digitZero = 0x30;
const maxDigits = 10;

/** A scanner at `start`. */
export function createCommandScanner(
  start: CommandScannerStart,
  onCommand: (command: ScannedCommand) => void,
): CommandScanner {
  const words = createCommandWords();
  let state = atStart;
  let database = start.database ?? 0;
  let isInTransaction = false;
  let boundary = start.position;
  let boundaryDatabase = database;
  // Position of the first byte of the chunk, and of the command.
  let base = start.position;
  let from = start.position;
  let expectedWords = 0;
  // The number that is being read, its digits, and whether only its line feed is missing.
  let value = 0;
  let digits = 0;
  let isLineEnding = false;
  // Bytes that are missing of the present word, with the line end after it.
  let missing = 0;
  let failure: ReplicationLinkError | undefined;

  const command = {
    name: '',
    from: 0,
    to: 0,
    database: 0,
    words: 0,
    isInTransaction: false,
    argument: (index: number): Buffer => words.view(checked(index)),
    argumentBytes: (index: number): number => words.length(checked(index)),
  };
  const checked = (index: number): number => {
    if (Number.isInteger(index) && index >= 0 && index < Math.min(words.count(), readableWords)) return index;
    throw new RangeError(`Word ${index} of ${command.name} cannot be read: it has ${words.count()}.`);
  };

  const fail = (index: number, what: string): never => {
    base += index;
    failure = new ReplicationLinkError(
      'protocol_error',
      `The stream cannot be understood at position ${base}: ${what} (in what begins at ${from}).`,
    );
    throw failure;
  };
  const failAtByte = (chunk: Buffer, index: number, expected: string): never =>
    fail(index, `${expected} is expected, not "${printable(chunk.toString('latin1', index, index + 16))}"`);

  // Reads digits and their line end from `index`; answers the index behind them, or -1 when the chunk ends before.
  const readNumber = (chunk: Buffer, index: number): number => {
    let at = index;
    for (; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (isLineEnding) {
        if (byte !== lineFeed) failAtByte(chunk, at, 'a line feed');
        isLineEnding = false;
        return at + 1;
      }
      const digit = byte - digitZero;
      if (digit >= 0 && digit <= 9) {
        value = value * 10 + digit;
        digits += 1;
        if (digits > maxDigits) failAtByte(chunk, at, 'a shorter number');
      } else if (byte === carriageReturn && digits > 0) isLineEnding = true;
      else failAtByte(chunk, at, 'a number');
    }
    return -1;
  };
  const expectNumber = (next: number): void => {
    state = next;
    value = 0;
    digits = 0;
  };

  const finish = (to: number): void => {
    const name = words.name();
    if (name === 'SELECT') select(to);
    if (name === 'MULTI') isInTransaction = true;
    command.name = name;
    command.from = from;
    command.to = to;
    command.database = database;
    command.words = words.count();
    command.isInTransaction = isInTransaction;
    if (name === 'EXEC' || name === 'DISCARD') isInTransaction = false;
    if (!isInTransaction) {
      boundary = to;
      boundaryDatabase = database;
    }
    state = atStart;
    onCommand(command);
  };
  const select = (to: number): void => {
    const text = words.count() === 2 ? words.view(1).toString('latin1') : '';
    if (!/^\d{1,9}$/.test(text)) fail(to - base, 'a SELECT names no database');
    database = Number(text);
  };

  const scan = (chunk: Buffer): void => {
    let index = 0;
    while (index < chunk.length) {
      switch (state) {
        case atStart: {
          const byte = chunk[index];
          from = base + index;
          if (byte === asterisk) {
            words.clear();
            expectNumber(inCount);
          } else if (byte !== lineFeed && byte !== carriageReturn) failAtByte(chunk, index, 'a command');
          // A newline keeps a connection alive; it is a byte of the history all the same.
          else if (!isInTransaction) boundary = from + 1;
          index += 1;
          break;
        }
        case inCount: {
          index = readNumber(chunk, index);
          if (index === -1) return;
          if (value < 1 || value > maxWords) fail(index - 1, `a command of ${value} words`);
          expectedWords = value;
          state = atMark;
          break;
        }
        case atMark: {
          if (chunk[index] !== dollar) failAtByte(chunk, index, 'the length of a word');
          expectNumber(inLength);
          index += 1;
          break;
        }
        case inLength: {
          index = readNumber(chunk, index);
          if (index === -1) return;
          if (value > maxBulkBytes) fail(index - 1, `a word of ${value} bytes`);
          words.begin(value);
          missing = value + 2;
          state = inBody;
          break;
        }
        default:
          index = takeBody(chunk, index);
      }
    }
  };

  const takeBody = (chunk: Buffer, index: number): number => {
    let at = index;
    if (missing > 2) {
      const end = Math.min(chunk.length, at + missing - 2);
      words.body(chunk, at, end);
      missing -= end - at;
      at = end;
    }
    for (; missing > 0 && missing <= 2 && at < chunk.length; at += 1, missing -= 1) {
      if (chunk[at] !== (missing === 2 ? carriageReturn : lineFeed)) failAtByte(chunk, at, 'the end of a word');
    }
    if (missing > 0) return at;
    if (words.count() === expectedWords) finish(base + at);
    else state = atMark;
    return at;
  };

  return {
    push: (chunk) => {
      if (failure !== undefined) throw failure;
      scan(chunk);
      base += chunk.length;
      if (state !== atStart) words.leaveChunk();
    },
    boundary: () => boundary,
    boundaryDatabase: () => boundaryDatabase,
    database: () => database,
    position: () => base,
  };
}
