import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { createServer } from 'node:http';
import { Duplex } from 'node:stream';
import { AnswerHead } from './answer-head.ts';
import { ChunkedBody } from './chunked.ts';
import { Field, fieldKind } from './field-kind.ts';
import { RequestHead } from './request-head.ts';

const limits = { from: 0, limit: 16 * 1024 };
const parse = (text: string): { readonly outcome: string; readonly head: RequestHead } => {
  const head = new RequestHead();
  return { outcome: head.parse(Buffer.from(text, 'latin1'), 0, limits), head };
};
const lines = (...all: string[]): string => `${all.join('\r\n')}\r\n\r\n`;

describe('a request head', () => {
  it('is taken apart without copying', () => {
    const text = lines('GET /a?b=1 HTTP/1.1', 'Host: shop', 'X-Forwarded-For:  1.2.3.4 ', 'X_Real_Ip: 9', 'Accept:');
    const bytes = Buffer.from(`${text}rest`, 'latin1');
    const head = new RequestHead();

    expect(head.parse(bytes, 0, limits)).toBe('complete');

    expect(head.method).toBe('GET');
    expect(bytes.toString('latin1', head.targetStart, head.targetEnd)).toBe('/a?b=1');
    expect(bytes.toString('latin1', head.end)).toBe('rest');
    expect([0, 1, 2, 3].map((i) => head.fields.value(bytes, i))).toEqual(['shop', '1.2.3.4', '9', '']);
    expect([0, 1, 2, 3].map((i) => head.fields.kind[i])).toEqual([Field.host, Field.client, Field.twin, Field.other]);
  });

  it('waits for its end, wherever the bytes are cut', () => {
    const text = lines('POST / HTTP/1.1', 'Host: a', 'Content-Length: 3');
    for (let cut = 0; cut < text.length; cut += 1) expect(parse(text.slice(0, cut)).outcome).toBe('incomplete');
    expect(parse(text)).toMatchObject({ outcome: 'complete', head: { fields: { contentLength: 3 } } });
  });

  it.each([
    ['Authorization: NTLM TlRMTVNTUAAB', true],
    ['authorization: negotiate YII', true],
    ['Authorization: Bearer NTLM', false],
    ['X-Authorized-1: NTLM x', false],
  ])('says of %j whether it binds the connection: %j', (line, binds) => {
    expect(parse(lines('GET / HTTP/1.1', 'Host: a', line)).head.fields.connectionAuth).toBe(binds);
    expect(parse(lines('GET / HTTP/1.1', 'Host: a')).head.fields.connectionAuth).toBe(false);
  });

  const refused: readonly (readonly [string, string, string])[] = [
    ['a bare LF behind the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 'line-ending'],
    ['a bare LF behind a field', 'GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n', 'line-ending'],
    ['a bare CR in a value', 'GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n', 'line-ending'],
    ['a folded line', 'GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n', 'folded-line'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 'field-name'],
    ['an empty field name', 'GET / HTTP/1.1\r\n: a\r\n\r\n', 'field-name'],
    ['a field without a colon', 'GET / HTTP/1.1\r\nHost\r\n\r\n', 'line-ending'],
    ['NUL in a value', 'GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n', 'field-value'],
    ['NUL in a name', 'GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n', 'field-name'],
    ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 'start-line'],
    ['a control character in the target', 'GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n', 'target'],
    ['bytes above 0x7f in the target', 'GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n', 'target'],
    ['two spaces in the request line', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 'target'],
    ['a target that is no path', 'GET a/b HTTP/1.1\r\nHost: a\r\n\r\n', 'target'],
    ['a method that nobody registered', 'SMUGGLE / HTTP/1.1\r\nHost: a\r\n\r\n', 'method'],
    ['no target', 'GET HTTP/1.1\r\nHost: a\r\n\r\n', 'target'],
    ['HTTP/2.0 in the request line', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 'version'],
    ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', 'version'],
    ['http in lower case', 'GET / http/1.1\r\nHost: a\r\n\r\n', 'start-line'],
    ['a space behind the version', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', 'start-line'],
    [
      'both length and encoding',
      lines('POST / HTTP/1.1', 'Content-Length: 3', 'Transfer-Encoding: chunked'),
      'length-and-encoding',
    ],
    [
      'encoding before length',
      lines('POST / HTTP/1.1', 'Transfer-Encoding: chunked', 'Content-Length: 3'),
      'length-and-encoding',
    ],
    ['two lengths', lines('POST / HTTP/1.1', 'Content-Length: 3', 'Content-Length: 4'), 'content-length'],
    ['the same length twice', lines('POST / HTTP/1.1', 'Content-Length: 3', 'Content-Length: 3'), 'content-length'],
    ['a list of lengths', lines('POST / HTTP/1.1', 'Content-Length: 3, 3'), 'content-length'],
    ['a signed length', lines('POST / HTTP/1.1', 'Content-Length: +3'), 'content-length'],
    ['a hexadecimal length', lines('POST / HTTP/1.1', 'Content-Length: 0x3'), 'content-length'],
    ['a length above 2^53', lines('POST / HTTP/1.1', 'Content-Length: 9007199254740993'), 'content-length'],
    ['an empty length', lines('POST / HTTP/1.1', 'Content-Length:'), 'content-length'],
    ['an encoding that hides chunked', lines('POST / HTTP/1.1', 'Transfer-Encoding: xchunked'), 'transfer-encoding'],
    [
      'chunked and then identity',
      lines('POST / HTTP/1.1', 'Transfer-Encoding: chunked, identity'),
      'transfer-encoding',
    ],
    [
      'chunked twice',
      lines('POST / HTTP/1.1', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
      'transfer-encoding',
    ],
    [
      'a vertical tab before chunked',
      lines('POST / HTTP/1.1', 'Transfer-Encoding: \vchunked'),
      'field-value-or-encoding',
    ],
    ['an unknown encoding', lines('POST / HTTP/1.1', 'Transfer-Encoding: gzip'), 'transfer-encoding'],
  ];
  it.each(refused)('is refused for %s', (_what, text, fault) => {
    const { outcome } = parse(text);
    if (fault === 'field-value-or-encoding') expect(['field-value', 'transfer-encoding']).toContain(outcome);
    else expect(outcome).toBe(fault);
  });

  it('has a limit in bytes and in fields', () => {
    expect(parse(`GET / HTTP/1.1\r\nX: ${'y'.repeat(20_000)}`).outcome).toBe('too-large');
    expect(parse(lines('GET / HTTP/1.1', ...Array.from({ length: 200 }, (_, i) => `X${i}: y`))).outcome).toBe(
      'too-many-fields',
    );
  });

  it('tells names with underscores from names that only look alike', () => {
    const kind = (name: string): number => fieldKind(Buffer.from(name), 0, name.length);
    expect(kind('x_forwarded_for')).toBe(Field.twin);
    expect(kind('X-Forwarded_Proto')).toBe(Field.twin);
    expect(kind('content_length')).toBe(Field.twin);
    expect(kind('my_field_na_me')).toBe(Field.other);
    expect(kind('HOST')).toBe(Field.host);
  });
});

describe('the head of an answer', () => {
  it.each([
    ['S', 'start-line'],
    ['SSH-2.0-OpenSSH_9.2', 'start-line'],
    ['HTTP/2', 'start-line'],
    ['\x15\x03\x03', 'start-line'],
    ['HTTP/1.1 200 OK\nContent-Length: 2\n\nok', 'line-ending'],
    ['HTTP/1.1 200 OK\r\nX: y', 'incomplete'],
    ['HTTP', 'incomplete'],
  ])('is told apart from %j as soon as it can be: %s', (text, outcome) => {
    expect(new AnswerHead().parse(Buffer.from(text, 'latin1'), 0, limits)).toBe(outcome);
  });

  it.each([
    ['WWW-Authenticate: NTLM', true],
    ['WWW-Authenticate: Basic realm="x", Negotiate', true],
    ['WWW-Authenticate: Basic realm="NTLM"', false],
    ['WWW-Authenticate: Basic realm=x, ntlm=1', false],
  ])('says of %j whether it binds the connection: %j', (line, binds) => {
    const head = new AnswerHead();
    const bytes = Buffer.from(lines('HTTP/1.1 401 Unauthorized', line, 'Content-Length: 0'), 'latin1');
    expect(head.parse(bytes, 0, limits)).toBe('complete');
    expect(head.fields.connectionAuth).toBe(binds);
  });

  const answer = (text: string): AnswerHead | string => {
    const head = new AnswerHead();
    const outcome = head.parse(Buffer.from(text, 'latin1'), 0, limits);
    return outcome === 'complete' ? head : outcome;
  };

  it('says how its body ends', () => {
    const end = (text: string, method = 'GET'): string => (answer(text) as AnswerHead).bodyEnd(method);
    expect(end(lines('HTTP/1.1 200 OK', 'Content-Length: 5'))).toBe('length');
    expect(end(lines('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'))).toBe('chunked');
    expect(end(lines('HTTP/1.1 200 OK'))).toBe('close');
    expect(end(lines('HTTP/1.1 304 Not Modified', 'Content-Length: 5'))).toBe('none');
    expect(end(lines('HTTP/1.1 200 OK', 'Content-Length: 5'), 'HEAD')).toBe('none');
    expect(end(lines('HTTP/1.1 204', 'X: y'))).toBe('none');
  });

  it('is refused where it could be read in two ways', () => {
    expect(answer(lines('HTTP/1.1 200 OK', 'X: a\0b'))).toBe('field-value');
    expect(answer('HTTP/1.1 200 OK\nX: a\r\n\r\n')).toBe('line-ending');
    expect(answer(lines('HTTP/1.1 20 OK'))).toBe('status');
    expect(answer(lines('HTTP/1.1 2000 OK'))).toBe('status');
    expect(answer(lines('HTTP/1.1 200 OK', 'Content-Length: 1', 'Transfer-Encoding: chunked'))).toBe(
      'length-and-encoding',
    );
    expect(answer(lines('ICY 200 OK'))).toBe('start-line');
  });
});

describe('a chunked body', () => {
  const feed = (text: string): ChunkedBody & { taken: number } => {
    const body = new ChunkedBody();
    const taken = body.feed(Buffer.from(text, 'latin1'), 0);
    return Object.assign(body, { taken });
  };

  it('ends behind its trailer, and not a byte later', () => {
    const text = '5;x="y"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n';
    const body = feed(`${text}GET / HTTP/1.1`);
    expect(body).toMatchObject({ done: true, taken: text.length, contentBytes: 5, fault: undefined });
  });

  it.each([
    ['no size', '\r\n'],
    ['a signed size', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a size with a space', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a size above 2^52', '10000000000000\r\n'],
    ['a bare LF behind the size', '5\nhello\r\n0\r\n\r\n'],
    ['a bare CR behind the size', '5\rXhello\r\n0\r\n\r\n'],
    ['data longer than its size', '5\r\nhello!\r\n0\r\n\r\n'],
    ['a bare LF in an extension', '5;a\nb\r\nhello\r\n0\r\n\r\n'],
    ['a NUL in an extension', '5;a\0b\r\nhello\r\n0\r\n\r\n'],
    ['a trailer that is no field', '0\r\nGET / HTTP/1.1\r\n\r\n'],
    ['a bare LF in the trailer', '0\r\nX: y\n\r\n'],
    ['a flood of extensions', `5;${'x'.repeat(20_000)}`],
    ['a flood of trailers', `0\r\n${'X: y\r\n'.repeat(4_000)}`],
  ])('is refused for %s', (_what, text) => {
    expect(feed(text).fault).toBeDefined();
  });

  it('comes to the same end however it is cut', () => {
    const chunk = fc.string({ minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 6 }), fc.array(fc.nat(200), { maxLength: 8 }), (chunks, cuts) => {
        const contents = chunks.map((text) => Buffer.from(text));
        const text = Buffer.concat([
          ...contents.flatMap((data) => [Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]),
          Buffer.from('0\r\nA: b\r\n\r\nNEXT'),
        ]);
        const body = new ChunkedBody();
        let at = 0;
        for (const cut of [...cuts.map((each) => each % text.length).sort((a, b) => a - b), text.length]) {
          if (cut < at || body.done) continue;
          const piece = text.subarray(at, cut);
          at += body.feed(piece, 0);
        }
        expect(body.fault).toBeUndefined();
        expect(body.done).toBe(true);
        expect(text.subarray(at).toString()).toBe('NEXT');
        expect(body.contentBytes).toBe(contents.reduce((sum, data) => sum + data.length, 0));
      }),
      { numRuns: 300 },
    );
  });
});

