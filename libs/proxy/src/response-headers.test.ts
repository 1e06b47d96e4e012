import { valueOf, valuesOf } from './header-list.ts';
import { forwardableTrailers } from './hop-by-hop.ts';
import { interimHeaders, responseHeaders, type ResponseHeaderFacts } from './response-headers.ts';

const facts: ResponseHeaderFacts = { status: 200, chunkable: true, requestId: 'r1', instance: 'a' };

describe('responseHeaders', () => {
  it('keeps duplicates apart and in order', () => {
    const sent = responseHeaders(['Set-Cookie', 'a=1', 'X', '1', 'set-cookie', 'b=2', 'X', '2'], facts);
    expect(valuesOf(sent, 'set-cookie')).toEqual(['a=1', 'b=2']);
    expect(valuesOf(sent, 'x')).toEqual(['1', '2']);
  });

  it('ends what Connection lists here', () => {
    const sent = responseHeaders(['Connection', 'X-Hop', 'X-Hop', '1', 'Keep-Alive', 'timeout=5', 'X', '1'], facts);
    expect([valueOf(sent, 'x-hop'), valueOf(sent, 'keep-alive'), valueOf(sent, 'x')]).toEqual([
      undefined,
      undefined,
      '1',
    ]);
  });

  it('names the instance, unless told not to, and never believes another name', () => {
    expect(valuesOf(responseHeaders(['Switchyard-Instance', 'x'], facts), 'switchyard-instance')).toEqual(['a']);
    const silent = responseHeaders(['Switchyard-Instance', 'x'], { ...facts, instance: undefined });
    expect(valueOf(silent, 'switchyard-instance')).toBeUndefined();
  });

  it('keeps Content-Length where it means something', () => {
    expect(valueOf(responseHeaders(['Content-Length', '3'], { ...facts, status: 304 }), 'content-length')).toBe('3');
    expect(
      valueOf(responseHeaders(['Content-Length', '3'], { ...facts, status: 204 }), 'content-length'),
    ).toBeUndefined();
    const both = responseHeaders(['Content-Length', '3', 'Transfer-Encoding', 'chunked'], facts);
    expect([valueOf(both, 'content-length'), valueOf(both, 'transfer-encoding')]).toEqual([undefined, undefined]);
  });

  it('announces trailers only where some can follow', () => {
    const headers = ['Trailer', 'X-T', 'Transfer-Encoding', 'chunked'];
    expect(valueOf(responseHeaders(headers, facts), 'trailer')).toBe('X-T');
    expect(valueOf(responseHeaders(headers, { ...facts, chunkable: false }), 'trailer')).toBeUndefined();
    expect(valueOf(responseHeaders(['Trailer', 'X-T'], facts), 'trailer')).toBeUndefined();
  });

  it('keeps the request id of the instance', () => {
    expect(valuesOf(responseHeaders(['X-Request-Id', 'own'], facts), 'x-request-id')).toEqual(['own']);
  });
});

describe('interimHeaders', () => {
  it('keeps hints and drops framing', () => {
    expect(interimHeaders(['Link', '</a>', 'Content-Length', '3', 'Connection', 'X-H', 'X-H', '1'])).toEqual([
      'Link',
      '</a>',
    ]);
  });
});

describe('forwardableTrailers', () => {
  it('drops fields that would change how the message is read', () => {
    expect(
      forwardableTrailers(['X-T', '1', 'Content-Length', '9', 'X-T', '2', 'Host', 'x', 'Set-Cookie', 'a']),
    ).toEqual([
      ['X-T', '1'],
      ['X-T', '2'],
    ]);
  });
});
