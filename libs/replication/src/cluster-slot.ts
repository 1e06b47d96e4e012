// In which of the 16,384 slots of a Redis Cluster is a key? CRC16 (XMODEM) of what stands between the first braces, or of the
// whole key. https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model

/** Slots of every Redis Cluster. */
export const clusterSlots = 16_384;

/** Both ends belong to it. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
}

const bytesOf = (text: string): readonly number[] => {
  const bytes: number[] = [];
  for (const symbol of text) {
    const code = symbol.codePointAt(0) ?? 0;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x8_00) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    else if (code < 0x1_00_00) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    }
  }
  return bytes;
};

const crc16 = (text: string): number => {
  let crc = 0;
  for (const byte of bytesOf(text)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x80_00 ? ((crc << 1) ^ 0x10_21) & 0xff_ff : (crc << 1) & 0xff_ff;
  }
  return crc;
};

/** The slot of a key (as UTF-8), 0 to 16383. */
export const slotOfKey = (key: string): number => {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  const tag = close > open + 1 ? key.slice(open + 1, close) : key;
  return crc16(tag) % clusterSlots;
};

/** Whether one of the ranges has the slot. */
export const hasSlot = (ranges: readonly SlotRange[], slot: number): boolean =>
  ranges.some(({ from, to }) => slot >= from && slot <= to);

/** How many slots the ranges have. */
export const countSlots = (ranges: readonly SlotRange[]): number =>
  ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);

/** `0-5460,7000`: for people. */
export const slotText = (ranges: readonly SlotRange[]): string =>
  ranges.map(({ from, to }) => (from === to ? String(from) : `${String(from)}-${String(to)}`)).join(',');

/** More tags than this are not tried: with so many a shard of 100 slots is hit. */
const mostTags = 20_000;

/** A key with a hash tag whose slot is in the ranges; null when none was found, which takes a shard of very few slots. */
export const keyInSlots = (ranges: readonly SlotRange[], name: string): string | null => {
  for (let n = 0; n < mostTags; n += 1) {
    const key = `{${name}:${String(n)}}`;
    if (hasSlot(ranges, slotOfKey(key))) return key;
  }
  return null;
};
