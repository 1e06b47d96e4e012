// Where does the data set (RDB) begin and end inside a replication connection?
// Two framings: `$<length>` when the source saved to its disk first, `$EOF:<40 bytes>` when it streams from memory and ends
// with the same 40 bytes. Source: replication.c (readSyncBulkPayload). No I/O; memory is one chunk plus 39 bytes.
import { printable, problemOfErrorLine, ReplicationLinkError } from './replication-problem.ts';
import { createLineReader } from './resp.ts';

const markBytes = 40;

/** Bytes of the data set found in one received chunk. `rest` is present exactly once, when the data set is complete: what follows it. */
export interface PayloadPart {
  readonly data: Buffer;
  readonly rest?: Buffer;
}

/** Separates a data set from what surrounds it, whatever the chunks are. */
export interface PayloadReader {
  /** Whether the header has arrived. */
  hasBegun(): boolean;
  /** Length of the data set when the source announced it; undefined before the header and for streamed data sets. */
  totalBytes(): number | undefined;
  /** Takes received bytes. Throws `snapshot_failed` when the source gives up and `protocol_error` on a bad header. Not to be called after `rest`. */
  push(chunk: Buffer): PayloadPart;
}

type Framing = { readonly totalBytes: number } | { readonly mark: Buffer };

/** A reader that expects the payload's header first (after any keep-alive newlines). */
export function createPayloadReader(): PayloadReader {
  const header = createLineReader();
  let framing: Framing | undefined;
  let takenBytes = 0;
  let held: Buffer = Buffer.alloc(0);

  const takeCounted = (chunk: Buffer, totalBytes: number): PayloadPart => {
    const data = chunk.subarray(0, totalBytes - takenBytes);
    takenBytes += data.length;
    return takenBytes < totalBytes ? { data } : { data, rest: chunk.subarray(data.length) };
  };

  const takeMarked = (chunk: Buffer, mark: Buffer): PayloadPart => {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const end = bytes.indexOf(mark);
    if (end !== -1) return { data: bytes.subarray(0, end), rest: bytes.subarray(end + markBytes) };
    // The last 39 bytes may be the first part of the mark: they wait for the next chunk. Copied, so that a large chunk can go.
    const sure = Math.max(0, bytes.length - (markBytes - 1));
    held = Buffer.from(bytes.subarray(sure));
    return { data: bytes.subarray(0, sure) };
  };

  return {
    hasBegun: () => framing !== undefined,
    totalBytes: () => (framing !== undefined && 'totalBytes' in framing ? framing.totalBytes : undefined),
    push: (chunk) => {
      let bytes = chunk;
      if (framing === undefined) {
        header.push(chunk);
        const line = header.next();
        if (line === undefined) return { data: Buffer.alloc(0) };
        framing = framingOf(line);
        bytes = header.drain();
      }
      return 'mark' in framing ? takeMarked(bytes, framing.mark) : takeCounted(bytes, framing.totalBytes);
    },
  };
}

function framingOf(line: string): Framing {
  if (line.startsWith('-'))
    throw new ReplicationLinkError(
      problemOfErrorLine(line, 'snapshot_failed'),
      `The source could not produce its data set: ${printable(line)}`,
    );
  if (/^\$EOF:.{40}$/s.test(line)) return { mark: Buffer.from(line.slice(5), 'latin1') };
  const totalBytes = /^\$\d{1,16}$/.test(line) ? Number(line.slice(1)) : Number.NaN;
  if (Number.isSafeInteger(totalBytes)) return { totalBytes };
  throw new ReplicationLinkError('protocol_error', `The source announced its data set with: ${printable(line)}`);
}
