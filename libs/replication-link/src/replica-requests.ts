// What does a replica ask of its source? Reads its commands, with bounds on everything a stranger can send.
// Source: Redis protocol specification; networking.c (processMultibulkBuffer, processInlineBuffer).
import { ReplicationLinkError } from './replication-problem.ts';

/** Most bytes of one command, and of one that has not fully arrived. A replica needs at most a few hundred, and a password. */
export const maxRequestBytes = 8 * 1024;
const maxRequestWords = 16;
const lineFeed = 0x0a;
const asterisk = 0x2a;

/** Cuts received bytes into commands. */
export interface RequestReader {
  /** Adds received bytes. */
  push(chunk: Buffer): void;
  /** The words of the next whole command, or undefined until more bytes arrive. Empty lines are keep-alives and skipped. Throws `protocol_error`. */
  next(): readonly string[] | undefined;
  /** Bytes that wait for the rest of their command. */
  heldBytes(): number;
}

/** An empty request reader. */
export function createRequestReader(): RequestReader {
  let pending: Buffer = Buffer.alloc(0);

  const next = (): readonly string[] | undefined => {
    let from = 0;
    while (from < pending.length && isLineEnd(pending[from])) from += 1;
    pending = pending.subarray(from);
    if (pending.length === 0) return undefined;
    const found = pending[0] === asterisk ? arrayOf(pending) : inlineOf(pending);
    if (found === undefined) {
      if (pending.length > maxRequestBytes) throw tooLong();
      return undefined;
    }
    if (found.bytes > maxRequestBytes) throw tooLong();
    pending = pending.subarray(found.bytes);
    return found.words;
  };

  return {
    push: (chunk) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    },
    next,
    heldBytes: () => pending.length,
  };
}

interface Found {
  readonly words: readonly string[];
  readonly bytes: number;
}

function arrayOf(bytes: Buffer): Found | undefined {
  const header = lineAt(bytes, 0);
  if (header === undefined) return undefined;
  const count = numberOf(header.text, '*', maxRequestWords);
  const words: string[] = [];
  let at = header.end;
  while (words.length < count) {
    const length = lineAt(bytes, at);
    if (length === undefined) return undefined;
    const size = numberOf(length.text, '$', maxRequestBytes);
    at = length.end + size + 2;
    if (at > bytes.length) return undefined;
    words.push(bytes.toString('utf8', length.end, length.end + size));
  }
  return { words, bytes: at };
}

function inlineOf(bytes: Buffer): Found | undefined {
  const line = lineAt(bytes, 0);
  if (line === undefined) return undefined;
  const words = line.text.split(/\s+/).filter((word) => word !== '');
  if (words.length > maxRequestWords) throw tooLong();
  return { words, bytes: line.end };
}

function lineAt(bytes: Buffer, from: number): { readonly text: string; readonly end: number } | undefined {
  const end = bytes.indexOf(lineFeed, from);
  if (end === -1) return undefined;
  if (end - from > maxRequestBytes) throw tooLong();
  return { text: bytes.toString('latin1', from, end).replace(/\r$/, ''), end: end + 1 };
}

function numberOf(text: string, mark: string, limit: number): number {
  const value = text.startsWith(mark) && /^\d{1,9}$/.test(text.slice(1)) ? Number(text.slice(1)) : Number.NaN;
  if (Number.isNaN(value)) throw new ReplicationLinkError('protocol_error', `A length is missing after "${mark}".`);
  if (value > limit) throw tooLong();
  return value;
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === lineFeed || byte === 0x0d;
}

function tooLong(): ReplicationLinkError {
  return new ReplicationLinkError(
    'protocol_error',
    `A command is longer than ${maxRequestBytes} bytes or ${maxRequestWords} words.`,
  );
}
