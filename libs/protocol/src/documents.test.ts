// Do the schemas refuse what would do harm, and say why?
import { decode } from './decode.ts';
import { instanceInputSchema, instancePatchSchema, registerMessageSchema } from './instance.ts';
import { channels, keys, platformService } from './keys.ts';
import { problemOf, problemSchema } from './problem.ts';
import { trafficRouteSchema } from './route.ts';
import { servicePolicySchema, storedServiceSchema } from './service.ts';
import type { z } from 'zod';

const faults = (schema: z.ZodType, value: unknown): string => {
  const decoded = decode(schema, value);
  return decoded.ok ? 'accepted' : (decoded.error.why ?? []).join('\n');
};
const url = 'http://10.0.0.5:3000';

describe('an instance as its owner describes it', () => {
  it('has defaults for everything but its address', () => {
    expect(instanceInputSchema.parse({ url })).toEqual({ url, weight: 1, meta: {}, ttl: '3s', role: 'member' });
  });

  it.each([{}, { host: 'a' }, { port: 1 }, { url, host: 'a', port: 1 }, { url, port: 1 }])(
    'has exactly one address: %j has not',
    (address) => {
      expect(faults(instanceInputSchema, address)).toBe('url: give either "url" or both "host" and "port"');
      expect(faults(registerMessageSchema, { service: 'shop', id: 'a', ...address })).toContain('give either "url"');
    },
  );

  it.each([
    'ftp://a:1',
    'file:///etc/passwd',
    'http://',
    'http://a:0',
    'http://a:65536',
    'http://a/path',
    'http://a?x=1',
    'http://a#x',
    'http://user@a',
    'http://user:secret@a',
    'javascript:alert(1)',
    'a:3000',
    '//a:3000',
    '',
    `http://${'a'.repeat(400)}`,
    7,
  ])('has a plain http or https address: %j is none', (address) => {
    expect(faults(instanceInputSchema, { url: address })).toMatch(/^url: /);
  });

  it.each([
    [{ weight: -1 }, 'weight'],
    [{ weight: 65_536 }, 'weight'],
    [{ weight: '1' }, 'weight'],
    [{ weight: Number.NaN }, 'weight'],
    [{ ttl: '499ms' }, 'ttl'],
    [{ ttl: 3 }, 'ttl'],
    [{ role: 'king' }, 'role'],
    [{ check: { type: 'http', path: 'livez' } }, 'check.path'],
    [{ check: { type: 'shell', command: 'rm' } }, 'check.type'],
    [{ meta: { a: 1 } }, 'meta.a'],
    [{ meta: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`k${n}`, 'v'])) }, 'meta'],
    [{ zone: 'z'.repeat(65) }, 'zone'],
    [{ wieght: 2 }, 'the document'],
  ])('refuses %j and names the field', (more, place) => {
    expect(faults(instanceInputSchema, { url, ...more })).toContain(`${place}: `);
  });

  it.each([
    [{ type: 'tcp', path: '/health' }, 'check.path: only a check of type "http" has one, not "tcp"'],
    [{ type: 'grpc', path: '/health' }, 'check.path: only a check of type "http" has one, not "grpc"'],
    [{ type: 'http', grpcService: 'shop' }, 'check.grpcService: only a check of type "grpc" has one, not "http"'],
    [{ type: 'http', interval: '1s', timeout: '1001ms' }, 'check.timeout: must be at most the interval, 1s'],
    [{ type: 'none', interval: '1s' }, 'check.interval: a check of type "none" asks for no probes, so it has none'],
    [{ type: 'http', rise: 2 }, 'check.rise: needs an interval: without one nobody probes in a row'],
    [{ type: 'tcp', fall: 2 }, 'check.fall: needs an interval: without one nobody probes in a row'],
    [{ type: 'http', interval: '1s', fall: 0 }, 'check.fall: '],
    [{ type: 'http', interval: '199ms' }, 'check.interval: '],
  ])('refuses the check %j, which cannot mean anything', (check, fault) => {
    expect(faults(instanceInputSchema, { url, check })).toContain(fault);
    expect(faults(registerMessageSchema, { service: 'shop', id: 'a', url, check })).toContain(fault);
  });

  it.each([
    { type: 'none' },
    { type: 'http', timeout: '2s' },
    { type: 'tcp', interval: '1s', timeout: '1s', rise: 1, fall: 1 },
    { type: 'grpc', grpcService: 'shop.v1.Shop', interval: '1m' },
    { type: 'http', path: '/health', interval: '2s' },
  ])('may ask for the check %j', (check) => {
    expect(faults(instanceInputSchema, { url, check })).toBe('accepted');
  });

  it('names every fault of a check at once', () => {
    const check = { type: 'tcp', path: '/x', grpcService: 'y', rise: 1 };

    expect(faults(instanceInputSchema, { url, check }).split('\n')).toHaveLength(3);
  });

  it('is patched by something, not by nothing', () => {
    expect(faults(instancePatchSchema, {})).toBe('weight: give "weight", "intent", or both');
    expect(faults(instancePatchSchema, { reason: 'because' })).toContain('give "weight"');
    expect(faults(instancePatchSchema, { intent: 'asleep' })).toContain('intent: ');
    expect(faults(instancePatchSchema, { weight: 0 })).toBe('accepted');
  });
});

