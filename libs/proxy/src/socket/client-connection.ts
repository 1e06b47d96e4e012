// How does one connection from a client work? Its bytes become requests, one after the other; while one is under way the
// bytes behind it wait, so pipelined requests are answered in their order (RFC 9112 9.3).
//
//   WAITING (for a head) -> BUSY (an exchange) -> WAITING ...        -> LINGERING (the rest is thrown away) -> closed
import type { Socket } from 'node:net';
import type { Refusal } from '@switchyard/protocol';
import { CR } from '../http1/bytes.ts';
import { Connection } from '../http1/head.ts';
import { RequestHead } from '../http1/request-head.ts';
import { ClientInput } from './client-input.ts';
import { refuseUnread } from './client-refusal.ts';
import type { EngineState } from './engine-state.ts';
import type { Exchange } from './exchange.ts';
import { headRefusal } from './head-refusal.ts';
import { beginRequest } from './request.ts';
import { claimsOf, forwardedText } from './request-text.ts';

/** How long the rest of a request that nobody wants is taken, so that the client can read its answer (RFC 9112 9.6). */
const LINGER_MS = 5_000;
/** And in all, however it trickles. */
const LONGEST_LINGER_MS = 30_000;

/** A connection from a client. */
export class ClientConnection {
  readonly engine: EngineState;
  readonly socket: Socket;
  readonly peer: string;
  readonly trusted: boolean;
  readonly head = new RequestHead();
  /** the present request goes to the access log */
  logged = false;
  /** the latest authority that was found to be one, and its host: nearly always the same as for the request before */
  checked = { authority: '', host: '' };
  readonly #input = new ClientInput();
  /** so much of an incomplete head has been looked at */
  #looked = 0;
  /** so much of what was written had not been taken at the latest look */
  #untakenBytes = 0;
  #exchange: Exchange | undefined;
  #deadlineMs: number;
  /** the rest is thrown away, then the connection ends or goes on */
  #lingering: { readonly thenGoOn: boolean; readonly untilMs: number } | undefined;
  #ended = false;
  #writtenBefore = 0;
  #forwarded = { authority: '', text: '' };

  constructor(engine: EngineState, socket: Socket) {
    this.engine = engine;
    this.socket = socket;
    this.peer = socket.remoteAddress ?? '';
    this.trusted = engine.trusted.isTrusted(this.peer);
    this.#deadlineMs = this.#now() + engine.options.timeouts.headMs;
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  #now(): number {
    return this.engine.options.clock.monotonicMs();
  }

  get exchange(): Exchange | undefined {
    return this.#exchange;
  }

  /** the bytes in which `head` stands */
  get bytes(): Buffer {
    return this.#input.bytes;
  }

