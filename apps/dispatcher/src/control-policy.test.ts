import { createLogger } from '@switchyard/runtime';
import { manualClock } from '@switchyard/testing';
import { createEjections } from './ejections.ts';
import { createMeters } from '@switchyard/proxy';
import { controlPolicy, ownerApps, ownerOf } from './control-policy.ts';
import { selfTarget } from './listeners.ts';
import { createRequestLog } from './request-log.ts';

const owner = (path: string): string => ownerOf(path)?.service.replace('switchyard-', '') ?? 'nobody';

describe('the owner of a path', () => {
  it.each([
    ['/v1/services', 'registry'],
    ['/v1/services/shop/instances/a/heartbeat', 'registry'],
    ['/v1/routes/default', 'registry'],
    ['/v1/stream', 'registry'],
    ['/v1/redis/groups/main/primary', 'replication-manager'],
    ['/v1/backups/x/verify', 'backup-worker'],
    ['/v1/rollbacks', 'backup-worker'],
    ['/v1/operations/1', 'backup-worker'],
    ['/v1/operations/redis-switchover-1', 'replication-manager'],
    ['/v1/monitors', 'heartbeat-monitor'],
    ['/v1/services/shop/pick', 'dispatcher'],
    ['/v1/routes:test', 'dispatcher'],
    ['/v1/dispatchers', 'dispatcher'],
    ['/v1/requests/r1/why', 'dispatcher'],
    ['/metrics', 'dispatcher'],
    ['/', 'dispatcher'],
    ['/docs', 'dispatcher'],
    ['/v1/servicesx', 'nobody'],
    ['/v1/dispatchersx', 'nobody'],
    ['/v1', 'nobody'],
    ['/control/home', 'nobody'],
    ['/toString', 'nobody'],
  ])('%s is %s', (path, expected) => {
    expect(owner(path)).toBe(expected);
  });

  it('sends pages to where the own API has them', () => {
    expect(ownerOf('/')).toMatchObject({ replacePath: '/control/home' });
    expect(ownerOf('/v1/openapi.json')).toMatchObject({ replacePath: '/control/openapi.json' });
    expect(ownerOf('/v1/dispatchers')).not.toHaveProperty('replacePath');
  });

  it('names every app once', () => {
    expect(ownerApps).toEqual(['registry', 'replication-manager', 'backup-worker', 'heartbeat-monitor', 'dispatcher']);
  });
});

describe('the control listener', () => {
  const self = selfTarget({ id: 'me', address: { host: '0.0.0.0', port: 4723 }, meters: createMeters() });
  const ejections = createEjections({ clock: manualClock(), logger: createLogger('test', { level: 'silent' }) });
  const policy = controlPolicy({ current: () => undefined, self: () => self, log: createRequestLog(4), ejections });

  it('answers its own part without a table, and over loopback', () => {
    expect(policy.pick('switchyard-dispatcher', [])).toMatchObject({ id: 'me', origin: 'http://127.0.0.1:4723' });
    expect(policy.pick('switchyard-dispatcher', ['me'])).toBeUndefined();
    expect(policy.pick('switchyard-registry', [])).toBeUndefined();
  });

  it('refuses what nobody owns, with the way to find out', () => {
    const decision = policy.route({ method: 'GET', host: '', path: '/nonsense', headers: [] });
    expect(decision).toMatchObject({ action: 'refuse', refusal: { code: 'not_found' } });
  });
});