describe('a route', () => {
  it('goes to one service or is split, never both or neither', () => {
    const split = [{ service: 'shop', weight: 1 }];

    expect(faults(trafficRouteSchema, {})).toBe('service: give either "service" or "split"');
    expect(faults(trafficRouteSchema, { service: 'shop', split })).toContain('give either');
    expect(faults(trafficRouteSchema, { split })).toBe('accepted');
  });

  it.each([
    [{ stripPrefix: true }, 'stripPrefix: needs "pathPrefix"'],
    [{ pathPrefix: 'api' }, 'pathPrefix: must begin with "/"'],
    [{ host: 'http://a' }, 'host: '],
    [{ host: '*' }, 'host: '],
    [{ methods: ['get'] }, 'methods.0: '],
    [{ methods: [] }, 'methods: '],
    [{ redirectStatus: 200 }, 'redirectStatus: '],
    [{ headers: { 'x y': 'a' } }, 'headers.x y: '],
    [{ timeouts: { response: '0s' } }, 'timeouts.response: '],
    [{ timeouts: { total: '1s' } }, 'timeouts: '],
  ])('refuses %j', (more, fault) => {
    expect(faults(trafficRouteSchema, { service: 'shop', ...more })).toContain(fault);
  });
});

describe('a policy', () => {
  it('is complete when nothing is said', () => {
    expect(servicePolicySchema.parse({})).toEqual({
      policy: 'weighted-round-robin',
      mode: 'members',
      retry: { attempts: 3 },
      limits: { queue: 256, queueTimeout: '1s' },
      slowStart: '0s',
      slowStartMinPercent: 10,
      outlier: {
        enabled: true,
        consecutiveFailures: 5,
        consecutiveConnectFailures: 1,
        baseEjectionTime: '1s',
        maxEjectionTime: '30s',
        maxEjectedPercent: 50,
      },
      maxUnhealthyPercent: 30,
      reapAfter: '60s',
    });
  });

  it.each([
    [{ policy: 'magic' }, 'policy: '],
    [{ retry: { attempts: 0 } }, 'retry.attempts: '],
    [{ retry: { attempts: 6 } }, 'retry.attempts: '],
    [{ retry: { tries: 1 } }, 'retry: '],
    [{ retry: { hedge: {} } }, 'retry.hedge: give either "after" or "quantile"'],
    [{ retry: { hedge: { after: '20ms', quantile: 0.9 } } }, 'retry.hedge: give either "after" or "quantile"'],
    [{ retry: { hedge: { after: '0ms' } } }, 'retry.hedge.after: must be a duration'],
    [{ retry: { hedge: { quantile: 0.4 } } }, 'retry.hedge.quantile: '],
    [{ retry: { hedge: { quantile: 1 } } }, 'retry.hedge.quantile: '],
    [{ limits: { inFlightPerInstance: 0 } }, 'limits.inFlightPerInstance: '],
    [{ limits: { queue: 10_001 } }, 'limits.queue: '],
    [{ limits: { queue: 0.5 } }, 'limits.queue: '],
    [{ limits: { queueTimeout: '9ms' } }, 'limits.queueTimeout: must be a duration such as "3s", from 10ms to 1m'],
    [{ limits: { queueTimeout: '61s' } }, 'limits.queueTimeout: '],
    [{ slowStart: '16m' }, 'slowStart: '],
    [{ slowStart: 10 }, 'slowStart: '],
    [{ slowStartMinPercent: 0 }, 'slowStartMinPercent: '],
    [{ outlier: { consecutiveFailures: 0 } }, 'outlier.consecutiveFailures: '],
    [{ outlier: { maxEjectedPercent: 101 } }, 'outlier.maxEjectedPercent: '],
    [{ outlier: { baseEjectionTime: '1m' } }, 'outlier.maxEjectionTime: must not be shorter than "baseEjectionTime"'],
    [{ outlier: { off: true } }, 'outlier: '],
    [{ maxUnhealthyPercent: 101 }, 'maxUnhealthyPercent: '],
  ])('is never guessed: %j is refused', (more, place) => {
    expect(faults(servicePolicySchema, more)).toContain(place);
  });

  it.each([
    { retry: { hedge: { after: '1ms' } } },
    { retry: { hedge: { quantile: 0.999 } } },
    { limits: { inFlightPerInstance: 1, queue: 0, queueTimeout: '60s' } },
    { slowStart: '15m' },
    { outlier: { enabled: false } },
  ])('takes %j and completes it', (more) => {
    expect(servicePolicySchema.parse(more)).toMatchObject(more);
  });

  it('of a later version is read without what this version does not know', () => {
    const stored = {
      retry: { attempts: 2, hedge: { adaptive: true } },
      limits: { queue: 1, bytes: 7 },
      outlier: { baseEjectionTime: '1m', jitter: 3 },
      future: 1,
    };
    expect(storedServiceSchema.parse(stored)).toMatchObject({
      retry: { attempts: 2, hedge: {} },
      limits: { queue: 1, queueTimeout: '1s' },
      outlier: { baseEjectionTime: '1m', maxEjectionTime: '30s' },
    });
  });
});

