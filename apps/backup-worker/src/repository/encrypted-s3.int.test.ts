// A worker whose only repository is an S3-compatible store, with a key: seen from outside, as a process of its own.
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { backupViewSchema, pruneViewSchema } from '@switchyard/protocol';
import { eventually, freePort, startObjectServer, startOwned, startRedis } from '@switchyard/testing';
import { AwsClient } from 'aws4fetch';
import { z } from 'zod';
import { listed } from './object-store-conformance.ts';
import { parseS3Address } from './s3-address.ts';
import { s3Store } from './s3-store.ts';

const never = new AbortController().signal;
const listSchema = z.looseObject({ backups: z.array(backupViewSchema) });

describe('a worker with an encrypted S3-compatible repository', () => {
  it('archives, proves, pins and prunes there; nothing readable leaves it, and it starts again from the store alone', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-test-encrypted-'));
    const server = await startObjectServer();
    const redis = await startRedis();
    const port = await freePort();
    const { accessKey, secretKey, endpoint } = server;
    const aws = new AwsClient({
      accessKeyId: accessKey,
      secretAccessKey: secretKey,
      service: 's3',
      region: 'us-east-1',
      retries: 0,
    });
    await aws.fetch(`${endpoint}/worker-bucket`, { method: 'PUT' });
    const address = `s3://worker-bucket/backups?endpoint=${endpoint}`;
    const keyFile = join(directory, 'keys');
    await writeFile(keyFile, `# of this test\n${randomBytes(32).toString('hex')}\n`);
    const start = (name: string): ReturnType<typeof startOwned> =>
      startOwned({
        command: process.execPath,
        args: ['--disable-warning=ExperimentalWarning', join(dirname(fileURLToPath(import.meta.url)), '..', 'main.ts')],
        env: {
          PATH: process.env['PATH'],
          SWITCHYARD_BACKUP_PORT: String(port),
          SWITCHYARD_BACKUP_REPOSITORY: address,
          SWITCHYARD_BACKUP_S3_ACCESS_KEY: accessKey,
          SWITCHYARD_BACKUP_S3_SECRET_KEY: secretKey,
          SWITCHYARD_BACKUP_KEY_FILE: keyFile,
          SWITCHYARD_BACKUP_STATE_DIR: join(directory, name),
          SWITCHYARD_REDIS_URL: redis.url,
          SWITCHYARD_REDIS_SERVER: process.env['SWITCHYARD_REDIS_SERVER'] ?? 'redis-server',
        },
      });
    const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        signal: AbortSignal.timeout(10_000),
      });
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
      return response.json();
    };
    const verified = (wanted?: string): Promise<string> =>
      eventually(
        async () => {
          const { backups } = listSchema.parse(await call('GET', '/v1/backups'));
          const good = backups.find(({ state, label }) => state === 'verified' && label === (wanted ?? label));
          return good?.label ?? null;
        },
        { timeoutMs: 60_000, what: 'A verified backup' },
      );
    let worker = await start('one');
    try {
      await redis.cli('SET', 'secret', 'plain-text-'.repeat(100));
      const label = await verified();
      for (let index = 0; index < 50; index += 1) await redis.cli('SET', `key:${index}`, 'plain-text-'.repeat(100));
      const store = s3Store(parseS3Address(address), server);
      const names = await eventually(
        async () => {
          const found = (await listed(store)).map(({ name }) => name);
          return found.some((name) => name.endsWith('.segment')) ? found : null;
        },
        { timeoutMs: 60_000, what: 'An archived segment' },
      );
      for (const name of names)
        expect(String(await store.read(name, 2 ** 24, never).catch(() => ''))).not.toContain('plain-text-');

      await call('PUT', `/v1/backups/${label}/pin`, { reason: 'for the audit' });
      const plan = pruneViewSchema.parse(await call('POST', '/v1/backups/prune', { group: 'main', dryRun: true }));
      expect(plan).toMatchObject({ dryRun: true, removed: null });
      expect(plan.keep).toContainEqual({ label, reason: 'pinned' });
      expect(plan.stream).toHaveLength(1);
      await call('DELETE', `/v1/backups/${label}/pin`);
      const done = pruneViewSchema.parse(await call('POST', '/v1/backups/prune', {}));
      expect(done.removed).toEqual({ backups: [], segments: 0 });

      worker.signal('SIGKILL');
      await worker.ended();
      worker = await start('another');
      expect(await verified(label)).toBe(label);
      expect(worker.output()).not.toContain(secretKey);
      expect(worker.output()).not.toContain((await readFile(keyFile, 'utf8')).split('\n')[1]);
    } finally {
      await worker.end();
      await redis.stop();
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    }
  }, 240_000);
});
