// What does a server answer? RESP2 replies out of received bytes, with strings as bytes: names and values of keys may be anything.
// Source: Redis protocol specification, RESP2.
import type { ScratchReply } from '../restore/materialise.ts';

/** An error reply. */
export class ErrorReply extends Error {
  override readonly name = 'ErrorReply';
}

/** Cuts received bytes into whole replies. */
export interface ReplyReader {
  /** Adds received bytes. */
  push(chunk: Buffer): void;
  /** The next whole reply; undefined until more bytes arrive. Throws when one is longer than the limit or is no RESP2. */
  next(): ScratchReply | ErrorReply | undefined;
}

const firstRoomBytes = 64 * 1024;
const longestLine = 64 * 1024;
const simple = 0x2b;
const failure = 0x2d;
const integer = 0x3a;
const bulk = 0x24;
const array = 0x2a;
const lineFeed = 0x0a;

/** A reader that holds at most one unfinished reply and one chunk; a reply may have `longestBytes`. */
export function createReplyReader(longestBytes: number): ReplyReader {
  let room = Buffer.allocUnsafe(firstRoomBytes);
  let [start, end] = [0, 0];
  /** Where the next element begins, and how many are missing of the reply that begins at `start`. */
  let [at, missing] = [0, 1];

  const push = (chunk: Buffer): void => {
    if (end + chunk.length > room.length) {
      const held = end - start;
      const needed = held + chunk.length;
      const target = needed > room.length ? Buffer.allocUnsafe(Math.max(needed, 2 * room.length)) : room;
      room.copy(target, 0, start, end);
      room = target;
      [start, at, end] = [0, at - start, held];
    }
    chunk.copy(room, end);
    end += chunk.length;
  };

  const next = (): ScratchReply | ErrorReply | undefined => {
    while (missing > 0) {
      const line = at < end ? lineAt(room, at, end) : undefined;
      if (line === undefined) {
        check(end - start);
        return undefined;
      }
      const kind = room[at];
      missing -= 1;
      at = line.next;
      if (kind === array) missing += Math.max(0, line.number);
      else if (kind === bulk && line.number >= 0) at += line.number + 2;
      check(at - start);
    }
    if (at > end) return undefined;
    // A copy: the room is written again by the next chunk.
    const reply = read(Buffer.from(room.subarray(start, at)), 0).reply;
    [start, missing] = [at, 1];
    if (start === end) {
      [start, at, end] = [0, 0, 0];
      if (room.length > largestIdleRoom) room = Buffer.allocUnsafe(firstRoomBytes);
    }
    return reply;
  };
  const check = (bytes: number): void => {
    if (bytes > longestBytes) throw new Error(`an answer is longer than ${longestBytes} bytes`);
  };
  return { push, next };
}

/** A larger one is given back once it is empty. */
const largestIdleRoom = 1024 * 1024;

function read(bytes: Buffer, at: number): { readonly reply: ScratchReply | ErrorReply; readonly next: number } {
  const kind = bytes[at];
  const { number, next } = lineAt(bytes, at, bytes.length) as Line;
  if (kind === bulk)
    return number < 0 ? { reply: null, next } : { reply: bytes.subarray(next, next + number), next: next + number + 2 };
  if (kind === array) {
    if (number < 0) return { reply: null, next };
    const found: ScratchReply[] = [];
    let from = next;
    for (let index = 0; index < number; index += 1) {
      const element = read(bytes, from);
      if (element.reply instanceof ErrorReply) return { reply: element.reply, next: element.next };
      found.push(element.reply);
      from = element.next;
    }
    return { reply: found, next: from };
  }
  if (kind === integer) return { reply: Number(bytes.toString('latin1', at + 1, next - 2)), next };
  if (kind === failure) return { reply: new ErrorReply(bytes.toString('utf8', at + 1, next - 2)), next };
  return { reply: bytes.subarray(at + 1, next - 2), next };
}

interface Line {
  /** Of an array or a bulk string. */
  readonly number: number;
  /** Where the next line begins. */
  readonly next: number;
}

function lineAt(bytes: Buffer, at: number, end: number): Line | undefined {
  const kind = bytes[at];
  if (kind === array || kind === bulk) return sizeLineAt(bytes, at, end);
  if (kind !== simple && kind !== integer && kind !== failure)
    throw new Error('an answer is not in the Redis protocol');
  const feed = bytes.indexOf(lineFeed, at);
  if (feed !== -1 && feed < end) return { number: 0, next: feed + 1 };
  if (end - at > longestLine) throw new Error('an answer has a line without an end');
  return undefined;
}

function sizeLineAt(bytes: Buffer, at: number, end: number): Line | undefined {
  let number = 0;
  for (let index = at + 1; index < end; index += 1) {
    const byte = bytes[index] as number;
    if (byte === 0x0d) return index + 1 < end ? { number, next: index + 2 } : undefined;
    if (byte === 0x2d && index === at + 1) number = -1;
    else if (byte < 0x30 || byte > 0x39 || index - at > 16) throw new Error('an answer is not in the Redis protocol');
    else if (number >= 0) number = number * 10 + (byte - 0x30);
  }
  return undefined;
}
