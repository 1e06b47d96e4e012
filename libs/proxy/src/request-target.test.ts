import { hostOf, isAuthority, parseRequestTarget } from './request-target.ts';

describe('parseRequestTarget', () => {
  it('leaves an ordinary path as it came', () => {
    expect(parseRequestTarget('/a/b%20c?x=/../y#', 'GET')).toEqual({
      authority: undefined,
      path: '/a/b%20c',
      forwardPath: '/a/b%20c',
      query: '?x=/../y',
    });
  });

  it.each([
    ['/%61dmin', '/admin', '/%61dmin'],
    ['/x/../admin', '/admin', '/admin'],
    ['/x/%2e%2E/admin/.', '/admin/', '/admin/'],
    ['/../../etc', '/etc', '/etc'],
    ['/a%2fb', '/a%2Fb', '/a%2fb'],
    ['/.well-known/x', '/.well-known/x', '/.well-known/x'],
    ['//host/x', '//host/x', '//host/x'],
  ])('matches %s as %s and forwards %s', (target, path, forwardPath) => {
    expect(parseRequestTarget(target, 'GET')).toMatchObject({ path, forwardPath });
  });

  it('takes the authority of an absolute-form target', () => {
    expect(parseRequestTarget('http://Example.com:81/x?y', 'GET')).toMatchObject({
      authority: 'Example.com:81',
      path: '/x',
      query: '?y',
    });
    expect(parseRequestTarget('http://example.com?y', 'GET')).toMatchObject({ path: '/', query: '?y' });
  });

  it.each(['', 'x', 'ftp://h/', 'http:///x', 'http://u:p@h/', 'http://h:99999/', 'http://a b/'])(
    'says what is wrong with %j',
    (target) => {
      expect(typeof parseRequestTarget(target, 'GET')).toBe('string');
    },
  );

  it('takes "*" for OPTIONS only', () => {
    expect(parseRequestTarget('*', 'OPTIONS')).toMatchObject({ path: '/', forwardPath: '*' });
    expect(typeof parseRequestTarget('*', 'GET')).toBe('string');
  });
});

describe('an authority', () => {
  it.each(['a', 'a:80', 'A.b-c_d', '127.0.0.1:1', '[::1]', '[::1]:8080', '[::ffff:1.2.3.4]', 'a.'])(
    'may be %s',
    (text) => {
      expect(isAuthority(text)).toBe(true);
    },
  );

  it.each(['', 'a b', 'a,b', 'a:b', 'u@h', 'a/b', '::1', 'a:', '[::1', '[:.:.:]', '[1]', '[:::]'])(
    'may not be %j',
    (text) => {
      expect(isAuthority(text)).toBe(false);
    },
  );

  it('has a host in lower case without port and final dot', () => {
    expect([hostOf('Shop.Example.:80'), hostOf('[::1]:80'), hostOf('')]).toEqual(['shop.example', '[::1]', '']);
  });
});
