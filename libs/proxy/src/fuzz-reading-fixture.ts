// What does a strict client read? RFC 9112 6.3 on strings, written apart from the engine's framer so that they do not share mistakes.
// Reads both what an origin has said and what came out of the engine. Used by tests and by tools/chaos/fuzz-proxy.mjs.

/** An answer that is complete. */
export interface StrictAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  /** offset behind it */
  readonly end: number;
}

const field = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
const chunkSize =
  /^([0-9A-Fa-f]{1,13})(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)*$/;

/** The answer to a request with this method at `start`. `closed`: nothing more comes, and the end came in good order. */
export function readStrictAnswer(
  text: string,
  start: number,
  { method, closed }: { readonly method: string; readonly closed: boolean },
): StrictAnswer | 'incomplete' | 'fault' {
  let at = start;
  for (;;) {
    const headEnd = text.indexOf('\r\n\r\n', at);
    if (headEnd < 0) return 'incomplete';
    const [line = '', ...lines] = text.slice(at, headEnd).split('\r\n');
    const status = Number(/^HTTP\/1\.[01] ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(line)?.[1] ?? 0);
    if (status === 0) return 'fault';
    const fields = lines.map((each) => field.exec(each));
    if (fields.includes(null)) return 'fault';
    const valuesOf = (name: string): string[] =>
      fields.flatMap((each) => (each?.[1]?.toLowerCase() === name ? [(each[2] ?? '').replace(/[ \t]+$/, '')] : []));
    at = headEnd + 4;
    const [lengths, encodings] = [valuesOf('content-length'), valuesOf('transfer-encoding')];
    if (lengths.length + encodings.length > 1) return 'fault';
    if (lengths.some((value) => !/^\d{1,15}$/.test(value))) return 'fault';
    if (encodings.some((value) => value.toLowerCase() !== 'chunked')) return 'fault';
    if (status < 200 && status !== 101) continue;
    const head = text.slice(start, at);
    if (method === 'HEAD' || status < 200 || status === 204 || status === 304)
      return { status, head, body: '', end: at };
    if (encodings.length > 0) {
      const body = readChunks(text, at);
      return typeof body === 'string' ? body : { status, head, ...body };
    }
    if (lengths.length > 0) {
      const end = at + Number(lengths[0]);
      return end > text.length ? 'incomplete' : { status, head, body: text.slice(at, end), end };
    }
    return closed ? { status, head, body: text.slice(at), end: text.length } : 'incomplete';
  }
}

function readChunks(
  text: string,
  start: number,
): { readonly body: string; readonly end: number } | 'incomplete' | 'fault' {
  let body = '';
  let at = start;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return 'incomplete';
    const size = chunkSize.exec(text.slice(at, lineEnd))?.[1];
    if (size === undefined) return 'fault';
    const length = Number.parseInt(size, 16);
    at = lineEnd + 2;
    if (length === 0) break;
    if (at + length + 2 > text.length) return 'incomplete';
    body += text.slice(at, at + length);
    at += length;
    if (!text.startsWith('\r\n', at)) return 'fault';
    at += 2;
  }
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return 'incomplete';
    const line = text.slice(at, lineEnd);
    at = lineEnd + 2;
    if (line === '') return { body, end: at };
    if (!field.test(line)) return 'fault';
  }
}
