// What do mutated messages look like? Requests and answers that are right, then bent: bits turned, bytes and lines put in, taken out
// and doubled, line ends changed, cut anywhere. Each is made from a seed and its number alone, so one can be looked at by itself.
// Used by tests and by tools/chaos/fuzz-proxy.mjs.

/** A source of numbers that repeats. */
export interface Dice {
  /** A whole number from 0 to `count` - 1. */
  below(count: number): number;
  /** True so many times in a hundred. */
  chance(percent: number): boolean;
  of<T>(list: readonly [T, ...T[]]): T;
}

/** mulberry32 (Tommy Ettinger, public domain) over a mix of the numbers. */
export function diceOf(...numbers: readonly number[]): Dice {
  let state = mixOf(numbers);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (count: number): number => Math.floor(next() * count);
  return { below, chance: (percent) => next() * 100 < percent, of: (list) => list[below(list.length)] ?? list[0] };
}

function mixOf(numbers: readonly number[]): number {
  let mixed = 0x811c9dc5;
  for (const number of numbers) {
    mixed = Math.imul(mixed ^ number, 0x01000193);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) ^ (mixed >>> 13);
  }
  return mixed;
}

/** What one client does on one connection. */
export interface ClientScript {
  /** latin1; sent one after the other */
  readonly pieces: readonly string[];
  /** A turn of the event loop lies between the pieces. */
  readonly slow: boolean;
  /** How it goes on when everything was sent: listens, ends its side, leaves at once, or resets. */
  readonly after: 'listen' | 'half-close' | 'leave' | 'reset';
  /** It waits for an end even when what it said is incomplete. */
  readonly patient: boolean;
  /** 0: everything it says is right. */
  readonly mutations: number;
}

/** A text in an answer that says for which request it was said, and under which circumstances. */
export interface Mark {
  readonly input: number;
  readonly index: number;
  /** b: a right answer on a connection on which only right ones were said. h: any other. */
  readonly flag: 'b' | 'h';
}

/** The mark as text; it has a sum, so that a bent one is none. */
export const markText = ({ input, index, flag }: Mark): string =>
  `<${input}.${index}.${flag}.${sumOf(input, index, flag)}>`;

const sumOf = (input: number, index: number, flag: string): string =>
  (mixOf([input, index, flag === 'b' ? 1 : 2]) >>> 0).toString(16).padStart(8, '0');

/** All marks in a text, in order. */
export function marksIn(text: string): Mark[] {
  const marks: Mark[] = [];
  for (const [, input = '', index = '', flag = '', sum] of text.matchAll(
    /<(-?\d{1,9})\.(\d{1,2})\.([bh])\.([0-9a-f]{8})>/g,
  )) {
    const mark: Mark = { input: Number(input), index: Number(index), flag: flag === 'b' ? 'b' : 'h' };
    if (sumOf(mark.input, mark.index, mark.flag) === sum) marks.push(mark);
  }
  return marks;
}

/** The path of request `index` of an input. */
export const pathOf = (input: number, index: number): string => `/n${input}k${index}`;

/** Which request a target names; undefined for none. */
export function namedBy(target: string): { readonly input: number; readonly index: number } | undefined {
  const match = /\/n(\d{1,9})k(\d{1,2})(?!\d)/.exec(target);
  return match === null ? undefined : { input: Number(match[1]), index: Number(match[2]) };
}

