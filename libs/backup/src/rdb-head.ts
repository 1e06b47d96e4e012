// What does a data set (RDB) say about itself before its first key? Its format and the fields that its server wrote at the beginning.
// Format: redis src/rdb.c, rdbSaveInfoAuxFields; strings are length-prefixed, or integers of 1, 2 or 4 bytes.

/** The beginning of a data set. */
export interface RdbHead {
  /** 10 for Redis 7.0. */
  readonly format: number;
  /** Memory that the source used, bytes; undefined when it did not say. */
  readonly usedMemoryBytes: number | undefined;
  /** All fields, by name. */
  readonly fields: Readonly<Record<string, string>>;
}

/** So many bytes are enough for every field that a server writes by itself. */
export const rdbHeadBytes = 4096;

const auxOpcode = 0xfa;
const mostFields = 64;

/** The head in the first bytes of a data set; undefined when they are none. A head that is cut off gives the fields before the cut. */
export function readRdbHead(bytes: Uint8Array): RdbHead | undefined {
  const magic = /^(?:REDIS(\d{4})|VALKEY(\d{3}))/.exec(text(bytes, 0, 9));
  if (magic === null) return undefined;
  const fields: Record<string, string> = {};
  let at = 9;
  for (let count = 0; count < mostFields && bytes[at] === auxOpcode; count += 1) {
    const name = readString(bytes, at + 1);
    const value = name === undefined ? undefined : readString(bytes, name.end);
    if (name === undefined || value === undefined) break;
    fields[name.text] = value.text;
    at = value.end;
  }
  const used = Number(fields['used-mem']);
  const usedMemoryBytes = Number.isSafeInteger(used) && used > 0 ? used : undefined;
  return { format: Number(magic[1] ?? magic[2]), usedMemoryBytes, fields };
}

function readString(bytes: Uint8Array, at: number): { readonly text: string; readonly end: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  const kind = first >> 6;
  if (kind === 3) return readInteger(bytes, at + 1, first & 0x3f);
  const second = bytes[at + 1] ?? 0;
  const [length, start] = kind === 0 ? [first, at + 1] : [((first & 0x3f) << 8) | second, at + 2];
  if (kind === 2 || start + length > bytes.length) return undefined;
  return { text: text(bytes, start, start + length), end: start + length };
}

// Integers are little-endian and signed; a source with more than 2 GB writes its memory as text.
function readInteger(
  bytes: Uint8Array,
  at: number,
  encoding: number,
): { readonly text: string; readonly end: number } | undefined {
  const size = [1, 2, 4][encoding];
  if (size === undefined || at + size > bytes.length) return undefined;
  let value = 0;
  for (let place = size - 1; place >= 0; place -= 1) value = value * 256 + (bytes[at + place] ?? 0);
  const limit = 2 ** (size * 8);
  return { text: String(value >= limit / 2 ? value - limit : value), end: at + size };
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}
