// How does an answer get from the instance to the client? Head first, then the body at the pace of the slower side. An answer
// that breaks off is never ended as if it were complete.
import { countAnswer } from '../counters.ts';
import type { AnswerHead } from '../http1/answer-head.ts';
import { AnswerBody } from './answer-body.ts';
import { answerText, bodyForm } from './answer-text.ts';
import type { BodyForm } from './answer-text.ts';
import type { ClientConnection } from './client-connection.ts';
import type { Exchange } from './exchange.ts';
import type { RequestFacts } from './request-facts.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** Bytes up to this size go out with their head in one write of text; beyond it the copy costs more than the call. */
const JOINED_BYTES = 4_096;
/** Below the 5 s after which Node's own server closes an idle connection, so that most races never happen. */
const IDLE_MS = 4_000;

/** One answer and everything it has to do with. */
export interface Passage {
  readonly client: ClientConnection;
  readonly exchange: Exchange;
  readonly upstream: UpstreamConnection;
  /** The client may use its connection again afterwards. */
  readonly keepAlive: boolean;
  /** Id of the instance that answers. */
  readonly instance: string;
}

/** The answer of one instance on its way to one client. */
export class AnswerRelay {
  readonly form: BodyForm;
  readonly #passage: Passage;
  readonly #body: AnswerBody;
  readonly #goOn: boolean;

  constructor(passage: Passage) {
    const { exchange, keepAlive, upstream } = passage;
    const { head } = upstream.reader;
    this.#passage = passage;
    const end = head.bodyEnd(exchange.facts.method);
    this.form = bodyForm(end, exchange.facts.minor);
    this.#goOn = keepAlive && this.form !== 'plain-until-close';
    this.#body = new AnswerBody(head, end, this.form);
  }

  /** Sends the head, and what of the body came with it. */
  begin(): void {
    const { client, exchange, upstream, instance } = this.#passage;
    const { bytes, head } = upstream.reader;
    const { counters, options } = client.engine;
    const rest = bytes.length - head.end;
    const isWhole = this.#body.state === 'complete';
    const isJoined = this.#body.end === 'length' && rest <= JOINED_BYTES;
    const parts: Buffer[] = [];
    if (!isWhole && rest > 0) this.#body.feed(bytes, head.end, isJoined ? ignore : (part) => parts.push(part));
    if (this.#body.state === 'broken') {
      // the client has not seen a byte of it yet
      exchange.unusable('its answer is not HTTP (chunks)');
      return;
    }
    countAnswer(counters, head.status);
    const { minor, requestId } = exchange.facts;
    const text = answerText({
      bytes,
      head,
      form: this.form,
      requestId,
      via: options.via,
      date: client.engine.dateLine,
      instance: options.announceInstance ? instance : undefined,
      connection: this.#goOn ? (minor === 0 ? 'keep-alive' : undefined) : 'close',
    });
    const body = this.#body;
    if (isWhole || rest === 0) {
      client.write(text);
      if (isWhole) this.#complete(rest);
    } else if (isJoined) {
      client.write(text + bytes.toString('latin1', head.end, body.taken));
      this.#settle(bytes.length - body.taken);
    } else {
      client.cork();
      client.write(text);
      for (const part of parts) client.writeBytes(part);
      client.uncork();
      this.#hold();
      this.#settle(bytes.length - body.taken);
    }
  }

  /** Takes bytes of the instance from `start` on. */
  feed(bytes: Buffer, start: number): void {
    this.#passage.exchange.moved();
    this.#body.feed(bytes, start, this.#pass);
    this.#hold();
    this.#settle(bytes.length - this.#body.taken);
  }

  /** What the client has not taken at once must not be written over by what is read next. */
  #hold(): void {
    const { client, upstream } = this.#passage;
    if (client.socket.writableLength > 0) upstream.isHeld = true;
  }

  /** The instance has ended its side. */
  upstreamEnded(): void {
    this.#body.ended(this.#pass);
    this.#settle(0);
  }

  /** The connection of the instance is gone. */
  upstreamClosed(): void {
    this.#passage.exchange.cut('its answer broke off');
  }

  /** True when the answer has no end of its own. */
  isEventStream(): boolean {
    const { bytes, head } = this.#passage.upstream.reader;
    const { fields } = head;
    if (this.#body.end === 'none') return false;
    for (let i = 0; i < fields.count; i += 1) {
      const length = (fields.nameEnd[i] as number) - (fields.nameStart[i] as number);
      if (length !== 12 || fields.name(bytes, i).toLowerCase() !== 'content-type') continue;
      return fields.value(bytes, i).startsWith('text/event-stream');
    }
    return false;
  }

  readonly #pass = (part: Buffer): void => this.#passage.client.writeBytes(part);

  #settle(leftover: number): void {
    const { client, exchange, upstream } = this.#passage;
    if (this.#body.state === 'complete') this.#complete(leftover);
    else if (this.#body.state === 'broken') exchange.cut('its answer broke off');
    else if (client.full) upstream.socket.pause();
  }

  /** Not for as long as the instance says it waits: it would close at the moment of reuse. */
  #idleMs(): number {
    const { fields } = this.#passage.upstream.reader.head;
    return fields.keepAliveSeconds < 0 ? IDLE_MS : Math.min(IDLE_MS, fields.keepAliveSeconds * 1_000 - 1_000);
  }

  /** The connection of the instance is kept only when it is certain where its next answer begins. */
  #complete(leftover: number): void {
    const { client, exchange, upstream } = this.#passage;
    const { pools, options, draining } = client.engine;
    const { socket, reader } = upstream;
    const certain = leftover === 0 && exchange.facts.body.done && exchange.leavesNoTrace && this.#body.end !== 'close';
    if (
      certain &&
      !upstream.tainted &&
      reader.head.reusable() &&
      !reader.head.fields.connectionAuth &&
      !draining &&
      !socket.readableEnded &&
      !socket.isPaused()
    ) {
      pools.put(upstream, options.clock.monotonicMs(), this.#idleMs());
    } else upstream.destroy();
    exchange.answered(this.#goOn);
  }
}

const ignore = (): void => undefined;

/** Sends an answer that is complete and brief: head and body in one write. */
export function sendWhole(
  to: {
    readonly client: ClientConnection;
    readonly facts: RequestFacts;
    readonly instance: string;
    readonly goOn: boolean;
  },
  { bytes, head, end }: { readonly bytes: Buffer; readonly head: AnswerHead; readonly end: number },
): void {
  const { client, facts, instance, goOn } = to;
  const { options, counters } = client.engine;
  countAnswer(counters, head.status);
  const text = answerText({
    bytes,
    head,
    form: end === head.end ? 'none' : 'as-it-comes',
    requestId: facts.requestId,
    via: options.via,
    date: client.engine.dateLine,
    instance: options.announceInstance ? instance : undefined,
    connection: goOn ? (facts.minor === 0 ? 'keep-alive' : undefined) : 'close',
  });
  client.write(text + bytes.toString('latin1', head.end, end));
}
