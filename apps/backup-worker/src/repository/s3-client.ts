// How is one request made to an S3-compatible store? Signed (AWS signature version 4, by aws4fetch), each try with a deadline, tried
// again while the store is busy or away, and its refusals turned into ObjectStoreErrors.
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { AwsClient } from 'aws4fetch';
import { codeOf, textOf } from '../system-error.ts';
import { ObjectStoreError } from './object-store.ts';
import type { S3Address, S3Credentials } from './s3-address.ts';
import { textOfFirst } from './s3-xml.ts';

/** One request. */
export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Name of an object, without the store's prefix; the bucket itself when left out. */
  readonly name?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly signal: AbortSignal;
  /** Of one try, to the head of the answer; 30 s. */
  readonly deadlineMs?: number;
}

/** An answer, and at which try it came: an earlier one may have been carried out although its answer was lost. */
export interface S3Answer {
  readonly response: Response;
  readonly attempt: number;
}

/** Makes requests to one bucket. */
export interface S3Client {
  /** The answer of a request that was carried out. Rejects with an ObjectStoreError, or with the signal's reason. */
  ask(request: S3Request): Promise<S3Answer>;
  /** The same, with the whole text of the answer (at most 16 MiB). */
  askText(request: S3Request): Promise<string>;
}

const usualDeadlineMs = 30_000;
const attempts = 5;
const firstPauseMs = 100;
const longestTextBytes = 16 * 1024 * 1024;

/** A client; connects to nothing until it is asked. */
export function createS3Client(address: S3Address, credentials: S3Credentials): S3Client {
  const { bucket, prefix, endpoint, region } = address;
  const aws = new AwsClient({
    accessKeyId: credentials.accessKey,
    secretAccessKey: credentials.secretKey,
    service: 's3',
    region,
    retries: 0,
  });

  const tryOnce = async (request: S3Request): Promise<Response> => {
    const { method, name, query = {}, headers = {}, body, deadlineMs = usualDeadlineMs } = request;
    const url = new URL(`${endpoint}/${bucket}${name === undefined ? '' : `/${prefix}${name}`}`);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    // The hash of the body is signed: a store notices when a byte of it was changed on the way.
    const sha256 = createHash('sha256')
      .update(body ?? '')
      .digest('hex');
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
    try {
      const signed = await aws.sign(url, { method, headers: { ...headers, 'x-amz-content-sha256': sha256 } });
      return await fetch(signed, {
        ...(body === undefined ? {} : { body }),
        redirect: 'manual',
        signal: AbortSignal.any([request.signal, deadline.signal]),
      });
    } finally {
      clearTimeout(timer);
    }
  };

  const what = ({ method, name }: S3Request): string => `${method} ${name ?? bucket} at ${endpoint}`;

  const attemptOnce = async (request: S3Request): Promise<Response> => {
    let response: Response;
    try {
      response = await tryOnce(request);
    } catch (error) {
      request.signal.throwIfAborted();
      throw new ObjectStoreError('unreachable', `${what(request)}: ${reasonOf(error)}`, { cause: error });
    }
    if (response.ok) return response;
    const text = await textWithin(response, request.signal).catch(() => '');
    throw failureOf(what(request), response, text);
  };

  const ask = async (request: S3Request): Promise<S3Answer> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return { response: await attemptOnce(request), attempt };
      } catch (error) {
        request.signal.throwIfAborted();
        const isPassing = error instanceof ObjectStoreError && error.retryable && attempt < attempts;
        if (!isPassing)
          throw error instanceof ObjectStoreError && error.kind === 'exists' ? lateExists(error, attempt) : error;
        await pause(firstPauseMs * 2 ** (attempt - 1), undefined, { signal: request.signal }).catch(() => undefined);
        request.signal.throwIfAborted();
      }
    }
  };

  const askText = async (request: S3Request): Promise<string> => {
    for (let attempt = 1; ; attempt += 1) {
      const { response } = await ask(request);
      try {
        return await textWithin(response, request.signal);
      } catch (error) {
        request.signal.throwIfAborted();
        if (attempt === attempts || request.method !== 'GET')
          throw new ObjectStoreError('unreachable', `${what(request)}: ${reasonOf(error)}`, { cause: error });
      }
    }
  };

  return { ask, askText };
}

/** That it exists already, found at a later try: an earlier one may have put it there. */
export class LateExistsError extends ObjectStoreError {}

function lateExists(error: ObjectStoreError, attempt: number): ObjectStoreError {
  return attempt === 1 ? error : new LateExistsError('exists', error.message, { cause: error });
}

async function textWithin(response: Response, signal: AbortSignal): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (response.body === null) return '';
  const late = AbortSignal.any([signal, AbortSignal.timeout(usualDeadlineMs)]);
  const reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const stop = (): void => void reader.cancel(late.reason).catch(() => undefined);
  late.addEventListener('abort', stop, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      late.throwIfAborted();
      if (done) return Buffer.concat(chunks).toString('utf8');
      bytes += value.length;
      if (bytes > longestTextBytes) throw new Error('the answer is too long');
      chunks.push(value);
    }
  } finally {
    late.removeEventListener('abort', stop);
    stop();
  }
}

const fullCodes = /^(?:QuotaExceeded|XMinioStorageFull|InsufficientCapacity|StorageFull|EntityTooLarge)$/;
const busyStatus = new Set([408, 425, 429, 500, 502, 503, 504]);

/** The refusal in an answer. Also used for those that come with status 200 at the end of an upload. */
export function failureOf(what: string, response: { readonly status: number }, text: string): ObjectStoreError {
  const { status } = response;
  const code = textOfFirst(text, 'Code');
  const said = [code, textOfFirst(text, 'Message').slice(0, 200)].filter((part) => part !== '').join(': ');
  const message = `${what}: ${status}${said === '' ? '' : ` ${said}`}`;
  if (fullCodes.test(code) || status === 507 || status === 413) return new ObjectStoreError('full', message);
  if (status === 404 && code !== 'NoSuchBucket') return new ObjectStoreError('missing', message);
  // 409 ConditionalRequestConflict: somebody else is putting it right now; asked again, it is there or not.
  if (status === 409 && code === 'ConditionalRequestConflict') return new ObjectStoreError('unreachable', message);
  if (status === 412) return new ObjectStoreError('exists', message);
  if (busyStatus.has(status) || code === 'SlowDown') return new ObjectStoreError('unreachable', message);
  return new ObjectStoreError('refused', message);
}

/** What fetch hides in the cause of its error. */
export function reasonOf(error: unknown): string {
  const cause = typeof error === 'object' && error !== null && 'cause' in error ? error.cause : undefined;
  if (cause === undefined) return textOf(error);
  return textOf(cause) === '' ? codeOf(cause) : textOf(cause);
}
