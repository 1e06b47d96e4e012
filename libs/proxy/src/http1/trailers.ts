// Which trailer fields may go further? A recipient may merge them into the head (RFC 9110 6.5.1), so none that says how to read,
// route or judge the message, who the client is, or who sent it: neither spelled as it is nor with "_" for "-".
import { Field, fieldKind } from './field-kind.ts';

const neverTrailers: ReadonlySet<string> = new Set([
  'accept-encoding',
  'age',
  'authorization',
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'cookie',
  'expires',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'location',
  'max-forwards',
  'pragma',
  'range',
  'retry-after',
  'set-cookie',
  'vary',
  'warning',
  'www-authenticate',
]);

/** True when a trailer of this name may go on. What means something to us in a head means nothing behind a body. */
export function mayBeTrailer(name: string): boolean {
  const bytes = Buffer.from(name, 'latin1');
  return (
    fieldKind(bytes, 0, bytes.length) === Field.other && !neverTrailers.has(name.toLowerCase().replaceAll('_', '-'))
  );
}
