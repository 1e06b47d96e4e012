import { valueOf } from './header-list.ts';
import { leadsBack, redirectHeaders, redirectLocation } from './redirect.ts';

describe('a redirect', () => {
  it('goes to the instance with the path and query that were asked for', () => {
    expect(redirectLocation('http://10.0.0.5:3000', '/a/b%20c', '?x=1')).toBe('http://10.0.0.5:3000/a/b%20c?x=1');
    expect(redirectLocation('http://10.0.0.5:3000', '//evil', '')).toBe('http://10.0.0.5:3000//evil');
    expect(redirectLocation('http://10.0.0.5:3000', '*', '')).toBe('http://10.0.0.5:3000/');
  });

  it('is never kept by a cache, not even a 308', () => {
    expect(valueOf(redirectHeaders('http://a/', 'i'), 'cache-control')).toBe('no-store');
  });

  it('is recognised when it would lead back here', () => {
    expect(leadsBack('http://127.0.0.1:4700', '127.0.0.1:4700')).toBe(true);
    expect(leadsBack('http://Shop:80', 'shop')).toBe(true);
    expect(leadsBack('http://127.0.0.1:4701', '127.0.0.1:4700')).toBe(false);
    expect(leadsBack('http://[::1]:80', '[::1]')).toBe(true);
    expect(leadsBack('http://a', '')).toBe(false);
  });
});
