import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { createHealth, createMetrics } from '@switchyard/runtime';
import { freePort, manualClock, startDelayProxy, startObjectServer, type TestObjectServer } from '@switchyard/testing';
import { AwsClient } from 'aws4fetch';
import { publishSmall, quietLogger } from '../test-fixtures.ts';
import { createBackupRepository, type BackupRepository } from './backup-repository.ts';
import { directoryStore } from './directory-store.ts';
import { parseKeys } from './encryption-keys.ts';
import { describeObjectStore, listed } from './object-store-conformance.ts';
import { ObjectStoreError, type ObjectStore } from './object-store.ts';
import { createRepositoryCopier } from './repository-copier.ts';
import { createRepositorySet } from './repository-set.ts';
import { parseS3Address } from './s3-address.ts';
import { createS3Client, type S3Client } from './s3-client.ts';
import { s3Store } from './s3-store.ts';
import { createS3Upload } from './s3-upload.ts';
import { sha256Of } from './segment-chain.ts';

let server: TestObjectServer;
beforeAll(async () => {
  server = await startObjectServer();
}, 90_000);
afterAll(() => server.stop());

let buckets = 0;
async function makeBucket(): Promise<string> {
  buckets += 1;
  const bucket = `switchyard-${process.pid}-${buckets}`;
  const { accessKey: accessKeyId, secretKey: secretAccessKey } = server;
  const aws = new AwsClient({ accessKeyId, secretAccessKey, service: 's3', region: 'us-east-1', retries: 0 });
  const made = await aws.fetch(`${server.endpoint}/${bucket}`, { method: 'PUT' });
  if (!made.ok) throw new Error(`PUT ${bucket}: ${made.status} ${await made.text()}`);
  return bucket;
}

const open = (bucket: string, { endpoint = server.endpoint, prefix = 'backups' } = {}): ObjectStore =>
  s3Store(parseS3Address(`s3://${bucket}/${prefix}?endpoint=${endpoint}`), server);

describeObjectStore('an S3-compatible store', async () => {
  const bucket = await makeBucket();
  return { store: open(bucket), again: () => open(bucket), end: () => Promise.resolve() };
});

const never = new AbortController().signal;
const failure = async (work: Promise<unknown>): Promise<ObjectStoreError> => {
  const error: unknown = await work.then(
    () => 'resolved',
    (failed: unknown) => failed,
  );
  if (error instanceof ObjectStoreError) return error;
  throw new Error(`No ObjectStoreError: ${String(error)}`);
};

describe('s3Store', () => {
  let bucket: string;
  beforeEach(async () => {
    bucket = await makeBucket();
  });
  afterEach(() => server.fail(500, { times: 0 }));

  it('goes on when the store is busy for a moment, and says so when it stays busy', async () => {
    const store = open(bucket);
    await store.put('kept', Buffer.from('old'), { signal: never });
    await server.fail(503, { times: 3 });
    expect(String(await store.read('kept', 3, never))).toBe('old');
    await server.fail(503, { times: 3 });
    await store.put('new', Buffer.from('1'), { ifAbsent: true, signal: never });
    await server.fail(503, { method: 'PUT', times: 100 });
    expect(await failure(store.put('kept', Buffer.from('new'), { signal: never }))).toMatchObject({
      kind: 'unreachable',
      retryable: true,
      message: expect.stringContaining('503'),
    });
    expect(String(await store.read('kept', 3, never))).toBe('old');
  });

  it.each([
    [403, 'refused', 'read-only'],
    [507, 'full', 'full'],
  ])('answers %i as %s: a store that is %s is read, and nothing in it is harmed', async (status, kind) => {
    const store = open(bucket);
    await store.put('kept', Buffer.from('old'), { signal: never });
    await server.fail(status, { method: 'PUT', times: 100 });
    const long = Buffer.alloc(9 * 1024 * 1024);
    for (const work of [
      () => store.prepare(never),
      () => store.put('kept', Buffer.from('new'), { signal: never }),
      () => store.putStream('kept', () => Readable.from([long]), never),
    ])
      expect(await failure(work())).toMatchObject({ kind, message: expect.stringContaining(String(status)) });
    expect((await listed(store)).map(({ name, bytes }) => [name, bytes])).toEqual([['kept', 3]]);
    expect(String(await store.read('kept', 3, never))).toBe('old');
  });

  it('says that credentials are wrong or the bucket is missing, without telling the secret', async () => {
    const address = parseS3Address(`s3://${bucket}/x?endpoint=${server.endpoint}`);
    const wrong = s3Store(address, { accessKey: server.accessKey, secretKey: 'not-the-secret' });
    for (const work of [wrong.prepare(never), wrong.read('a', 1, never)]) {
      const failed = await failure(work);
      expect(failed).toMatchObject({ kind: 'refused', message: expect.stringContaining('SignatureDoesNotMatch') });
      expect(JSON.stringify([failed.message, failed.stack])).not.toContain('not-the-secret');
    }
    const nowhere = open('there-is-no-such-bucket');
    expect(await failure(nowhere.prepare(never))).toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('NoSuchBucket'),
    });
  });

  it('says that nobody listens', async () => {
    const store = open(bucket, { endpoint: `http://127.0.0.1:${await freePort()}` });
    expect(await failure(store.read('a', 1, never))).toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('reads on from where a connection broke off', async () => {
    const proxy = await startDelayProxy({ to: server, delayMs: 0 });
    try {
      const store = open(bucket, { endpoint: `http://127.0.0.1:${proxy.port}` });
      const body = randomBytes(12 * 1024 * 1024);
      await store.putStream('long', () => Readable.from([body]), never);
      const hash = createHash('sha256');
      let cuts = 0;
      let bytes = 0;
      for await (const chunk of (await store.get('long', { signal: never })) as AsyncIterable<Buffer>) {
        hash.update(chunk);
        bytes += chunk.length;
        if (bytes > (cuts + 1) * 3 * 1024 * 1024 && cuts < 3) {
          cuts += 1;
          proxy.cut('reset');
          proxy.mend();
        }
      }
      expect({ cuts, sha256: hash.digest('hex') }).toEqual({ cuts: 3, sha256: sha256Of(body) });
    } finally {
      await proxy.stop();
    }
  });

  it('takes up an upload that was cut off, and sends no part twice', async () => {
    const proxy = await startDelayProxy({ to: server, delayMs: 5 });
    try {
      const address = parseS3Address(`s3://${bucket}/backups?endpoint=http://127.0.0.1:${proxy.port}`);
      const client = createS3Client(address, server);
      const sent: string[] = [];
      const watched: S3Client = {
        ...client,
        ask: async (request) => {
          const answer = await client.ask(request);
          if (request.query?.['partNumber'] !== undefined) sent.push(request.query['partNumber']);
          return answer;
        },
      };
      const piece = randomBytes(1024 * 1024);
      const pieces = 30;
      const content = async function* content(onPiece: (index: number) => void): AsyncGenerator<Buffer> {
        for (let index = 0; index < pieces; index += 1) {
          onPiece(index);
          yield Buffer.concat([Buffer.from([index]), piece.subarray(1)]);
          await pause(1);
        }
      };
      const upload = createS3Upload(watched, address);
      const broken = Readable.from(content((index) => (index === 20 ? proxy.cut('reset') : undefined)));
      expect((await failure(upload.put('main/long', broken, never))).kind).toBe('unreachable');
      expect(sent).toEqual(['1', '2']);
      proxy.mend();
      expect(await listed(open(bucket))).toEqual([]);
      await upload.put('main/long', Readable.from(content(() => undefined)), never);
      expect(sent).toEqual(['1', '2', '3', '4']);
      const stored = await open(bucket).read('main/long', pieces * piece.length, never);
      expect(Array.from({ length: pieces }, (_, index) => stored[index * piece.length])).toEqual(
        Array.from({ length: pieces }, (_, index) => index),
      );
    } finally {
      await proxy.stop();
    }
  });

  it('looks first where a store does not keep conditions', async () => {
    const plain = await startObjectServer({ conditional: false });
    try {
      const aws = new AwsClient({
        accessKeyId: plain.accessKey,
        secretAccessKey: plain.secretKey,
        service: 's3',
        region: 'us-east-1',
        retries: 0,
      });
      await aws.fetch(`${plain.endpoint}/plain-bucket`, { method: 'PUT' });
      const store = s3Store(parseS3Address(`s3://plain-bucket?endpoint=${plain.endpoint}`), plain);
      await store.prepare(never);
      await store.put('one', Buffer.from('first'), { ifAbsent: true, signal: never });
      expect((await failure(store.put('one', Buffer.from('second'), { ifAbsent: true, signal: never }))).kind).toBe(
        'exists',
      );
      expect(String(await store.read('one', 5, never))).toBe('first');
    } finally {
      await plain.stop();
    }
  }, 90_000);
});

