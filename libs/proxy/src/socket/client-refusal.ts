// How does a client hear a refusal? As an answer of our own on its connection; and the owner of the engine hears of it.
import { STATUS_CODES } from 'node:http';
import type { Refusal } from '@switchyard/protocol';
import { countRefusal } from '../counters.ts';
import { headText } from '../head-text.ts';
import { refusalAnswer } from '../refusal.ts';
import type { ClientConnection } from './client-connection.ts';
import { noteEnd } from './request-end.ts';

/** What is known of the refused request. `close`: the connection ends behind it. */
export interface RefusedRequest {
  readonly requestId: string;
  readonly path: string;
  readonly status?: number | undefined;
  readonly close: boolean;
}

/** Writes a refusal; returns its status. */
export function sendRefusal(client: ClientConnection, refusal: Refusal, about: RefusedRequest): number {
  const { close, status, ...request } = about;
  const answer = refusalAnswer(refusal, { ...request, headers: client.headerList() }, status);
  const end = close || client.engine.draining || !client.wantsKeepAlive ? ['Connection', 'close'] : [];
  const startLine = `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`;
  const head = headText(startLine, [...answer.headers, ...end]);
  client.socket.write(client.head.method === 'HEAD' ? head : head + answer.body);
  return answer.status;
}

/** Refuses a request that could not be read; the connection has to end, because where the next one begins is unknown. */
export function refuseUnread(client: ClientConnection, refusal: Refusal, status?: number): void {
  const { engine } = client;
  const requestId = engine.newRequestId();
  countRefusal(engine.counters, refusal.code);
  const sent = sendRefusal(client, refusal, { requestId, status, close: true, path: '/' });
  const how = { end: 'refused', status: sent, code: refusal.code, why: refusal.why ?? [] } as const;
  const startedMs = engine.options.clock.monotonicMs();
  const nothing = { facts: undefined, decision: undefined, instance: undefined, firstByteMs: undefined };
  noteEnd(client, how, { ...nothing, requestId, attempts: [], startedMs });
}
