// Which bytes may stand where in HTTP/1.1? Tables of RFC 9110 5.6.2 (tokens) and 5.5 (field values); one look-up a byte.

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COLON = 0x3a;

const table = (allowed: (byte: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => (allowed(byte) ? 1 : 0));

const tokenCharacters = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** tchar: methods and field names. */
export const isToken = table((byte) => tokenCharacters.includes(String.fromCharCode(byte)));
/** field-content with its inner white space: HTAB, SP, VCHAR, obs-text. No NUL, no CR, no LF, no DEL. */
export const isValue = table((byte) => byte === TAB || (byte >= SPACE && byte !== 0x7f));
/** What a request-target is made of: VCHAR only. Whatever else is needed has to be percent-encoded (RFC 3986). */
export const isTarget = table((byte) => byte > SPACE && byte < 0x7f);

/** Value of a hexadecimal digit, 255 for every other byte. */
export const hexValue = Uint8Array.from({ length: 256 }, (_, byte) => {
  const digit = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(digit) ? 255 : digit;
});

/** True when `bytes` from `start` to `end` spell `lower`, a text in lower case of the same length, in any case. */
export function spells(bytes: Uint8Array, start: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i += 1) {
    const byte = bytes[start + i] as number;
    const small = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (small !== lower.charCodeAt(i)) return false;
  }
  return true;
}

/** True when `HTTP/1.` stands at `start`, in upper case as it has to be (RFC 9112 2.3). */
export function isHttp1(bytes: Uint8Array, start: number): boolean {
  return (
    bytes[start] === 0x48 &&
    bytes[start + 1] === 0x54 &&
    bytes[start + 2] === 0x54 &&
    bytes[start + 3] === 0x50 &&
    bytes[start + 4] === 0x2f &&
    bytes[start + 5] === 0x31 &&
    bytes[start + 6] === 0x2e
  );
}