  /** Something is under way that ends by itself: a request, its head, or an answer that is still being taken. */
  get busy(): boolean {
    if (this.#exchange !== undefined) return !this.#exchange.endless;
    return this.socket.writableLength > 0 || (this.#looked > 0 && this.#lingering === undefined);
  }

  /** The client wants another request on this connection. */
  get wantsKeepAlive(): boolean {
    const { connection } = this.head.fields;
    if ((connection & Connection.close) !== 0 || this.#ended) return false;
    return this.head.minor === 1 || (connection & Connection.keepAlive) !== 0;
  }

  /** The client has not taken what was written. */
  get full(): boolean {
    return this.socket.writableNeedDrain;
  }

  /** X-Forwarded-* and Forwarded for the present request. Nearly always the same as for the one before. */
  forwarded(authority: string, strippedPrefix: string): string {
    const plain = !this.trusted && strippedPrefix === '';
    if (plain && authority === this.#forwarded.authority && this.#forwarded.text !== '') return this.#forwarded.text;
    const hop = { peer: this.peer, trusted: this.trusted, scheme: 'http', authority, strippedPrefix } as const;
    const text = forwardedText(hop, claimsOf(this.bytes, this.head.fields));
    if (plain) this.#forwarded = { authority, text };
    return text;
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#lingering) {
      this.#throwAway(chunk);
      return;
    }
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      this.#whileBusy(exchange, chunk);
      return;
    }
    this.#input.append(chunk);
    this.#next();
  };

  /** Body of the request under way, or requests behind it, which wait. */
  #whileBusy(exchange: Exchange, chunk: Buffer): void {
    const { body } = exchange.facts;
    let at = 0;
    if (!body.done) {
      at = body.feed(chunk, 0);
      exchange.clientBody();
      if (this.#exchange !== exchange) {
        // it was answered or refused by these very bytes
        if (at < chunk.length) this.#onData(chunk.subarray(at));
        return;
      }
    }
    if (at === chunk.length) return;
    this.#input.wait(at === 0 ? chunk : chunk.subarray(at));
    if (this.#hasEnough) this.socket.pause();
  }

  /** More is unread than one head may be long: it can wait where it is. */
  get #hasEnough(): boolean {
    return this.#input.unread > this.engine.options.limits.headBytes;
  }

  /** Requests out of what has arrived, until one is under way, a head is incomplete, or the client does not take its answers. */
  #next(): void {
    const { limits, timeouts } = this.engine.options;
    const input = this.#input;
    while (this.#exchange === undefined && this.#lingering === undefined && input.unread > 0 && !this.full) {
      const outcome = this.head.parse(input.bytes, input.at, { from: this.#looked, limit: limits.headBytes });
      if (outcome === 'incomplete') {
        // the time for a head begins with its first byte; an empty line in front of it is none (RFC 9112 2.2)
        if (input.unread <= 2 && input.bytes[input.at] === CR) break;
        if (this.#looked === 0) this.#deadlineMs = this.#now() + timeouts.headMs;
        this.#looked = input.unread;
        break;
      }
      this.#looked = 0;
      if (outcome !== 'complete') {
        this.#refuseHead(outcome);
        return;
      }
      input.at = this.head.end;
      this.#begin();
    }
    if (this.#exchange === undefined) {
      if (input.unread === 0) {
        input.turn();
        if (this.#ended && this.#lingering === undefined) this.socket.end();
      }
      this.resume();
    } else if (this.#exchange.facts.body.done) this.resume();
  }

  #begin(): void {
    const { engine } = this;
    engine.counters.requestsTotal += 1;
    engine.inFlight += 1;
    this.#deadlineMs = Infinity;
    this.#beginLog();
    const exchange = beginRequest(this);
    if (exchange === undefined) return;
    this.#exchange = exchange;
    const { body } = exchange.facts;
    if (!body.done && this.#input.unread > 0) {
      this.#input.at = body.feed(this.#input.bytes, this.#input.at);
      exchange.clientBody();
    }
    if (!exchange.over) exchange.start();
  }

  #beginLog(): void {
    const { accessLog } = this.engine.options;
    if (accessLog === undefined) return;
    this.logged = accessLog.wants();
    this.#writtenBefore = this.socket.bytesWritten;
  }

  /** Bytes of the answer to the present request, once it is logged. */
  answeredBytes(): number {
    return this.socket.bytesWritten - this.#writtenBefore;
  }

  #refuseHead(fault: Parameters<typeof headRefusal>[0]): void {
    const { refusal, status } = headRefusal(fault);
    this.engine.counters.requestsTotal += 1;
    this.engine.inFlight += 1;
    this.refuseUnread(refusal, status);
  }

  /** Refuses a request that no exchange was made of, and ends the connection. */
  refuseUnread(refusal: Refusal, status?: number): void {
    this.#beginLog();
    refuseUnread(this, refusal, status);
    this.exchangeOver(false);
  }

  /** The fields of the present request as text, for those who ask rarely. */
  headerList(): string[] {
    const { fields } = this.head;
    const list: string[] = [];
    if (this.bytes.length < this.head.end) return list;
    for (let i = 0; i < fields.count; i += 1) list.push(fields.name(this.bytes, i), fields.value(this.bytes, i));
    return list;
  }

  write(text: string): void {
    this.socket.write(text, 'latin1');
  }

  writeBytes(part: Buffer): void {
    this.socket.write(part);
  }

  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
  }

  pause(): void {
    this.socket.pause();
  }

  /** Unless it has said more already than is being read. */
  resume(): void {
    if (this.#hasEnough) this.socket.pause();
    else this.socket.resume();
  }

  /** The present request has its answer. */
  exchangeOver(goOn: boolean): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.engine.inFlight -= 1;
    const bodyOpen = exchange !== undefined && !exchange.facts.body.done;
    if (bodyOpen || !goOn) {
      this.#linger(exchange, goOn && bodyOpen && !exchange.facts.body.broken);
      return;
    }
    this.#goOn();
  }

  #goOn(): void {
    this.#deadlineMs = this.#now() + this.engine.options.timeouts.keepAliveMs;
    this.#untakenBytes = 0;
    this.#input.turn();
    this.resume();
    if (this.#input.unread > 0 || this.#ended) queueMicrotask(this.#continue);
  }

  /** A turn of its own: a client that pipelines thousands of refused requests must not grow the stack. */
  readonly #continue = (): void => {
    if (this.#exchange === undefined && this.#lingering === undefined && !this.socket.destroyed) this.#next();
  };

  /** Takes and drops what the client still sends; closing at once would throw the answer away unread. */
  #linger(exchange: Exchange | undefined, thenGoOn: boolean): void {
    this.#lingering = { thenGoOn, untilMs: this.#now() + LONGEST_LINGER_MS };
    this.#discarded = thenGoOn ? exchange : undefined;
    this.#deadlineMs = this.#now() + LINGER_MS;
    this.#untakenBytes = 0;
    if (!thenGoOn) this.socket.end();
    this.socket.resume();
  }