/** Is the text that nobody may ever see as a request, unless the client's bytes make it one. */
const planted = (input: number): string => `GET /evil-${input} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** What client `input` says. */
export function clientScript(seed: number, input: number): ClientScript {
  const dice = diceOf(seed, input, 1);
  const count = dice.chance(50) ? 1 : 1 + dice.below(5);
  let text = '';
  for (let index = 0; index < count; index += 1) text += rightRequest(dice, input, index);
  const mutations = dice.chance(30) ? 0 : 1 + dice.below(3);
  for (let n = 0; n < mutations; n += 1) text = mutated(dice, text, requestLines);
  const after = dice.chance(88) ? 'listen' : dice.of(['half-close', 'leave', 'reset'] as const);
  return { pieces: cut(dice, text), slow: dice.chance(30), after, patient: dice.chance(8), mutations };
}

function rightRequest(dice: Dice, input: number, index: number): string {
  const path = pathOf(input, index);
  const evil = planted(input);
  const some = dice.chance(40) ? `User-Agent: x\r\nAccept: */*\r\nX-Note: ${evil.slice(0, 20)}\r\n` : '';
  const head = (method: string, target = path, version = '1.1'): string =>
    `${method} ${target} HTTP/${version}\r\nHost: a\r\n${some}`;
  switch (dice.below(14)) {
    case 0:
      return `${head('POST')}Content-Length: ${evil.length}\r\n\r\n${evil}`;
    case 1:
      return `${head('POST')}Transfer-Encoding: chunked\r\n\r\n${chunks(dice, evil)}`;
    case 2:
      return `${head(dice.of(['DELETE', 'PATCH', 'OPTIONS', 'GET']))}Transfer-Encoding: chunked\r\n\r\n${chunks(dice, evil)}`;
    case 3:
      return `${head('HEAD')}\r\n`;
    case 4:
      return `${head('GET', `http://b:8080${path}?q=1`)}\r\n`;
    case 5:
      return `${head('GET', path, '1.0')}Connection: keep-alive\r\n\r\n`;
    case 6:
      return `${head('PUT')}Expect: 100-continue\r\nContent-Length: ${evil.length}\r\n\r\n${evil}`;
    case 7:
      return `${head('GET')}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n`;
    case 8:
      return `${head('GET', `${path}/../.${path}/%61%2f?a=%0d%0a`)}Connection: X-Foo, close\r\nX-Foo: 1\r\n\r\n`;
    case 9:
      return `${head('POST')}Content-Length: 0\r\n\r\n`;
    default:
      return `${head('GET')}\r\n`;
  }
}

function chunks(dice: Dice, content: string): string {
  let text = '';
  for (let at = 0; at < content.length;) {
    const size = 1 + dice.below(content.length - at);
    const extension = dice.chance(15) ? dice.of([';a', ';a=b', ';a="b;\\""']) : '';
    text += `${size.toString(16)}${extension}\r\n${content.slice(at, at + size)}\r\n`;
    at += size;
  }
  return `${text}0\r\n${dice.chance(20) ? 'X-Sum: 1\r\nContent-Length: 5\r\n' : ''}\r\n`;
}

const requestLines: readonly [string, ...string[]] = [
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: +5',
  'Content-Length: 5, 5',
  'Content-Length: 005',
  'Content-Length: 9007199254740993',
  'Content-Length : 5',
  'Content_Length: 5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding: \x0bchunked',
  'Transfer-Encoding',
  'Transfer_Encoding: chunked',
  ' Transfer-Encoding: chunked',
  'Host: evil',
  'Host:',
  'Connection: close',
  'Connection: keep-alive, Host, Content-Length, Transfer-Encoding',
  'Connection: Upgrade, HTTP2-Settings',
  'Upgrade: h2c',
  'Upgrade: websocket',
  'Expect: 100-continue',
  'Expect: 100-continue, x',
  'Trailer: X-Sum',
  'TE: trailers, deflate',
  'Via: 1.1 switchyard, 1.1 switchyard',
  'X-Forwarded-For: 6.6.6.6',
  'X_Forwarded_For: 6.6.6.6',
  'Forwarded: for=6.6.6.6',
  'X-Request-Id: a b',
  'Idempotency-Key: k',
  'Accept: text/html',
  ': nothing',
  '',
  'GET /evil HTTP/1.1',
];

const answerLines: readonly [string, ...string[]] = [
  'Content-Length: 2',
  'Content-Length: 0',
  'Content-Length: 99999',
  'Content-Length: -1',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: identity',
  'Connection: close',
  'Connection: keep-alive, Content-Length, X-Mark',
  'Keep-Alive: timeout=1',
  'Upgrade: h2c',
  'Trailer: X-Sum',
  'Set-Cookie: a=1',
  'Set-Cookie: b=2',
  ' folded',
  'Switchyard-Instance: evil',
  'HTTP/1.1 200 OK',
  '',
];

const oddBytes: readonly [string, ...string[]] = [
  '\0', '\r', '\n', '\r\n', '\t', ' ', ':', ';', ',', '\x0b', '\x7f', '\x80', '\xa0', '\xff', '0', 'f', '-', '%', '"', '\\', '_',
]; // prettier-ignore

/** The text with one thing changed. */
export function mutated(dice: Dice, text: string, lines: readonly [string, ...string[]]): string {
  if (text.length < 2) return text + dice.of(oddBytes);
  const at = dice.below(text.length);
  const put = (from: number, to: number, between: string): string => text.slice(0, from) + between + text.slice(to);
  switch (dice.below(12)) {
    case 0:
      return put(at, at + 1, String.fromCodePoint((text.codePointAt(at) ?? 0) ^ (1 << dice.below(8))));
    case 1:
      return put(at, at, dice.of(oddBytes));
    case 2:
      return put(at, at + 1, dice.of(oddBytes));
    case 3:
      return put(at, at + 1 + dice.below(8), '');
    case 4: {
      const end = lineEnd(text, at);
      return put(end, end, `${dice.of(lines)}${dice.chance(90) ? '\r\n' : dice.of(['\n', '\r', '\r\r\n', '\n\r'])}`);
    }
    case 5: {
      const from = lineEnd(text, at);
      return put(from, from, text.slice(from, lineEnd(text, from)));
    }
    case 6: {
      const end = text.indexOf('\r\n', at);
      return end < 0 ? text : put(end, end + 2, dice.of(['\n', '\r', '\r\r\n', '\n\r', '\n\n', ' \r\n', '\0\r\n', '']));
    }
    case 7:
      return text.slice(0, at);
    case 8: {
      const piece = text.slice(at, at + 1 + dice.below(64));
      const to = dice.below(text.length);
      return put(to, to, piece);
    }
    case 9: {
      const size = /\r\n([0-9a-f]{1,3})(?=[\r;])/g;
      size.lastIndex = at;
      const found = size.exec(text);
      if (found === null) return text;
      const other = dice.of([
        '0',
        '1',
        '5',
        '0x5',
        '+5',
        ' 5',
        '5 ',
        '-1',
        'ffffffffffffffff',
        '100000005',
        '05',
        '5;',
        '5;\n',
        'g',
        '',
      ]);
      return put(found.index + 2, found.index + found[0].length, other);
    }
    case 10: {
      const length = /(content-length: )(\d+)/gi;
      length.lastIndex = Math.max(0, at - 60);
      const found = length.exec(text);
      if (found === null) return text;
      const number = String(Math.max(0, Number(found[2]) + dice.below(9) - 4));
      return put(found.index + 16, found.index + found[0].length, number);
    }
    default:
      return put(at, at, dice.of(oddBytes).repeat(1 + dice.below(300)));
  }
}

