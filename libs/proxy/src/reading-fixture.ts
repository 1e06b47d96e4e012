// How do servers read bytes as requests? Strictly by RFC 9112, and loosely in each of the ways in which servers have been found
// to do it (HTTP Garden TROPHIES, PortSwigger's desync papers, smuggler.py). What a proxy forwards has to mean the same to all of
// them. Written apart from the engine's framer, on strings, so that the two do not share their mistakes. Used by tests only.

/** A complete request, as one reader sees it. */
export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  /** Without its framing. */
  readonly body: string;
  /** Names as they were spelled. */
  readonly fields: readonly (readonly [string, string])[];
}

/** What one reader makes of a connection. */
export interface ReadConnection {
  /** Those that are complete. */
  readonly requests: readonly ReadRequest[];
  /** What is left behind them: the beginning of another one. */
  readonly rest: string;
  /** Why reading ended. */
  readonly fault: string | undefined;
}

/** How a reader differs from RFC 9112. */
export interface Reading {
  /** Where a line ends: at CRLF, at LF with or without CR, at CR or LF. */
  readonly lines: 'crlf' | 'lf' | 'any';
  /** Exact, or without white space, control characters and the difference between `_` and `-`. */
  readonly names: 'exact' | 'cleaned';
  /** Which field says where a body ends, when more than one tries to. */
  readonly framing: 'strict' | 'first-length' | 'last-length' | 'anything-chunked';
  /** All of the size of a chunk, or as much of its text as is a number. */
  readonly sizes: 'exact' | 'prefix';
}

/** RFC 9112, nothing else. */
export const strictReading: Reading = { lines: 'crlf', names: 'exact', framing: 'strict', sizes: 'exact' };

/** Loose readers by name. */
export const looseReadings: Readonly<Record<string, Reading>> = {
  'ends lines at LF': { lines: 'lf', names: 'exact', framing: 'anything-chunked', sizes: 'prefix' },
  'ends lines at CR or LF': { lines: 'any', names: 'cleaned', framing: 'anything-chunked', sizes: 'prefix' },
  'cleans names and values': { lines: 'lf', names: 'cleaned', framing: 'anything-chunked', sizes: 'prefix' },
  'believes the first length': { lines: 'lf', names: 'cleaned', framing: 'first-length', sizes: 'prefix' },
  'believes the last length': { lines: 'lf', names: 'cleaned', framing: 'last-length', sizes: 'prefix' },
};

/** Reads as many requests as are complete. */
export function readRequests(text: string, reading: Reading): ReadConnection {
  const requests: ReadRequest[] = [];
  let at = 0;
  for (;;) {
    at = behindEmptyLines(text, at, reading);
    if (at >= text.length) return { requests, rest: '', fault: undefined };
    const read = readRequest(text, at, reading);
    if (read === undefined || 'fault' in read) return { requests, rest: text.slice(at), fault: read?.fault };
    requests.push(read.request);
    at = read.end;
  }
}

interface Fault {
  readonly fault: string;
}

function behindEmptyLines(text: string, start: number, { lines }: Reading): number {
  let at = start;
  if (lines === 'crlf') return text.startsWith('\r\n', at) ? at + 2 : at;
  while (text[at] === '\r' || text[at] === '\n') at += 1;
  return at;
}

/** The line from `at` on and where the next one begins; undefined while its end has not come. */
function lineAt(
  text: string,
  at: number,
  { lines }: Reading,
): { readonly line: string; readonly next: number } | Fault | undefined {
  if (lines === 'any') {
    const match = /\r\n|\r|\n/g;
    match.lastIndex = at;
    const found = match.exec(text);
    return found === null ? undefined : { line: text.slice(at, found.index), next: match.lastIndex };
  }
  const end = text.indexOf(lines === 'crlf' ? '\r\n' : '\n', at);
  if (end < 0) return undefined;
  if (lines === 'lf')
    return { line: text.slice(at, text[end - 1] === '\r' && end > at ? end - 1 : end), next: end + 1 };
  const line = text.slice(at, end);
  return /[\r\n]/.test(line) ? { fault: 'a bare CR or LF' } : { line, next: end + 2 };
}

function readRequest(
  text: string,
  start: number,
  reading: Reading,
): { readonly request: ReadRequest; readonly end: number } | Fault | undefined {
  const first = lineAt(text, start, reading);
  if (first === undefined || 'fault' in first) return first;
  const strict = reading.lines === 'crlf';
  const [method = '', target = '', version = '', ...more] = first.line.split(strict ? ' ' : /\s+/);
  if (strict && (!/^HTTP\/1\.[01]$/.test(version) || more.length > 0 || !/^[A-Z-]+$/.test(method)))
    return { fault: 'the request line' };
  const head = readFields(text, first.next, reading);
  if (head === undefined || 'fault' in head) return head;
  const { fields } = head;
  const framing = framingOf(fields, reading);
  if (typeof framing === 'object') return framing;
  if (framing === 'chunked') {
    const body = readChunks(text, head.end, reading);
    return body === undefined || 'fault' in body
      ? body
      : { request: { method, target, body: body.content, fields }, end: body.end };
  }
  const end = head.end + framing;
  return end > text.length ? undefined : { request: { method, target, body: text.slice(head.end, end), fields }, end };
}

