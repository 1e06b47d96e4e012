import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerReader } from './answer-reader.mjs';
import { readWrk } from './wrk.mjs';

const answers = {
  'a length': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  'no body': 'HTTP/1.1 204 No Content\r\n\r\n',
  chunks: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\n\r\n',
  'an interim answer first':
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
};

describe('an answer reader', () => {
  for (const [what, text] of Object.entries(answers)) {
    it(`finds the end of an answer with ${what}, in whatever pieces it comes`, () => {
      for (const size of [1, 2, 7, text.length]) {
        const reader = new AnswerReader();
        const bytes = Buffer.from(text);
        for (let turn = 0; turn < 2; turn += 1) {
          for (let at = 0; at < bytes.length; at += size) {
            const isLast = at + size >= bytes.length;
            assert.equal(reader.feed(bytes.subarray(at, at + size)), isLast, `${what} in pieces of ${size}, at ${at}`);
          }
          assert.ok(reader.status === 200 || reader.status === 204);
        }
      }
    });
  }

  it('ends a body without a length with the connection, and nothing else with it', () => {
    const reader = new AnswerReader();
    assert.equal(reader.feed(Buffer.from('HTTP/1.0 503 No\r\nConnection: close\r\n\r\nso')), false);
    assert.deepEqual([reader.status, reader.closes], [503, true]);
    assert.equal(reader.end(), true);
    assert.equal(reader.feed(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe')), false);
    assert.equal(reader.end(), false);
  });
});

describe('what wrk says', () => {
  it('is read, with its failures', () => {
    const text = `Running 4s test @ http://127.0.0.1:1/
  103427 requests in 4.10s, 14.20MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:  25226.10
Transfer/sec:      3.46MB`;
    assert.deepEqual(readWrk(text), { requests: 103_427, perSecond: 25_226.1, failed: 15 });
    assert.deepEqual(readWrk('unable to connect'), { requests: 0, perSecond: 0, failed: 0 });
  });
});
