// How are commands written and reply lines read on a replication connection?
// Only the part of RESP that a replica needs before the payload: commands as arrays, replies as single lines.
// Source: Redis protocol specification; replication.c (receiveSynchronousResponse, syncReadLine) for the keep-alive newlines.
import { ReplicationLinkError } from './replication-problem.ts';

/** Longest reply line that is accepted, without its line end. Redis itself reads at most 1,024 bytes here. */
export const maxLineBytes = 4096;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** One command as a RESP array of bulk strings; lengths are in bytes, so any text is safe. */
export function encodeCommand(parts: readonly string[]): Buffer {
  let text = `*${parts.length}\r\n`;
  for (const part of parts) text += `$${Buffer.byteLength(part)}\r\n${part}\r\n`;
  return Buffer.from(text);
}

/** Cuts received bytes into lines; holds at most one received chunk plus one unfinished line. */
export interface LineReader {
  /** Adds received bytes. */
  push(chunk: Buffer): void;
  /** The next whole line without its line end, or undefined until more bytes arrive. Empty lines are keep-alives and skipped. Throws `protocol_error` on a line over the limit. */
  next(): string | undefined;
  /** Everything received but not read as a line. The reader is empty afterwards. */
  drain(): Buffer;
}

/** An empty line reader. */
export function createLineReader(): LineReader {
  let pending: Buffer = Buffer.alloc(0);

  const next = (): string | undefined => {
    for (;;) {
      const end = pending.indexOf(lineFeed);
      if ((end === -1 ? pending.length : end) > maxLineBytes + 1)
        throw new ReplicationLinkError('protocol_error', `The source sent a line longer than ${maxLineBytes} bytes.`);
      if (end === -1) return undefined;
      const textEnd = end > 0 && pending[end - 1] === carriageReturn ? end - 1 : end;
      // latin1 keeps one character per byte: offsets stay true and foreign bytes cannot fail to decode.
      const line = pending.toString('latin1', 0, textEnd);
      pending = pending.subarray(end + 1);
      if (line !== '') return line;
    }
  };

  return {
    push: (chunk) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    },
    next,
    drain: () => {
      const rest = pending;
      pending = Buffer.alloc(0);
      return rest;
    },
  };
}
