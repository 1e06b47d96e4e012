// What does the caller learn when something goes wrong? The only place where errors and refusals become HTTP (RFC 9457).
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Refusal } from '@switchyard/protocol';
import { RefusalError, errorTable, problemMediaType, problemOf } from '@switchyard/protocol';
import { DeadlineError } from '@switchyard/runtime';

/** Which request a problem belongs to. */
export interface Occurrence {
  readonly requestId: string;
  /** Path without the query, which may hold secrets. */
  readonly instance: string;
}

/** Turns an I/O error that the service knows into a refusal ("Redis is away" into 503); undefined for all others. */
export type ErrorToRefusal = (error: unknown) => Refusal | undefined;

const longestInstance = 512;

/** The request's path, cut to a sensible length. */
export const instanceOf = (req: IncomingMessage): string =>
  (req.url ?? '/').split('?', 1)[0]?.slice(0, longestInstance) ?? '/';

/** Sends the problem document. Does nothing when the response has begun; then it can only be cut off. */
export const sendProblem = (
  res: ServerResponse,
  refusal: Refusal,
  options: Occurrence & {
    readonly headers?: Readonly<Record<string, string>> | undefined;
    /** Members beyond the standard ones. */
    readonly extensions?: Readonly<Record<string, unknown>> | undefined;
  },
): void => {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const { status, retryable } = errorTable[refusal.code];
  res.statusCode = status;
  res.setHeader('content-type', problemMediaType);
  if (status === 503 && retryable) res.setHeader('retry-after', '1');
  for (const [name, value] of Object.entries(options.headers ?? {})) res.setHeader(name, value);
  const { instance, requestId } = options;
  res.end(JSON.stringify({ ...options.extensions, ...problemOf(refusal, { instance, requestId }) }));
};

/** An error that nobody foresaw; its text stays in the log. */
export const internalRefusal: Refusal = {
  code: 'internal',
  detail: 'the request failed for a reason that is in the log',
};

/** The refusal that an error stands for; undefined for a defect. */
export const refusalOf = (error: unknown, errorToRefusal?: ErrorToRefusal): Refusal | undefined => {
  if (error instanceof RefusalError) return error.refusal;
  const known = errorToRefusal?.(error);
  if (known !== undefined) return known;
  if (error instanceof DeadlineError) return { code: 'timed_out', detail: error.message };
  return refusalOfParser(error);
};

/** Errors of Express and its body parser, which carry `type` and a 4xx `status`. */
const refusalOfParser = (error: unknown): Refusal | undefined => {
  if (typeof error !== 'object' || error === null) return undefined;
  const { type, status, limit, message } = error as {
    readonly type?: unknown;
    readonly status?: unknown;
    readonly limit?: unknown;
    readonly message?: unknown;
  };
  if (typeof status !== 'number' || status < 400 || status > 499) return undefined;
  switch (type) {
    case 'entity.parse.failed':
      return { code: 'malformed_json', detail: 'the body is not JSON', why: [shorten(String(message))] };
    case 'entity.too.large':
      return { code: 'too_large', detail: `the body is larger than ${String(limit)} bytes` };
    case 'encoding.unsupported':
    case 'charset.unsupported':
      return { code: 'unsupported_media_type', detail: shorten(String(message)) };
    default:
      return {
        code: 'malformed_request',
        detail: error instanceof URIError ? 'the path has a malformed percent-encoding' : 'the request cannot be read',
      };
  }
};

const shorten = (text: string): string => text.slice(0, 200);
