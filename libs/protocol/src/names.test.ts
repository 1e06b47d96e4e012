import type { z } from 'zod';
import {
  hostSchema,
  instanceIdSchema,
  memberOf,
  plainNameSchema,
  portSchema,
  serviceNameSchema,
  splitMember,
} from './names.ts';

const takes = (schema: z.ZodType, values: readonly unknown[]): unknown[] =>
  values.filter((value) => schema.safeParse(value).success);

/** Names that would mean something else in a path, a Redis key, a log line or a shell. */
const hostile = [
  '',
  ' ',
  'a b',
  'a/b',
  '../x',
  '.',
  '..',
  'a\n',
  '\na',
  'a\u0000',
  'a%2fb',
  '*',
  '{a}',
  'ä',
  'a'.repeat(300),
  7,
  null,
];

describe('names', () => {
  it('lets a service be a DNS label and nothing else', () => {
    const good = ['a', '0', 'shop', 'shop-2', 'a--b', 'a'.repeat(63)];

    expect(takes(serviceNameSchema, good)).toEqual(good);
    expect(takes(serviceNameSchema, [...hostile, 'Shop', '-a', 'a-', 'a.b', 'a_b', 'a'.repeat(64)])).toEqual([]);
  });

  it('lets an instance id be what people and container runtimes use', () => {
    const good = ['a', '01ARZ3NDEKTSV4RRFFQ69G5FAV', 'shop-7f3k', '10.0.0.5:3000', 'pod_a.b', 'a'.repeat(128)];

    expect(takes(instanceIdSchema, good)).toEqual(good);
    expect(takes(instanceIdSchema, [...hostile, '-a', 'a-', ':a', 'a.', 'a'.repeat(129)])).toEqual([]);
  });

  it('lets routes and groups have plain names', () => {
    const good = ['a', 'main', 'Api_v1.2', 'a'.repeat(64)];

    expect(takes(plainNameSchema, good)).toEqual(good);
    expect(takes(plainNameSchema, [...hostile, 'a:b', '-a', 'a'.repeat(65)])).toEqual([]);
  });

  it('takes host names and IP addresses, without brackets', () => {
    const good = ['localhost', 'a.example.org', '10.0.0.5', '::1', '2001:db8::5', '::ffff:10.0.0.5', 'node_1'];

    expect(takes(hostSchema, good)).toEqual(good);
    expect(
      takes(hostSchema, [...hostile, '[::1]', 'a:80', ':', '999.0.0.1', '1::2::3', 'http://a', '-a', 'a-', 'user@a']),
    ).toEqual([]);
  });

  it('takes ports from 1 to 65535', () => {
    expect(takes(portSchema, [1, 80, 65_535])).toEqual([1, 80, 65_535]);
    expect(takes(portSchema, [0, -1, 65_536, 1.5, '80', Number.NaN, Infinity, null])).toEqual([]);
  });
});

describe('members', () => {
  it('come apart as they were put together, whatever the id holds', () => {
    for (const [service, id] of [
      ['shop', 'a'],
      ['shop', '10.0.0.5:3000'],
      ['a', 'x.y_z'],
    ] as const) {
      expect(splitMember(memberOf(service, id))).toEqual({ service, id });
    }
  });

  it('are not made of anything else', () => {
    expect(splitMember('shop')).toBeUndefined();
    expect(splitMember('/a')).toBeUndefined();
    expect(splitMember('')).toBeUndefined();
  });
});
