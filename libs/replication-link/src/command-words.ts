// Where are the words of the command that is being read? Places in the received chunk, or copies where a command lies across chunks.
// Nothing is allocated for a command that lies in one chunk.

/** Longest part of a word that is readable. Longer ones are cut off: their full length is known all the same. */
export const readableWordBytes = 4_096;
/** Most words of one command that are readable. */
export const readableWords = 64;

/** The words of one command. */
export interface CommandWords {
  /** Forgets all words. */
  clear(): void;
  /** A word of `bytes` begins; its body follows. */
  begin(bytes: number): void;
  /** `to - from` bytes of the present word's body are in `chunk`. */
  body(chunk: Buffer, from: number, to: number): void;
  /** The chunk goes away: what is still needed of it is copied. */
  leaveChunk(): void;
  count(): number;
  length(index: number): number;
  /** A view on at most the first 4 KiB of a word; valid until the next call of any other method. */
  view(index: number): Buffer;
  /** The first word in upper case, at most 64 characters of it. */
  name(): string;
}

/** No words. */
export function createCommandWords(): CommandWords {
  const lengths = new Float64Array(readableWords);
  // Where the readable part begins, in the chunk or in the copy, and how much of it is there.
  const starts = new Int32Array(readableWords);
  const held = new Int32Array(readableWords);
  const isCopied = new Uint8Array(readableWords);
  const names = createNameCache();
  const nothing = Buffer.alloc(0);
  let chunk: Buffer = nothing;
  let copies: Buffer = nothing;
  let copiedBytes = 0;
  let words = 0;

  const makeRoom = (bytes: number): void => {
    if (copies.length >= copiedBytes + bytes) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(copies.length * 2, copiedBytes + bytes, 1_024));
    copies.copy(grown, 0, 0, copiedBytes);
    copies = grown;
  };
  const copy = (from: number, to: number): void => {
    makeRoom(to - from);
    chunk.copy(copies, copiedBytes, from, to);
    copiedBytes += to - from;
  };
  const sourceOf = (index: number): Buffer => (isCopied[index] === 1 ? copies : chunk);

  return {
    clear: () => {
      words = 0;
      copiedBytes = 0;
    },
    begin: (bytes) => {
      if (words < readableWords) {
        lengths[words] = bytes;
        held[words] = 0;
        isCopied[words] = 0;
        starts[words] = 0;
      }
      words += 1;
    },
    body: (from, start, end) => {
      chunk = from;
      const index = words - 1;
      if (index >= readableWords) return;
      const has = held[index] ?? 0;
      const more = Math.min(end - start, readableWordBytes - has);
      if (isCopied[index] === 1) copy(start, start + more);
      else if (has === 0) starts[index] = start;
      held[index] = has + more;
    },
    leaveChunk: () => {
      for (let index = 0; index < words && index < readableWords; index += 1) {
        if (isCopied[index] === 1) continue;
        const start = starts[index] ?? 0;
        starts[index] = copiedBytes;
        isCopied[index] = 1;
        copy(start, start + (held[index] ?? 0));
      }
      chunk = nothing;
    },
    count: () => words,
    length: (index) => lengths[index] ?? 0,
    view: (index) => {
      const start = starts[index] ?? 0;
      return sourceOf(index).subarray(start, start + (held[index] ?? 0));
    },
    name: () => names.nameOf(sourceOf(0), starts[0] ?? 0, Math.min(held[0] ?? 0, longestName)),
  };
}

const longestName = 64;
const nameSlots = 256;

interface KnownName {
  readonly bytes: Buffer;
  readonly name: string;
}

// The same few names come again and again: a string is made for the first of them only. One name to a slot, the last one wins.
function createNameCache(): { nameOf(source: Buffer, from: number, length: number): string } {
  const slots = Array.from<KnownName | undefined>({ length: nameSlots });
  return {
    nameOf: (source, from, length) => {
      let hash = length;
      for (let index = from; index < from + length; index += 1) hash = (Math.imul(hash, 31) + (source[index] ?? 0)) | 0;
      const slot = hash & (nameSlots - 1);
      const known = slots[slot];
      if (known !== undefined && isEqual(known.bytes, source, from, length)) return known.name;
      const bytes = Buffer.from(source.subarray(from, from + length));
      const name = bytes.toString('latin1').toUpperCase();
      slots[slot] = { bytes, name };
      return name;
    },
  };
}

function isEqual(bytes: Buffer, source: Buffer, from: number, length: number): boolean {
  if (bytes.length !== length) return false;
  for (let index = 0; index < length; index += 1) if (bytes[index] !== source[from + index]) return false;
  return true;
}