describe('a directory with an encrypted copy in an S3-compatible store', () => {
  it('is rebuilt from the copy alone, with the key only', async () => {
    const root = await mkdtemp(join(tmpdir(), 'switchyard-test-copy-'));
    try {
      const copy = open(await makeBucket());
      const set = createRepositorySet([directoryStore(root), copy], () => 0);
      await set.prepare(never);
      const keys = parseKeys(randomBytes(32).toString('hex'));
      const label = await publishSmall(createBackupRepository({ store: set, keys }), 1_000);
      const clock = manualClock({ unixMs: Date.now() });
      const health = createHealth({ clock });
      const copier = createRepositoryCopier({ set, metrics: createMetrics(), health, clock, logger: quietLogger });
      expect([...(await copier.copyNow(never)).values()]).toEqual([0]);
      await rm(root, { recursive: true });
      const reading = async (repository: BackupRepository): Promise<string> => {
        const found = await repository.find(label);
        const file = found.ok ? found.value.manifest.files[0] : undefined;
        if (!found.ok || file === undefined) throw new Error('It is not there.');
        let text = '';
        for await (const chunk of repository.read(found.value.manifest, file, never)) text += String(chunk);
        return text;
      };
      expect(await reading(createBackupRepository({ store: copy, keys }))).toBe('data');
      await expect(reading(createBackupRepository({ store: copy }))).rejects.toMatchObject({
        refusal: { code: 'key_missing', why: [`key ${keys.current?.id}`] },
      });
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});

describe('parseS3Address', () => {
  it('reads bucket, prefix, endpoint and region', () => {
    expect(parseS3Address('s3://my-bucket/a/b/?endpoint=http://127.0.0.1:9000&region=eu-1')).toEqual({
      bucket: 'my-bucket',
      prefix: 'a/b/',
      endpoint: 'http://127.0.0.1:9000',
      region: 'eu-1',
    });
    expect(parseS3Address('s3://my-bucket?region=eu-central-1').endpoint).toBe('https://s3.eu-central-1.amazonaws.com');
  });

  it.each([
    'http://x',
    's3://',
    's3://UP',
    's3://b',
    's3://bucket/../x?a=b',
    's3://user:secret@bucket/x',
    's3://bucket/x?endpoint=ftp://x',
    's3://bucket/x?endpoint=http://host/path',
    's3://bucket/x?region=a b',
    's3://bucket/x?secret=1',
  ])('refuses %s without repeating it', (text) => {
    expect(() => parseS3Address(text)).toThrow();
    expect(() => parseS3Address(text)).not.toThrow(/secret@/);
  });
});
