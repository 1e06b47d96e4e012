import { valueOf, valuesOf } from './header-list.ts';
import { requestHeaders, requestIdOf, timesSeen, type RequestHeaderFacts } from './request-headers.ts';

const facts: RequestHeaderFacts = {
  method: 'GET',
  framing: { kind: 'none' },
  hop: { peer: '::ffff:192.0.2.1', trusted: false, scheme: 'http', authority: 'shop:80', strippedPrefix: '' },
  requestId: 'r1',
  via: 'switchyard',
  httpVersion: '1.1',
};
const trusting = { ...facts, hop: { ...facts.hop, trusted: true } };

describe('requestHeaders', () => {
  it('keeps order, spelling and duplicates of what goes from end to end', () => {
    const sent = requestHeaders(['x-B', '1', 'Cookie', 'a', 'X-a', '2', 'Cookie', 'b', 'traceparent', '00-1'], facts);
    expect(sent.slice(0, 12).join('|')).toBe('Host|shop:80|x-B|1|Cookie|a|X-a|2|Cookie|b|traceparent|00-1');
  });

  it('ends what Connection lists here, but not what a request cannot do without', () => {
    const headers = ['Connection', 'X-Hop, Authorization, host', 'X-Hop', '1', 'authorization', 's', 'X-End', '2'];
    const sent = requestHeaders(headers, facts);
    expect([valueOf(sent, 'x-hop'), valueOf(sent, 'authorization'), valueOf(sent, 'connection')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect([valueOf(sent, 'x-end'), valueOf(sent, 'host')]).toEqual(['2', 'shop:80']);
  });

  it('does not let Connection strip what we add ourselves (CVE-2025-48865)', () => {
    const sent = requestHeaders(['Connection', 'X-Forwarded-For, X-Request-Id, Via'], facts);
    expect(valueOf(sent, 'x-forwarded-for')).toBe('192.0.2.1');
    expect(valueOf(sent, 'x-request-id')).toBe('r1');
    expect(valueOf(sent, 'via')).toBe('1.1 switchyard');
  });

  it.each(['Keep-Alive', 'Proxy-Connection', 'TE', 'Upgrade', 'HTTP2-Settings', 'Proxy-Authorization'])(
    'ends %s here',
    (name) => {
      expect(valueOf(requestHeaders([name, 'x'], facts), name.toLowerCase())).toBeUndefined();
    },
  );

  it('replaces what a client says about itself', () => {
    const claims = ['X-Forwarded-For', '6.6.6.6', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'evil'];
    const sent = requestHeaders([...claims, 'Forwarded', 'for=6.6.6.6', 'X-Real-IP', '6.6.6.6'], facts);
    expect(valuesOf(sent, 'x-forwarded-for')).toEqual(['192.0.2.1']);
    expect(valuesOf(sent, 'x-forwarded-proto')).toEqual(['http']);
    expect(valuesOf(sent, 'x-forwarded-host')).toEqual(['shop:80']);
    expect(valuesOf(sent, 'forwarded')).toEqual(['for=192.0.2.1;host="shop:80";proto=http']);
    expect(valueOf(sent, 'x-real-ip')).toBeUndefined();
  });

  it('adds our hop behind what a trusted proxy says', () => {
    const claims = ['X-Forwarded-For', '203.0.113.7', 'X-Forwarded-Proto', 'https', 'Forwarded', 'for=203.0.113.7'];
    const sent = requestHeaders(claims, trusting);
    expect(valuesOf(sent, 'x-forwarded-for')).toEqual(['203.0.113.7, 192.0.2.1']);
    expect(valuesOf(sent, 'x-forwarded-proto')).toEqual(['https']);
    expect(valueOf(sent, 'forwarded')).toBe('for=203.0.113.7, for=192.0.2.1;host="shop:80";proto=http');
  });

  it.each(['X_Forwarded_For', 'x_forwarded-host', 'X_Real_IP', 'X_Request_Id', 'Content_Length', 'Transfer_Encoding'])(
    'drops the twin %s, even from a trusted proxy',
    (name) => {
      expect(requestHeaders([name, '1'], trusting)).not.toContain(name);
    },
  );

  it('keeps other names with an underscore', () => {
    expect(valueOf(requestHeaders(['my_header', '1'], facts), 'my_header')).toBe('1');
  });

  it('spells the framing out for every method', () => {
    const chunks = requestHeaders(['Trailer', 'X-T'], { ...facts, method: 'DELETE', framing: { kind: 'chunked' } });
    expect([valueOf(chunks, 'transfer-encoding'), valueOf(chunks, 'content-length')]).toEqual(['chunked', undefined]);
    expect(valueOf(chunks, 'trailer')).toBe('X-T');
    expect(valueOf(requestHeaders([], { ...facts, method: 'POST' }), 'content-length')).toBe('0');
    expect(valueOf(requestHeaders([], facts), 'content-length')).toBeUndefined();
    const length = requestHeaders(['Content-Length', '07'], { ...facts, framing: { kind: 'length', bytes: 7 } });
    expect(valuesOf(length, 'content-length')).toEqual(['7']);
  });

  it('says that it takes trailers when the client does, as RFC 9110 10.1.4 wants it', () => {
    const sent = requestHeaders(['TE', 'gzip;q=0.5, trailers'], facts);
    expect([valueOf(sent, 'te'), valueOf(sent, 'connection')]).toEqual(['trailers', 'keep-alive, TE']);
  });

  it('adds an entry to Via and names a prefix that was taken away', () => {
    const hop = { ...facts.hop, strippedPrefix: '/api' };
    const sent = requestHeaders(['Via', '1.0 edge'], { ...facts, hop });
    expect([valueOf(sent, 'via'), valueOf(sent, 'x-forwarded-prefix')]).toEqual(['1.0 edge, 1.1 switchyard', '/api']);
  });

  it('puts an IPv6 peer into brackets and quotes', () => {
    const hop = { ...facts.hop, peer: '2001:db8::1' };
    expect(valueOf(requestHeaders([], { ...facts, hop }), 'forwarded')).toContain('for="[2001:db8::1]"');
  });
});

describe('requestIdOf', () => {
  it('repeats an id that is fit to be repeated and replaces any other', () => {
    expect(requestIdOf(['X-Request-ID', 'abc-1'], () => 'new')).toBe('abc-1');
    for (const bad of ['', 'a b', '<x>', 'a'.repeat(129)])
      expect(requestIdOf(['x-request-id', bad], () => 'new')).toBe('new');
  });
});

describe('timesSeen', () => {
  it('counts our own entries in Via only', () => {
    expect(timesSeen(['Via', '1.1 switchyard, 1.1 other', 'Via', '1.0 Switchyard'], 'switchyard')).toBe(2);
  });
});
