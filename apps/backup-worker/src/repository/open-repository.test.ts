import { randomBytes } from 'node:crypto';
import { ConfigError } from '@switchyard/runtime';
import { openRepository } from './open-repository.ts';

describe('openRepository', () => {
  const s3 = { s3AccessKey: 'access', s3SecretKey: 'very-secret' };

  it('opens a directory, and several as one', () => {
    const one = openRepository({ repository: ['/tmp/backups'] });
    expect(one).toMatchObject({ set: undefined, stateDirectory: '/tmp/backups', store: { place: '/tmp/backups' } });
    const two = openRepository({ repository: ['s3://bucket/a?endpoint=http://h:1', '/tmp/b'], ...s3 });
    expect(two).toMatchObject({
      stateDirectory: '/tmp/b',
      store: { place: 's3://bucket/a/ at http://h:1, /tmp/b' },
    });
    expect(two.set?.copies).toHaveLength(2);
  });

  it.each([
    [{ repository: [] }, 'names no repository'],
    [{ repository: ['/tmp/a', '/tmp/../tmp/a'] }, 'twice'],
    [{ repository: ['s3://bucket/x'] }, 'SWITCHYARD_BACKUP_S3_ACCESS_KEY'],
    [{ repository: ['ftp://host/x'], ...s3 }, 'is no s3://'],
    [{ repository: ['s3://user:very-secret@bucket/x'], ...s3 }, 'holds credentials'],
    [{ repository: ['/tmp/a'], keys: 'very-secret' }, 'Line 1 of the key file is no key'],
  ])('refuses %j, and tells no secret', (config, problem) => {
    const open = (): unknown => openRepository(config);
    expect(open).toThrow(ConfigError);
    expect(open).toThrow(problem);
    expect(open).not.toThrow('very-secret');
  });

  it('encrypts with the first key of the file', () => {
    const keys = [randomBytes(32), randomBytes(32)].map((key) => key.toString('hex'));
    const { current } = openRepository({ repository: ['/tmp/a'], keys: keys.join('\n') }).keys;
    expect(current?.id).toBe(openRepository({ repository: ['/tmp/a'], keys: keys[0] ?? '' }).keys.current?.id);
  });
});