function readFields(
  text: string,
  start: number,
  reading: Reading,
): { readonly fields: [string, string][]; readonly end: number } | Fault | undefined {
  const fields: [string, string][] = [];
  let at = start;
  for (;;) {
    const read = lineAt(text, at, reading);
    if (read === undefined || 'fault' in read) return read;
    at = read.next;
    const { line } = read;
    if (line === '') return { fields, end: at };
    if (reading.lines === 'crlf') {
      const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
      if (match === null) return { fault: `the field ${JSON.stringify(line)}` };
      fields.push([match[1] as string, match[2] as string]);
    } else if (/^[ \t]/.test(line) && fields.length > 0) (fields.at(-1) as [string, string])[1] += ` ${line.trim()}`;
    else {
      // loose readers have been found that need no colon (Mongoose)
      const [name = '', ...rest] = line.split(/(?=:)|(?<=^\S+) /);
      fields.push([name, rest.join('').replace(/^:/, '').trim()]);
    }
  }
}

/** Bytes of the body, or 'chunked'. */
function framingOf(
  fields: readonly (readonly [string, string])[],
  { names, framing }: Reading,
): number | 'chunked' | Fault {
  const clean = (name: string): string =>
    names === 'exact'
      ? name.toLowerCase()
      : name
          .toLowerCase()
          .replaceAll('_', '-')
          .replace(/[^a-z-]/g, '');
  const valuesOf = (name: string): string[] =>
    fields.filter(([each]) => clean(each) === name).map(([, value]) => value);
  const lengths = valuesOf('content-length');
  const encodings = valuesOf('transfer-encoding');
  if (framing === 'strict') {
    if (lengths.length + encodings.length > 1) return { fault: 'more than one framing' };
    if (lengths.some((value) => !/^\d{1,15}$/.test(value))) return { fault: 'the length' };
    if (encodings.some((value) => value.toLowerCase() !== 'chunked')) return { fault: 'the encoding' };
    return encodings.length > 0 ? 'chunked' : Number(lengths[0] ?? 0);
  }
  const numbers = lengths.map((value) => Number.parseInt(value.replace(/[^0-9]*/, ''), 10) || 0);
  const length = framing === 'last-length' ? numbers.at(-1) : numbers[0];
  if (framing !== 'anything-chunked' && length !== undefined) return length;
  return encodings.some((value) => /chunk/i.test(value)) ? 'chunked' : (length ?? 0);
}

/** A size, and extensions as RFC 9112 7.1.1 spells them. */
const exactSize =
  /^([0-9A-Fa-f]{1,13})(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)*$/;

function readChunks(
  text: string,
  start: number,
  reading: Reading,
): { readonly content: string; readonly end: number } | Fault | undefined {
  let content = '';
  let at = start;
  for (;;) {
    const read = lineAt(text, at, reading);
    if (read === undefined || 'fault' in read) return read;
    const size = (reading.sizes === 'exact' ? exactSize : /^[\s+-]*(?:0x)?([0-9A-Fa-f]+)/i).exec(read.line);
    if (size === null) return { fault: `the size of a chunk: ${JSON.stringify(read.line)}` };
    const length = Number.parseInt(size[1] as string, 16);
    at = read.next;
    if (length === 0) {
      const trailer = readFields(text, at, reading);
      return trailer === undefined || 'fault' in trailer ? trailer : { content, end: trailer.end };
    }
    if (at + length > text.length) return undefined;
    content += text.slice(at, at + length);
    at += length;
    const behind = lineAt(text, at, reading);
    if (behind === undefined || 'fault' in behind) return behind;
    if (reading.lines === 'crlf' && behind.line !== '') return { fault: 'the end of a chunk' };
    // a loose reader drops what stands between the data and the line's end
    at = behind.next;
  }
}

/** A complete answer, as a strict client sees it. */
export interface ReadAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Reads answers to requests with these methods, in order. `closed`: the connection ended in good order. */
export function readAnswers(
  text: string,
  methods: readonly string[],
  closed: boolean,
): { readonly answers: readonly ReadAnswer[]; readonly rest: string } {
  const answers: ReadAnswer[] = [];
  let at = 0;
  while (at < text.length) {
    const headEnd = text.indexOf('\r\n\r\n', at);
    if (headEnd < 0) break;
    const head = text.slice(at, headEnd + 2);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? 0);
    if (status === 0) break;
    at = headEnd + 4;
    if (status < 200 && status !== 101) continue;
    const bodiless = status === 204 || status === 304 || methods[answers.length] === 'HEAD';
    const length = /^content-length: (\d+)\r$/im.exec(head)?.[1];
    if (bodiless) answers.push({ status, head, body: '' });
    else if (/^transfer-encoding: chunked\r$/im.test(head)) {
      const body = readChunks(text, at, strictReading);
      if (body === undefined || 'fault' in body) return { answers, rest: text.slice(at - head.length) };
      answers.push({ status, head, body: body.content });
      at = body.end;
    } else if (length !== undefined) {
      const end = at + Number(length);
      if (end > text.length) return { answers, rest: text.slice(at - head.length) };
      answers.push({ status, head, body: text.slice(at, end) });
      at = end;
    } else {
      if (!closed) return { answers, rest: text.slice(at - head.length) };
      answers.push({ status, head, body: text.slice(at) });
      at = text.length;
    }
  }
  return { answers, rest: text.slice(at) };
}
