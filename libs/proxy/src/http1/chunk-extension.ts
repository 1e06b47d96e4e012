// Is this an extension of a chunk? RFC 9112 7.1.1, `;name`, `;name=token` or `;name="text"`, and not a byte of white space more.
// Nobody uses them; but an instance that refuses one that we let pass would be blamed for it, and one that reads it otherwise
// would see another chunk (CVE-2025-55315).
import { CR, isToken, isValue } from './bytes.ts';

/** How far an extension has come; `over` at the CR that ends the line. */
export const Extension = Object.freeze({
  start: 0,
  name: 1,
  valueStart: 2,
  value: 3,
  quoted: 4,
  escaped: 5,
  closed: 6,
  over: 7,
  fault: 8,
});

const [SEMICOLON, EQUALS, QUOTE, BACKSLASH] = [0x3b, 0x3d, 0x22, 0x5c];

/** The state after one more byte. Begins with `start`, behind the semicolon. */
export function afterExtensionByte(state: number, byte: number): number {
  if (state === Extension.escaped) return isValue[byte] === 1 ? Extension.quoted : Extension.fault;
  if (state === Extension.quoted) {
    if (byte === QUOTE) return Extension.closed;
    if (byte === BACKSLASH) return Extension.escaped;
    return isValue[byte] === 1 ? Extension.quoted : Extension.fault;
  }
  if (isToken[byte] === 1) {
    if (state === Extension.start || state === Extension.name) return Extension.name;
    return state === Extension.closed ? Extension.fault : Extension.value;
  }
  if (state === Extension.valueStart) return byte === QUOTE ? Extension.quoted : Extension.fault;
  if (state === Extension.start) return Extension.fault;
  if (byte === EQUALS && state === Extension.name) return Extension.valueStart;
  if (byte === SEMICOLON) return Extension.start;
  return byte === CR ? Extension.over : Extension.fault;
}