  #discarded: Exchange | undefined;

  #throwAway(chunk: Buffer): void {
    const { untilMs = 0 } = this.#lingering ?? {};
    this.#deadlineMs = Math.min(untilMs, this.#now() + LINGER_MS);
    const exchange = this.#discarded;
    if (exchange === undefined) return;
    const { body } = exchange.facts;
    const at = body.feed(chunk, 0);
    if (body.broken) {
      this.#lingering = { thenGoOn: false, untilMs };
      this.#discarded = undefined;
      this.socket.end();
    } else if (body.done) {
      this.#lingering = undefined;
      this.#discarded = undefined;
      if (at < chunk.length) this.#input.wait(chunk.subarray(at));
      this.#goOn();
    }
  }

  /** The answer broke off. `byReset`: its end would be the end of the connection, so an ordinary end would look complete. */
  breakOff(byReset: boolean): void {
    this.#exchange = undefined;
    this.engine.inFlight -= 1;
    if (byReset) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Gives the bare socket away, to a tunnel, with what has arrived behind the request. */
  detach(): { readonly socket: Socket; readonly held: Buffer } {
    const { socket } = this;
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    const held = this.#input.rest();
    this.#exchange = undefined;
    this.engine.inFlight -= 1;
    this.engine.clients.delete(this);
    socket.once('close', () => (this.engine.counters.connections -= 1));
    return { socket, held };
  }

  /** Ends it when it waits for a request; called while the engine drains. */
  closeIfIdle(): void {
    if (this.#exchange !== undefined || this.#lingering !== undefined || this.#looked > 0) return;
    this.socket.end(() => this.socket.destroy());
  }

  readonly #onDrain = (): void => {
    if (this.#exchange === undefined) this.#continue();
    else this.#exchange.clientDrained();
  };

  /** A client that ends its side while it waits has left: as node:http and nginx take it. */
  readonly #onEnd = (): void => {
    this.#ended = true;
    const exchange = this.#exchange;
    if (exchange === undefined) {
      if (this.#lingering === undefined) this.socket.end();
      else if (this.#lingering.thenGoOn) this.socket.destroy();
    } else this.socket.destroy();
  };

  readonly #onError = (): void => {
    // 'close' follows
  };

  readonly #onClose = (): void => {
    const { engine } = this;
    engine.clients.delete(this);
    engine.counters.connections -= 1;
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    engine.inFlight -= 1;
    exchange.abandon();
  };

  /** Looks at its deadlines; called ten times a second. */
  sweep(nowMs: number): void {
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      exchange.sweep(nowMs);
      return;
    }
    this.#noteTaken(nowMs);
    if (nowMs <= this.#deadlineMs) return;
    this.#deadlineMs = Infinity;
    if (this.#lingering !== undefined || this.#looked === 0 || this.full) {
      this.socket.destroy();
      return;
    }
    this.engine.counters.requestsTotal += 1;
    this.engine.inFlight += 1;
    this.refuseUnread({ code: 'timed_out', detail: 'The head of the request did not come in time.' }, 408);
  }

  /** While the client still takes what was written to it, its other times do not run. */
  #noteTaken(nowMs: number): void {
    const { writableLength } = this.socket;
    if (writableLength === this.#untakenBytes) return;
    this.#untakenBytes = writableLength;
    const { idleMs, headMs, keepAliveMs } = this.engine.options.timeouts;
    const next = this.#lingering !== undefined ? LINGER_MS : this.#looked > 0 ? headMs : keepAliveMs;
    this.#deadlineMs = nowMs + (writableLength > 0 ? idleMs : next);
  }
}
