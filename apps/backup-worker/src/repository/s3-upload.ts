// How does an object of any length go up with constant memory? In parts, one after the other, each tried again by itself. The store
// makes them one object at the end; until then there is none. Parts of an earlier upload of the same name that never ended are kept
// when they are byte for byte the same.
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { ObjectStoreError } from './object-store.ts';
import type { S3Address } from './s3-address.ts';
import { failureOf, type S3Client } from './s3-client.ts';
import { blocksOf, escapeXml, textOfFirst } from './s3-xml.ts';

/** Uploads to one store. */
export interface S3Upload {
  /** Reads `body` to its end. Leaves no object and no parts when it rejects, as far as the store can be reached. */
  put(name: string, body: Readable, signal: AbortSignal): Promise<{ readonly bytes: number }>;
  /** Ends uploads that began longer ago; without effect where the store cannot list them. */
  abortOlderThan(ageMs: number, signal: AbortSignal): Promise<void>;
}

interface Part {
  readonly number: number;
  readonly etag: string;
}

const smallPartBytes = 8 * 1024 * 1024;
const largePartBytes = 32 * 1024 * 1024;
/** S3 takes 10,000 parts: 8 GB in small ones and 288 GB in large ones. */
const smallParts = 1_000;
const mostParts = 10_000;
const partDeadlineMs = 120_000;
const abortDeadlineMs = 10_000;