/** What node:http makes of these bytes: the methods of the requests it takes, then whether it refused. */
function nodeVerdict(bytes: Buffer): Promise<{ readonly taken: number; readonly refused: boolean }> {
  return new Promise((resolve) => {
    let taken = 0;
    let refused = false;
    const server = createServer({ insecureHTTPParser: false, requireHostHeader: false }, (request, response) => {
      taken += 1;
      request.resume();
      response.end();
    });
    server.on('clientError', (_error, socket) => {
      refused = true;
      socket.destroy();
    });
    server.on('upgrade', (_request, socket) => {
      taken += 1;
      socket.destroy();
    });
    server.on('connect', (_request, socket) => {
      taken += 1;
      socket.destroy();
    });
    const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    server.emit('connection', socket);
    socket.push(bytes);
    setImmediate(() => {
      socket.destroy();
      resolve({ taken, refused });
    });
  });
}

describe('against the parser of node:http', () => {
  it('takes no request head that node:http refuses', async () => {
    const seed = Number(process.env['SWITCHYARD_TEST_SEED'] ?? 20_261_121);
    const base = [
      lines('GET /a?b HTTP/1.1', 'Host: a', 'Accept: */*', 'Connection: keep-alive'),
      lines('POST /x HTTP/1.1', 'Host: a', 'Content-Length: 0', 'X-A: b'),
      lines('DELETE / HTTP/1.0', 'Host: a', 'Connection: close'),
      `${lines('PUT /y HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    ];
    const bits = [
      '\r',
      '\n',
      '\r\n',
      ' ',
      '\t',
      ':',
      '\0',
      ',',
      ';',
      '\x7f',
      '\x0b',
      'chunked',
      'Content-Length: 1\r\n',
      'Transfer-Encoding: chunked\r\n',
      'é',
      '_',
      '"',
      '%',
      '\r\n\r\n',
      'HTTP/1.1',
      '0',
    ];
    const mutation = fc.record({
      text: fc.constantFrom(...base),
      edits: fc.array(fc.record({ at: fc.nat(120), drop: fc.nat(3), put: fc.constantFrom(...bits) }), {
        minLength: 1,
        maxLength: 3,
      }),
    });
    await fc.assert(
      fc.asyncProperty(mutation, async ({ text, edits }) => {
        let mutated = text;
        for (const { at, drop, put } of edits) mutated = mutated.slice(0, at) + put + mutated.slice(at + drop);
        const bytes = Buffer.from(mutated, 'latin1');
        const head = new RequestHead();
        if (head.parse(bytes, 0, limits) !== 'complete') return;
        const node = await nodeVerdict(bytes.subarray(0, head.end));
        expect({ mutated, ...node }).toMatchObject({ refused: false });
      }),
      { numRuns: 3_000, seed },
    );
  });
});
