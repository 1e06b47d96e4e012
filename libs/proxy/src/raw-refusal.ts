// How is something answered that never became a request? What the parser refuses, and CONNECT: by hand, then the
// connection ends, because nobody knows where the next request would begin.
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Refusal } from '@switchyard/protocol';
import { countRefusal, type EngineContext } from './engine-context.ts';
import { headText } from './interim-answer.ts';
import { refusalAnswer } from './refusal.ts';

/** So long the client may read its answer before the connection is gone. */
const lingerMs = 1_000;

/** Answers the refusal on the bare socket and ends the connection. `status` goes over the error table's. */
export function refuseRaw(engine: EngineContext, socket: Socket, refusal: Refusal, status?: number): void {
  const requestId = engine.newRequestId();
  const answer = refusalAnswer(refusal, { requestId, path: '/', headers: [] }, status);
  countRefusal(engine.counters, refusal.code);
  engine.options.policy.report({
    requestId,
    method: '',
    target: '',
    host: '',
    route: undefined,
    service: undefined,
    end: 'refused',
    status: answer.status,
    code: refusal.code,
    why: refusal.why ?? [],
    attempts: [],
    startedUnixMs: engine.options.clock.unixMs(),
    tookMs: 0,
  });
  const head = headText(`HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`, [
    ...answer.headers,
    'Connection',
    'close',
  ]);
  socket.on('error', () => socket.destroy());
  socket.write(head + answer.body);
  endSoon(engine, socket);
}

/** Ends the connection as soon as the client has read what was written, and shortly afterwards in any case. */
export function endSoon(engine: EngineContext, socket: Socket): void {
  socket.end();
  socket.resume();
  const deadline = engine.deadlines.open(() => socket.destroy());
  deadline.set(lingerMs);
  socket.once('close', () => deadline.close());
}

/** The refusal for an error of the server's parser; undefined when there is nothing to say to the client. */
export function refusalOfParser(
  error: NodeJS.ErrnoException,
  bytesRead: number,
): { readonly refusal: Refusal; readonly status?: number } | undefined {
  const code = error.code ?? '';
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    if (bytesRead === 0) return undefined;
    return { refusal: { code: 'timed_out', detail: 'The head of the request did not come in time.' }, status: 408 };
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return { refusal: { code: 'header_too_large', detail: 'The head of the request is larger than allowed.' } };
  }
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') {
    return { refusal: { code: 'too_large', detail: 'The chunk extensions of the body are larger than allowed.' } };
  }
  if (!code.startsWith('HPE_')) return undefined;
  const reason = (error as { readonly reason?: unknown }).reason;
  const why = typeof reason === 'string' ? [reason] : [code];
  return { refusal: { code: 'malformed_request', detail: 'The request cannot be read.', why } };
}
