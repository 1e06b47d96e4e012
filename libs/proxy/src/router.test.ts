import { seededRandom } from '@switchyard/testing';
import { trafficRouteSchema } from '@switchyard/protocol';
import { defaultServiceRules, type RequestHead } from './engine.ts';
import { parseRequestTarget } from './request-target.ts';
import { compileRoutes, isUnder, type RouterContext } from './router.ts';

const context: RouterContext = { random: () => 0, rulesOf: () => defaultServiceRules, durationMs: () => undefined };
const compile = (routes: Readonly<Record<string, object>>, more: Partial<RouterContext> = {}) =>
  compileRoutes(
    Object.entries(routes).map(([name, route]) => ({
      name,
      route: trafficRouteSchema.parse({ service: name, ...route }),
    })),
    { ...context, ...more },
  );
const head = (path: string, more: Partial<RequestHead> = {}): RequestHead => ({
  method: 'GET',
  host: 'shop.example',
  path,
  headers: [],
  ...more,
});
const taken = (routes: Readonly<Record<string, object>>, request: RequestHead): string => {
  const decision = compile(routes).route(request);
  return decision.action === 'refuse' ? decision.refusal.code : decision.route;
};

describe('the router', () => {
  it('prefers the exact host, then the longest wildcard, then any', () => {
    const routes = {
      any: { pathPrefix: '/long/path' },
      wide: { host: '*.example' },
      near: { host: '*.shop.example' },
      exact: { host: 'Shop.Example' },
    };
    expect(taken(routes, head('/long/path'))).toBe('exact');
    expect(taken(routes, head('/long/path', { host: 'a.shop.example' }))).toBe('near');
    expect(taken(routes, head('/long/path', { host: 'b.example' }))).toBe('wide');
    expect(taken(routes, head('/long/path', { host: 'elsewhere' }))).toBe('any');
    expect(taken(routes, head('/x', { host: 'example' }))).toBe('no_route');
  });

  it('prefers the longer path, compared segment by segment', () => {
    const routes = { root: {}, api: { pathPrefix: '/api' }, orders: { pathPrefix: '/api/orders/' } };
    expect(
      ['/', '/apix', '/api', '/api/', '/api/x', '/api/orders', '/api/orders/1', '/api/ordersx'].map((path) =>
        taken(routes, head(path)),
      ),
    ).toEqual(['root', 'root', 'api', 'api', 'api', 'orders', 'orders', 'api']);
  });

  it('reads a prefix as it reads the path of a request', () => {
    const routes = {
      cafe: { pathPrefix: '/caf%c3%a9' },
      user: { pathPrefix: '/x/../%7euser' },
    };
    const asked = (target: string): string => {
      const parsed = parseRequestTarget(target, 'GET');
      return typeof parsed === 'string' ? parsed : taken(routes, head(parsed.path));
    };
    expect(['/caf%C3%A9/1', '/caf%c3%a9', '/~user', '/%7Euser/1', '/other'].map(asked)).toEqual([
      'cafe',
      'cafe',
      'user',
      'user',
      'no_route',
    ]);
  });

  it('prefers named methods, then more headers, then the name', () => {
    const routes = {
      b: {},
      a: {},
      posts: { methods: ['POST'] },
      beta: { headers: { 'X-Beta': '1' } },
      both: { headers: { 'X-Beta': '1', 'X-Two': '2' } },
    };
    expect(taken(routes, head('/'))).toBe('a');
    expect(taken(routes, head('/', { method: 'POST', headers: ['x-beta', '1'] }))).toBe('posts');
    expect(taken(routes, head('/', { headers: ['x-beta', '1'] }))).toBe('beta');
    expect(taken(routes, head('/', { headers: ['x-beta', '1', 'X-TWO', '2'] }))).toBe('both');
    expect(taken(routes, head('/', { headers: ['x-beta', '2'] }))).toBe('a');
  });

  it('gives the same answer whatever order the routes are in', () => {
    const names = ['c', 'a', 'b'];
    const answers = [names, [...names].reverse()].map((order) =>
      taken(Object.fromEntries(order.map((name) => [name, {}])), head('/')),
    );
    expect(answers).toEqual(['a', 'a']);
  });

  it('hands out one frozen decision with everything that is needed', () => {
    const router = compile({ a: { pathPrefix: '/api/', stripPrefix: true, action: 'redirect', redirectStatus: 308 } });
    const decision = router.route(head('/api/x'));
    expect(decision).toEqual({
      action: 'redirect',
      route: 'a',
      service: 'a',
      redirectStatus: 308,
      stripPrefix: '/api',
      rules: defaultServiceRules,
      responseMs: undefined,
      idleMs: undefined,
    });
    expect(router.route(head('/api/y'))).toBe(decision);
  });

  it('splits by weight and never sends to a weight of 0', () => {
    const random = seededRandom();
    const router = compileRoutes(
      [
        {
          name: 'canary',
          route: trafficRouteSchema.parse({
            split: [
              { service: 'old', weight: 9 },
              { service: 'off', weight: 0 },
              { service: 'new', weight: 1 },
            ],
          }),
        },
      ],
      { ...context, random },
    );
    const counts: Record<string, number> = {};
    for (let turn = 0; turn < 10_000; turn += 1) {
      const decision = router.route(head('/'));
      if (decision.action !== 'refuse') counts[decision.service] = (counts[decision.service] ?? 0) + 1;
    }
    expect(counts['off']).toBeUndefined();
    expect(Math.abs((counts['new'] ?? 0) - 1_000)).toBeLessThan(200);
  });

  it('refuses with the reason of each route', () => {
    const decision = compile({
      a: { host: 'other' },
      b: { methods: ['POST'] },
      c: { headers: { 'X-A': '1' } },
      d: { pathPrefix: '/d' },
    }).route(head('/'));
    expect(decision).toMatchObject({
      action: 'refuse',
      refusal: {
        code: 'no_route',
        why: [
          'route a: it is for host other',
          'route d: it is for paths under /d',
          'route b: it is for POST',
          'route c: it needs the header x-a: 1',
        ],
      },
    });
    expect(compile({}).route(head('/'))).toMatchObject({ refusal: { why: ['there are no routes'] } });
  });
});

describe('isUnder', () => {
  it('treats the empty prefix as everything', () => {
    expect([isUnder('', '/'), isUnder('', '*'), isUnder('/a', '/a'), isUnder('/a', '/ab')]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });
});