describe('a problem document', () => {
  it('carries the reason, and the advice of the table when there is none of its own', () => {
    const problem = problemOf({ code: 'no_instance', detail: 'nobody' }, { instance: '/cart', requestId: 'r-1' });

    expect(problemSchema.parse(problem)).toEqual({
      type: 'urn:switchyard:error:no_instance',
      title: 'No instance can take the request',
      status: 503,
      detail: 'nobody',
      instance: '/cart',
      code: 'no_instance',
      why: [],
      next: 'read why: it names each instance and the reason',
      requestId: 'r-1',
    });
    expect(problemOf({ code: 'no_instance', detail: 'nobody', next: 'start one' }).next).toBe('start one');
  });
});

describe('names in Redis', () => {
  it('share one hash tag, so that a script may touch several on a cluster', () => {
    const all = Object.values(keys).map((key) => (typeof key === 'string' ? key : key('x')));

    expect(new Set(all).size).toBe(all.length);
    for (const key of all) expect(key).toMatch(/^\{switchyard\}:[a-z:-]+$/);
  });

  it('keep the channels that people type', () => {
    expect(channels).toEqual({
      events: 'switchyard:events',
      register: 'switchyard:register',
      heartbeat: 'switchyard:heartbeat',
      doubt: 'switchyard:doubt',
      redisPrimary: 'switchyard:redis-primary',
    });
    expect(platformService('registry')).toBe('switchyard-registry');
  });
});