/** Uploads through `client`. */
export function createS3Upload(client: S3Client, address: S3Address): S3Upload {
  const uploadsOf = async (
    prefix: string,
    signal: AbortSignal,
  ): Promise<{ key: string; id: string; atMs: number }[]> => {
    try {
      const text = await client.askText({
        method: 'GET',
        query: { uploads: '', prefix: `${address.prefix}${prefix}`, 'max-uploads': '1000' },
        signal,
      });
      return blocksOf(text, 'Upload').map((block) => ({
        key: textOfFirst(block, 'Key'),
        id: textOfFirst(block, 'UploadId'),
        atMs: Date.parse(textOfFirst(block, 'Initiated')),
      }));
    } catch (error) {
      if (error instanceof ObjectStoreError && (error.kind === 'refused' || error.kind === 'missing')) return [];
      throw error;
    }
  };

  /** Parts that are there, by number: hash (MD5 of the part, as S3 gives it) and length. */
  const partsOf = async (
    name: string,
    uploadId: string,
    signal: AbortSignal,
  ): Promise<Map<number, { readonly etag: string; readonly bytes: number }>> => {
    const parts = new Map<number, { etag: string; bytes: number }>();
    let marker = '0';
    for (let isMore = true; isMore && parts.size < mostParts;) {
      const text = await client.askText({
        method: 'GET',
        name,
        query: { uploadId, 'part-number-marker': marker },
        signal,
      });
      for (const block of blocksOf(text, 'Part'))
        parts.set(Number(textOfFirst(block, 'PartNumber')), {
          etag: textOfFirst(block, 'ETag').replaceAll('"', ''),
          bytes: Number(textOfFirst(block, 'Size')),
        });
      const next = textOfFirst(text, 'NextPartNumberMarker');
      isMore = textOfFirst(text, 'IsTruncated') === 'true' && next !== marker;
      marker = next;
    }
    return parts;
  };

  const begin = async (
    name: string,
    signal: AbortSignal,
  ): Promise<{ readonly id: string; readonly known: Awaited<ReturnType<typeof partsOf>> }> => {
    const earlier = (await uploadsOf(name, signal)).findLast(({ key }) => key === `${address.prefix}${name}`);
    if (earlier !== undefined) {
      try {
        return { id: earlier.id, known: await partsOf(name, earlier.id, signal) };
      } catch (error) {
        if (!(error instanceof ObjectStoreError) || error.retryable) throw error;
      }
    }
    const text = await client.askText({ method: 'POST', name, query: { uploads: '' }, signal });
    return { id: textOfFirst(text, 'UploadId'), known: new Map() };
  };

  const complete = async (name: string, id: string, parts: readonly Part[], signal: AbortSignal): Promise<void> => {
    const list = parts.map(
      ({ number, etag }) => `<Part><PartNumber>${number}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`,
    );
    const body = Buffer.from(
      `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list.join('')}</CompleteMultipartUpload>`,
    );
    const { response, attempt } = await client
      .ask({ method: 'POST', name, query: { uploadId: id }, body, signal, deadlineMs: partDeadlineMs })
      .catch(async (error: unknown) => {
        // An earlier try was carried out, only its answer was lost: the upload is gone and the object is there.
        if (!(error instanceof ObjectStoreError) || error.kind !== 'missing') throw error;
        return client.ask({ method: 'HEAD', name, signal }).catch(() => {
          throw error;
        });
      });
    const text = attempt > 0 && response.body !== null ? await response.text() : '';
    // A store may begin its answer with 200 before it knows.
    if (text.includes('<Error')) throw failureOf(`POST ${name}`, { status: 500 }, text);
  };

  const put = async (name: string, body: Readable, signal: AbortSignal): Promise<{ readonly bytes: number }> => {
    let upload: Awaited<ReturnType<typeof begin>> | undefined;
    const parts: Part[] = [];
    let bytes = 0;
    try {
      for await (const part of inParts(body)) {
        signal.throwIfAborted();
        bytes += part.length;
        // A short object needs no parts.
        if (parts.length === 0 && part.length < smallPartBytes) {
          await client.ask({ method: 'PUT', name, body: part, signal, deadlineMs: partDeadlineMs });
          return { bytes };
        }
        upload ??= await begin(name, signal);
        const number = parts.length + 1;
        if (number > mostParts) throw new ObjectStoreError('refused', `${name} is too long for an upload in parts.`);
        parts.push({ number, etag: await sendPart({ name, number, part }, upload, signal) });
      }
      signal.throwIfAborted();
      if (upload === undefined) await client.ask({ method: 'PUT', name, body: Buffer.alloc(0), signal });
      else await complete(name, upload.id, parts, signal);
      return { bytes };
    } catch (error) {
      if (upload !== undefined) await abort(name, upload.id);
      throw error;
    } finally {
      body.destroy();
    }
  };

  const sendPart = async (
    { name, number, part }: { readonly name: string; readonly number: number; readonly part: Buffer },
    { id, known }: Awaited<ReturnType<typeof begin>>,
    signal: AbortSignal,
  ): Promise<string> => {
    const there = known.get(number);
    if (there?.bytes === part.length && there.etag === createHash('md5').update(part).digest('hex'))
      return `"${there.etag}"`;
    const { response } = await client.ask({
      method: 'PUT',
      name,
      query: { partNumber: String(number), uploadId: id },
      body: part,
      signal,
      deadlineMs: partDeadlineMs,
    });
    await response.arrayBuffer();
    return response.headers.get('etag') ?? '';
  };

  // Also when the work was given up: with a deadline of its own, and without hiding why.
  const abort = async (name: string, uploadId: string): Promise<void> => {
    await client
      .ask({ method: 'DELETE', name, query: { uploadId }, signal: AbortSignal.timeout(abortDeadlineMs) })
      .catch(() => undefined);
  };

  return {
    put,
    abortOlderThan: async (ageMs, signal) => {
      for (const { key, id, atMs } of await uploadsOf('', signal)) {
        if (key.startsWith(address.prefix) && atMs < Date.now() - ageMs)
          await abort(key.slice(address.prefix.length), id);
      }
    },
  };
}

/**
 * The bytes in pieces of exactly one part each, the last one shorter (never empty). A piece is valid until the next one is asked for:
 * all of them lie in the same memory.
 */
async function* inParts(body: Readable): AsyncGenerator<Buffer> {
  let part = Buffer.alloc(0);
  let bytes = 0;
  let count = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length;) {
      const wanted = count < smallParts ? smallPartBytes : largePartBytes;
      if (part.length < wanted) part = Buffer.allocUnsafeSlow(wanted);
      const copied = chunk.copy(part, bytes, at);
      at += copied;
      bytes += copied;
      if (bytes < wanted) continue;
      yield part;
      count += 1;
      bytes = 0;
    }
  }
  if (bytes > 0) yield part.subarray(0, bytes);
}