/** The offset behind the next line end, or the end. */
function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\r\n', from);
  return end < 0 ? text.length : end + 2;
}

function cut(dice: Dice, text: string): string[] {
  const cuts = dice.chance(50) ? 0 : 1 + dice.below(4);
  const places = Array.from({ length: cuts }, () => dice.below(text.length + 1)).toSorted((a, b) => a - b);
  return [0, ...places]
    .map((from, index) => text.slice(from, places[index] ?? text.length))
    .filter((piece) => piece.length > 0);
}

/** What an origin does when it is asked. */
export interface AnswerScript {
  readonly pieces: readonly string[];
  /** A turn of the event loop lies between the pieces. */
  readonly slow: boolean;
  readonly after: 'keep' | 'end' | 'reset' | 'hang';
  readonly hostile: boolean;
}

/** The request that is answered. */
export interface Asked {
  readonly input: number;
  readonly index: number;
  readonly origin: number;
  readonly method: string;
  readonly target: string;
  readonly flag: Mark['flag'];
}

/** What origin `origin` says to a request; hostile in one of three. */
export function answerScript(seed: number, asked: Asked): AnswerScript {
  const dice = diceOf(seed, asked.input, asked.index, asked.origin, 2);
  const hostile = dice.chance(33);
  const mark = markText({ ...asked, flag: hostile ? 'h' : asked.flag });
  const right = rightAnswer(dice, asked, mark);
  if (!hostile) return { pieces: cut(dice, right.text), slow: dice.chance(10), after: right.after, hostile };
  let { text } = right;
  let after: AnswerScript['after'] = dice.of(['keep', right.after, right.after, 'end', 'reset', 'hang']);
  switch (dice.below(8)) {
    case 0:
      text += `HTTP/1.1 200 OK\r\nX-Mark: ${mark}\r\nContent-Length: ${mark.length}\r\n\r\n${mark}`;
      break;
    case 1:
      text =
        `HTTP/1.1 103 Early Hints\r\nLink: </${mark}>\r\n\r\n`.repeat(1 + dice.below(dice.chance(5) ? 3_000 : 9)) +
        text;
      break;
    case 2:
      text = text.slice(0, dice.below(text.length));
      break;
    case 3:
      text = `HTTP/1.1 ${dice.of(['101 Switching', '100 Continue', '102 Processing', '199 X'])}\r\n${dice.chance(50) ? 'Connection: Upgrade\r\nUpgrade: websocket\r\n' : ''}\r\n${text}`;
      break;
    default: {
      const mutations = 1 + dice.below(3);
      for (let n = 0; n < mutations; n += 1) text = mutated(dice, text, answerLines);
    }
  }
  // what hangs costs its time limit
  if (after === 'hang' && dice.chance(90)) after = 'end';
  return { pieces: cut(dice, text), slow: dice.chance(40), after, hostile };
}

