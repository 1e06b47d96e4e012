// Golden documents: each was written by some version of Switchyard, may lie in a Redis or a repository somewhere, and has
// to be read for ever. A fixture is never changed; a change of the format adds another one.
import { readdirSync, readFileSync } from 'node:fs';
import type { z } from 'zod';
import * as protocol from './index.ts';
import { decode, eventTypes } from './index.ts';

/** File name up to the first dot -> the schema that reads it. */
const schemas: Readonly<Record<string, z.ZodType>> = {
  'active-view': protocol.activeViewSchema,
  'backup-job': protocol.backupJobSchema,
  'backup-manifest': protocol.backupManifestSchema,
  'backup-request': protocol.backupRequestSchema,
  'backup-verification': protocol.backupVerificationSchema,
  'backup-view': protocol.backupViewSchema,
  event: protocol.eventSchema,
  handover: protocol.handoverBodySchema,
  'heartbeat-body': protocol.heartbeatBodySchema,
  'heartbeat-message': protocol.heartbeatMessageSchema,
  'instance-input': protocol.instanceInputSchema,
  'instance-patch': protocol.instancePatchSchema,
  'instance-view': protocol.instanceViewSchema,
  'lease-input': protocol.leaseInputSchema,
  'lease-view': protocol.leaseViewSchema,
  operation: protocol.operationSchema,
  problem: protocol.problemSchema,
  'redis-address': protocol.redisAddressSchema,
  'redis-failover': protocol.redisFailoverSchema,
  'redis-group': protocol.redisGroupViewSchema,
  'register-message': protocol.registerMessageSchema,
  route: protocol.trafficRouteSchema,
  'route-view': protocol.routeViewSchema,
  'service-policy': protocol.servicePolicySchema,
  'service-view': protocol.serviceViewSchema,
  'stored-instance': protocol.storedInstanceSchema,
  'stored-lease': protocol.storedLeaseSchema,
  'stored-route': protocol.storedRouteSchema,
  'stored-service': protocol.storedServiceSchema,
};

const root = new URL('fixtures/', import.meta.url);
const fixtures = readdirSync(root)
  .toSorted()
  .flatMap((version) => readdirSync(new URL(`${version}/`, root)).map((file) => `${version}/${file}`));
const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, root), 'utf8'));
const kindOf = (path: string): string => path.replace(/^.*\//, '').replace(/\..*$/, '');

/** True when each value of `part` stands unchanged in `whole`, which may have more. */
const holds = (whole: unknown, part: unknown): boolean =>
  typeof part === 'object' && part !== null
    ? typeof whole === 'object' &&
      whole !== null &&
      Object.entries(part).every(([name, value]) => holds((whole as Record<string, unknown>)[name], value))
    : Object.is(whole, part);

describe('golden documents', () => {
  it.each(fixtures)('%s is read', (path) => {
    const schema = schemas[kindOf(path)];
    if (!schema) throw new Error(`no schema reads ${path}: name it in this test`);

    const decoded = decode(schema, read(path), path);

    expect(decoded).toMatchObject({ ok: true });
  });

  it.each(fixtures.filter((path) => !path.includes('later-version')))('%s loses nothing', (path) => {
    const decoded = decode(schemas[kindOf(path)] as z.ZodType, read(path), path);

    expect(decoded.ok && holds(decoded.value, read(path))).toBe(true);
  });

  it('exist for every schema', () => {
    expect([...new Set(fixtures.map(kindOf))].toSorted()).toEqual(Object.keys(schemas).toSorted());
  });

  it('exist for every type of event', () => {
    const types = fixtures
      .filter((path) => kindOf(path) === 'event')
      .map((path) => (read(path) as { type: string }).type);

    expect([...new Set(types)].toSorted()).toEqual([...eventTypes].toSorted());
  });

  it.each(Object.keys(schemas))('%s refuses what is none, with a reason', (kind) => {
    for (const nonsense of [
      null,
      [],
      'text',
      7,
      { formatVersion: 99, service: 7, policy: 7, code: [], task: 'none', type: 'none' },
    ]) {
      const decoded = decode(schemas[kind] as z.ZodType, nonsense);

      expect(decoded).toMatchObject({ ok: false, error: { code: 'invalid_input' } });
    }
  });
});
