// How do objects lie in an S3-compatible store? Under their own names behind a prefix. Long ones go up in parts, which the store puts
// together at the end; parts that an earlier, killed process sent are used again when they are the same.
import { PassThrough, Readable } from 'node:stream';
import { checkObjectName, checkPrefix, isObjectName } from './object-name.ts';
import { ObjectStoreError, type ObjectStore, type StoredObject } from './object-store.ts';
import type { S3Address, S3Credentials } from './s3-address.ts';
import { createS3Client, LateExistsError, reasonOf } from './s3-client.ts';
import { tooLong } from './directory-store.ts';
import { createS3Upload } from './s3-upload.ts';
import { blocksOf, textOfFirst, textsOf } from './s3-xml.ts';

/** No interface name begins with a dot, so it is nobody's object. */
const probeName = '.switchyard-writable';
/** An upload that began so long ago is not going on any more. */
const abandonedAfterMs = 7 * 86_400_000;
const pageObjects = 1_000;
/** Nothing came for so long: the connection is asked for anew. */
const idleMs = 30_000;
const resumptions = 5;

/** A store in the bucket and prefix of `address`. Connects to nothing until a method is called. */
export function s3Store(address: S3Address, credentials: S3Credentials): ObjectStore {
  const client = createS3Client(address, credentials);
  const upload = createS3Upload(client, address);
  /** Whether the store keeps `If-None-Match: *`; found out by `prepare`. */
  let isConditional: boolean | undefined;

  const pageOf = async (
    prefix: string,
    options: { readonly delimiter?: string; readonly token: string; readonly signal: AbortSignal },
  ): Promise<string> =>
    client.askText({
      method: 'GET',
      query: {
        'list-type': '2',
        prefix: `${address.prefix}${prefix}`,
        'max-keys': String(pageObjects),
        ...(options.delimiter === undefined ? {} : { delimiter: options.delimiter }),
        ...(options.token === '' ? {} : { 'continuation-token': options.token }),
      },
      signal: options.signal,
    });

  async function* pages(
    prefix: string,
    options: { readonly delimiter?: string; readonly signal: AbortSignal },
  ): AsyncGenerator<string> {
    let token = '';
    do {
      const page = await pageOf(prefix, { ...options, token });
      yield page;
      token = textOfFirst(page, 'IsTruncated') === 'true' ? textOfFirst(page, 'NextContinuationToken') : '';
    } while (token !== '');
  }

  const put = async (
    name: string,
    body: Buffer,
    { ifAbsent = false, signal }: { readonly ifAbsent?: boolean; readonly signal: AbortSignal },
  ): Promise<void> => {
    checkObjectName(name);
    signal.throwIfAborted();
    // A store that does not know the condition would replace it without a word: it is asked first, which leaves a short moment.
    if (ifAbsent && isConditional !== true && (await exists(name, signal)))
      throw new ObjectStoreError('exists', `There is ${name} already.`);
    try {
      await client.ask({
        method: 'PUT',
        name,
        body,
        signal,
        ...(ifAbsent && isConditional !== false ? { headers: { 'if-none-match': '*' } } : {}),
      });
    } catch (error) {
      if (
        ifAbsent &&
        isConditional === undefined &&
        error instanceof ObjectStoreError &&
        / 501\b/.test(error.message)
      ) {
        isConditional = false;
        return put(name, body, { ifAbsent, signal });
      }
      const isOurs =
        error instanceof LateExistsError &&
        body.equals(await read(name, body.length, signal).catch(() => Buffer.alloc(0)));
      if (!isOurs) throw error;
    }
  };

  const exists = async (name: string, signal: AbortSignal): Promise<boolean> => {
    try {
      await client.ask({ method: 'HEAD', name, signal });
      return true;
    } catch (error) {
      if (error instanceof ObjectStoreError && error.kind === 'missing') return false;
      throw error;
    }
  };

  /** One answer with the bytes from `from` on; null when there are none any more. */
  const piece = async (
    name: string,
    range: { readonly from: number; readonly to: number | undefined; readonly etag: string },
    signal: AbortSignal,
  ): Promise<Response | null> => {
    const { from, to, etag } = range;
    const wanted = from === 0 && to === undefined ? {} : { range: `bytes=${from}-${to === undefined ? '' : to - 1}` };
    const same = etag === '' ? {} : { 'if-match': etag };
    try {
      return (await client.ask({ method: 'GET', name, headers: { ...wanted, ...same }, signal })).response;
    } catch (error) {
      // 416: the object ends before `from`.
      if (error instanceof ObjectStoreError && / 416\b/.test(error.message)) return null;
      throw error;
    }
  };

  /** All bytes, asked for anew from where they broke off. */
  async function* bytesOf(
    first: Response,
    { name, from, to }: { readonly name: string; readonly from: number; readonly to: number | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    const etag = first.headers.get('etag') ?? '';
    const expected = Number(first.headers.get('content-length') ?? Number.NaN);
    let at = from;
    let response: Response | null = first;
    for (let attempt = 1; response !== null; attempt += 1) {
      try {
        for await (const chunk of chunksOf(response, signal)) {
          at += chunk.length;
          yield chunk;
        }
        if (Number.isNaN(expected) || at - from === expected) return;
        throw new Error(`it ended after ${at - from} of ${expected} bytes`);
      } catch (error) {
        signal.throwIfAborted();
        if (attempt === resumptions || etag === '')
          throw new ObjectStoreError('unreachable', `GET ${name}: ${reasonOf(error)}`, { cause: error });
        response = at - from === expected ? null : await piece(name, { from: at, to, etag }, signal);
      }
    }
  }

  const get = async (
    name: string,
    { from = 0, to, signal }: { readonly from?: number; readonly to?: number; readonly signal: AbortSignal },
  ): Promise<Readable> => {
    checkObjectName(name);
    signal.throwIfAborted();
    if (to !== undefined && to <= from) {
      if (!(await exists(name, signal))) throw new ObjectStoreError('missing', `There is no ${name}.`);
      return new PassThrough().end();
    }
    const first = await piece(name, { from, to, etag: '' }, signal);
    if (first === null) return new PassThrough().end();
    return Readable.from(bytesOf(first, { name, from, to }, signal), { objectMode: false });
  };

  const read = async (name: string, mostBytes: number, signal: AbortSignal): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of (await get(name, { to: mostBytes + 1, signal })) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      chunks.push(chunk);
    }
    if (bytes > mostBytes) throw tooLong(name, bytes, mostBytes);
    return Buffer.concat(chunks);
  };

  return {
    place: `s3://${address.bucket}/${address.prefix} at ${address.endpoint}`,

    prepare: async (signal) => {
      signal.throwIfAborted();
      const body = Buffer.from('writable\n');
      await client.ask({ method: 'PUT', name: probeName, body, signal });
      if (isConditional === undefined) {
        isConditional = await client
          .ask({ method: 'PUT', name: probeName, body, headers: { 'if-none-match': '*' }, signal })
          .then(
            () => false,
            (error: unknown) => {
              if (error instanceof ObjectStoreError && error.kind === 'exists') return true;
              if (error instanceof ObjectStoreError && error.kind === 'refused') return false;
              throw error;
            },
          );
      }
      await client.ask({ method: 'DELETE', name: probeName, signal });
      await upload.abortOlderThan(abandonedAfterMs, signal);
    },

    list: async function* list(prefix, signal) {
      checkPrefix(prefix);
      signal.throwIfAborted();
      for await (const page of pages(prefix, { signal })) {
        for (const entry of blocksOf(page, 'Contents')) {
          const object = objectOf(entry, address.prefix);
          if (object !== undefined) yield object;
        }
      }
    },

    folders: async (prefix, signal) => {
      checkPrefix(prefix);
      signal.throwIfAborted();
      const found: string[] = [];
      for await (const page of pages(prefix, { delimiter: '/', signal })) {
        for (const common of blocksOf(page, 'CommonPrefixes').flatMap((block) => textsOf(block, 'Prefix'))) {
          const folder = common.slice(address.prefix.length + prefix.length, -1);
          if (isObjectName(folder)) found.push(folder);
        }
      }
      return found.toSorted((a, b) => (a < b ? -1 : 1));
    },

    get,
    read,
    put,

    putStream: async (name, body, signal) => {
      checkObjectName(name);
      signal.throwIfAborted();
      return upload.put(name, body(), signal);
    },

    remove: async (name, signal) => {
      checkObjectName(name);
      signal.throwIfAborted();
      try {
        await client.ask({ method: 'DELETE', name, signal });
      } catch (error) {
        if (!(error instanceof ObjectStoreError) || error.kind !== 'missing') throw error;
      }
    },

    close: () => Promise.resolve(),
  };
}

function objectOf(entry: string, prefix: string): StoredObject | undefined {
  const key = textOfFirst(entry, 'Key');
  const name = key.slice(prefix.length);
  const bytes = Number(textOfFirst(entry, 'Size'));
  const modifiedAtMs = Date.parse(textOfFirst(entry, 'LastModified'));
  if (!key.startsWith(prefix) || !isObjectName(name) || !Number.isSafeInteger(bytes)) return undefined;
  return { name, bytes, modifiedAtMs: Number.isFinite(modifiedAtMs) ? modifiedAtMs : 0 };
}

async function* chunksOf(response: Response, signal: AbortSignal): AsyncGenerator<Buffer> {
  if (response.body === null) return;
  const reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  let why: Error | undefined;
  const stop = (reason: Error): void => {
    why ??= reason;
    void reader.cancel(reason).catch(() => undefined);
  };
  const onAbort = (): void => stop(new Error('it is no longer wanted'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (;;) {
      const timer = setTimeout(() => stop(new Error(`nothing came for ${idleMs} ms`)), idleMs);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (why !== undefined) throw why;
      if (done) return;
      yield Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop(new Error('read enough'));
  }
}