function rightAnswer(
  dice: Dice,
  { method, target }: Asked,
  mark: string,
): { readonly text: string; readonly after: AnswerScript['after'] } {
  const body = `${mark} ${method} ${target} ${mark}`;
  const head = `X-Mark: ${mark}\r\n${dice.chance(20) ? 'Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Hop: 1\r\nConnection: X-Hop\r\n' : ''}`;
  const closes = dice.chance(8);
  const after = closes ? 'end' : 'keep';
  const ending = closes && dice.chance(50) ? 'Connection: close\r\n' : '';
  const bodyless = method === 'HEAD';
  switch (dice.below(12)) {
    case 0: {
      const trailer = dice.chance(30) ? 'X-Sum: 1\r\n' : '';
      const all = `${body.length.toString(16)}\r\n${body}\r\n0\r\n${trailer}\r\n`;
      return {
        text: `HTTP/1.1 200 OK\r\n${head}${ending}Transfer-Encoding: chunked\r\n\r\n${bodyless ? '' : all}`,
        after,
      };
    }
    case 1:
      return { text: `HTTP/1.1 204 No Content\r\n${head}${ending}\r\n`, after };
    case 2:
      return { text: `HTTP/1.1 304 Not Modified\r\n${head}${ending}Content-Length: 5\r\n\r\n`, after };
    case 3:
      return { text: `HTTP/1.1 200 OK\r\n${head}\r\n${bodyless ? '' : body}`, after: 'end' };
    case 4: {
      const large = `${body}\n`.repeat(1 + dice.below(200));
      return {
        text: `HTTP/1.1 200 OK\r\n${head}${ending}Content-Length: ${large.length}\r\n\r\n${bodyless ? '' : large}`,
        after,
      };
    }
    case 5:
      return {
        text: `HTTP/1.0 200 OK\r\n${head}Content-Length: ${body.length}\r\n\r\n${bodyless ? '' : body}`,
        after: 'end',
      };
    default:
      return {
        text: `HTTP/1.1 ${dice.of([200, 201, 404, 500])} X\r\n${head}${ending}Content-Length: ${body.length}\r\n\r\n${bodyless ? '' : body}`,
        after,
      };
  }
}
