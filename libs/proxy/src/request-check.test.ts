import { checkHead, type RawHead } from './request-check.ts';

const head = (headers: readonly string[], more: Partial<RawHead> = {}): RawHead => ({
  method: 'POST',
  target: '/',
  httpVersion: '1.1',
  headers,
  ...more,
});
const codeOf = (raw: RawHead): string => {
  const result = checkHead(raw);
  return result.ok ? `ok ${result.value.framing.kind}` : result.error.code;
};

describe('checkHead', () => {
  it.each<[string, readonly string[], string]>([
    ['no body', ['Host', 'a'], 'ok none'],
    ['a length', ['Host', 'a', 'Content-Length', '5'], 'ok length'],
    ['chunks', ['Host', 'a', 'Transfer-Encoding', 'Chunked'], 'ok chunked'],
    ['length and chunks', ['Host', 'a', 'Content-Length', '5', 'transfer-encoding', 'chunked'], 'malformed_request'],
    ['two lengths', ['Host', 'a', 'Content-Length', '5', 'Content-Length', '5'], 'malformed_request'],
    ['a list as length', ['Host', 'a', 'Content-Length', '5, 5'], 'malformed_request'],
    ['a signed length', ['Host', 'a', 'Content-Length', '+5'], 'malformed_request'],
    ['a length no number can hold', ['Host', 'a', 'Content-Length', '9007199254740993'], 'malformed_request'],
    ['an empty length', ['Host', 'a', 'Content-Length', ''], 'malformed_request'],
    ['another coding in front', ['Host', 'a', 'Transfer-Encoding', 'gzip, chunked'], 'not_implemented'],
    ['chunked twice', ['Host', 'a', 'Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'], 'not_implemented'],
    ['an unknown coding', ['Host', 'a', 'Transfer-Encoding', 'xchunked'], 'not_implemented'],
    ['an empty coding', ['Host', 'a', 'Transfer-Encoding', ''], 'malformed_request'],
    ['two hosts', ['Host', 'a', 'host', 'a'], 'malformed_request'],
    ['no host', [], 'malformed_request'],
    ['a host that is a path', ['Host', 'a/b'], 'malformed_request'],
    ['an empty host', ['Host', ''], 'ok none'],
  ])('judges %s', (_name, headers, expected) => {
    expect(codeOf(head(headers))).toBe(expected);
  });

  it('lets HTTP/1.0 come without a host, and without chunks', () => {
    expect(codeOf(head([], { httpVersion: '1.0' }))).toBe('ok none');
    expect(codeOf(head(['Transfer-Encoding', 'chunked'], { httpVersion: '1.0' }))).toBe('malformed_request');
  });

  it('refuses TRACE and CONNECT', () => {
    expect(codeOf(head(['Host', 'a'], { method: 'TRACE' }))).toBe('method_not_allowed');
    expect(codeOf(head(['Host', 'a'], { method: 'CONNECT', target: 'a:80' }))).toBe('not_implemented');
  });

  it('believes an absolute-form target more than Host', () => {
    const result = checkHead(head(['Host', 'other'], { target: 'http://shop/x' }));
    expect(result.ok && result.value.authority).toBe('shop');
  });
});
