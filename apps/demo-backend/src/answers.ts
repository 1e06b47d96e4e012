// What does each address of the demonstration answer? Plain node:http, because a demonstration must not be the slow part.
import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { refuse } from '@switchyard/protocol';
import type { Refusal } from '@switchyard/protocol';
import type { Clock } from '@switchyard/runtime';
import { wholeNumber } from './query.ts';

/** One request on its way to an answer. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Path without query, as it came. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Requests that this process has answered or begun to answer, this one included. */
  readonly served: number;
}

/** Who answers. */
export interface Answerer {
  readonly service: string;
  readonly id: string;
  readonly zone?: string | undefined;
  readonly version: string;
  readonly clock: Clock;
}

/** Answers, or says why not. A promise that rejects is a defect, except after the client went away. */
export type Answer = (exchange: Exchange, who: Answerer) => Refusal | undefined | Promise<Refusal | undefined>;

const plain = 'text/plain; charset=utf-8';
const longestSlowMs = 60_000;
const mostChunks = 10_000;
const longestStreamMs = 600_000;

const send = (res: ServerResponse, type: string, body: string): void => {
  res.setHeader('content-type', type);
  res.setHeader('content-length', Buffer.byteLength(body));
  res.end(body);
};

/** `/`: the "Hello, World!" of every balancer demonstration, with the id that shows who said it. */
export const hello: Answer = ({ res }, { id }) => {
  send(res, plain, `Hello, World! I am ${id}\n`);
  return undefined;
};

/** `/whoami`: what this process is, and the request exactly as it arrived here. */
export const whoami: Answer = ({ req, res, path, served }, { service, id, zone, version }) => {
  const body = {
    service,
    id,
    // The name that answers carry in Switchyard-Instance.
    instance: id,
    pid: process.pid,
    host: req.socket.localAddress ?? null,
    port: req.socket.localPort ?? null,
    zone: zone ?? null,
    version,
    requests: served,
    method: req.method,
    path,
    url: req.url,
    httpVersion: req.httpVersion,
    peer: `${req.socket.remoteAddress ?? '?'}:${req.socket.remotePort ?? '?'}`,
    headers: req.headers,
    rawHeaders: req.rawHeaders,
  };
  send(res, 'application/json; charset=utf-8', `${JSON.stringify(body)}\n`);
  return undefined;
};

/** `/slow?ms=1000`: answers after so long. */
export const slow: Answer = async ({ res, query }, { id, clock }) => {
  const ms = wholeNumber(query, { name: 'ms', min: 0, max: longestSlowMs, fallback: 1_000 });
  if (!ms.ok) return ms.error;
  if (await pause(res, clock, ms.value)) send(res, plain, `${id} took ${ms.value} ms\n`);
  return undefined;
};

const withoutBody = new Set([204, 205, 304]);
const interim: Readonly<Record<number, (res: ServerResponse) => void>> = {
  100: (res) => res.writeContinue(),
  102: (res) => res.writeProcessing(),
  103: (res) => res.writeEarlyHints({ link: '</>; rel=preload' }),
};

/** `/status/:code`: any final status; 100, 102 and 103 are sent ahead of a 200, as they cannot be final. */
export const status: Answer = ({ res, path }, { id }) => {
  const text = path.slice('/status/'.length);
  const code = /^\d{3}$/.test(text) ? Number(text) : 0;
  if (interim[code]) interim[code](res);
  else if (code < 200 || code > 599) {
    return refuse('invalid_input', 'that is not a status an answer can have', {
      why: [`code: must be 100, 102, 103 or a number from 200 to 599, not ${JSON.stringify(text.slice(0, 40))}`],
      next: 'try /status/503',
    }).error;
  }
  const final = interim[code] ? 200 : code;
  res.statusCode = final;
  if (final >= 300 && final <= 308 && final !== 304) res.setHeader('location', '/');
  if (final === 401) res.setHeader('www-authenticate', 'Basic realm="demo-backend"');
  if (final === 429 || final === 503) res.setHeader('retry-after', '1');
  if (withoutBody.has(final)) res.end();
  else send(res, plain, `${final} ${STATUS_CODES[final] ?? 'Unassigned'} from ${id}\n`);
  return undefined;
};

/** `/echo`: the body of the request, streamed back as it comes; it is never held as a whole. */
export const echo: Answer = ({ req, res }) => {
  res.setHeader('content-type', req.headers['content-type'] ?? 'application/octet-stream');
  // What a client sends here must not become a script of this origin in somebody's browser.
  res.setHeader('content-security-policy', 'sandbox');
  for (const name of ['content-encoding', 'content-length'] as const) {
    const value = req.headers[name];
    if (value !== undefined) res.setHeader(name, value);
  }
  return new Promise((resolve) => {
    // An error means that one side went away; `pipeline` has closed the other.
    pipeline(req, res, () => resolve(undefined));
  });
};

/** `/stream?chunks=10&everyMs=200`: so many lines over time, for those who read slowly too. */
export const stream: Answer = async ({ req, res, query }, { id, clock }) => {
  const chunks = wholeNumber(query, { name: 'chunks', min: 1, max: mostChunks, fallback: 10 });
  if (!chunks.ok) return chunks.error;
  const everyMs = wholeNumber(query, { name: 'everyMs', min: 0, max: 10_000, fallback: 200 });
  if (!everyMs.ok) return everyMs.error;
  if (chunks.value * everyMs.value > longestStreamMs) {
    return refuse('invalid_input', 'the stream would take too long', {
      why: [`chunks * everyMs: must be at most ${longestStreamMs} ms, not ${chunks.value * everyMs.value}`],
      next: 'ask for fewer chunks or less time between them',
    }).error;
  }
  res.setHeader('content-type', plain);
  res.flushHeaders();
  for (let n = 1; n <= chunks.value && req.method !== 'HEAD'; n += 1) {
    const taken = res.write(`chunk ${n} of ${chunks.value} from ${id}\n`);
    if (!taken && !(await drained(res))) return undefined;
    if (n < chunks.value && everyMs.value > 0 && !(await pause(res, clock, everyMs.value))) return undefined;
  }
  res.end();
  return undefined;
};

/** Waits; false when the client went away meanwhile. */
const pause = async (res: ServerResponse, clock: Clock, ms: number): Promise<boolean> => {
  const gone = new AbortController();
  const onClose = (): void => gone.abort(new Error('the client went away'));
  if (res.destroyed) return false;
  res.once('close', onClose);
  try {
    await clock.sleep(ms, gone.signal);
    return true;
  } catch (error) {
    if (gone.signal.aborted) return false;
    throw error;
  } finally {
    res.off('close', onClose);
  }
};

/** Resolves when the reader has caught up; false when it went away. */
const drained = (res: ServerResponse): Promise<boolean> =>
  new Promise((resolve) => {
    const settle = (): void => {
      res.off('drain', settle);
      res.off('close', settle);
      resolve(!res.destroyed);
    };
    res.on('drain', settle);
    res.on('close', settle);
    if (res.destroyed) settle();
  });
