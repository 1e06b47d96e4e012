// How do several requests share one connection to an instance? Pipelined (RFC 9112 9.3.2): written together once a turn, answered
// in order. Only requests that may be sent again without harm come here, so whatever happens, those behind are simply sent anew.
//
//   whole, brief answer at the front ---------> given to its client, the next one is at the front
//   long or unbounded answer at the front ----> that request takes the connection over, all behind it leave
//   front waits too long, with others behind -> the same
//   closed, ended, broken --------------------> the front has failed, all behind it leave
import type { AnswerHead } from '../http1/answer-head.ts';
import { AnswerReader } from './answer-reader.ts';
import { BRIEF_BYTES } from './batch-gauge.ts';
import type { BatchGauge } from './batch-gauge.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';

/** A request that shares. */
export interface SharedUser {
  readonly method: string;
  /** Its answer, complete: the head, and the body up to `end`. */
  wholeAnswer(bytes: Buffer, head: AnswerHead, end: number): void;
  /** It has the connection for itself from now on; `bytes` is what has come of its answer. */
  takeOver(connection: UpstreamConnection, bytes: Buffer): void;
  /** It has to be sent again: it stood behind another one. */
  displaced(): void;
  /** The connection failed while it waited for this answer. */
  sharedFailed(how: SharedFailure & { readonly connected: boolean }): void;
}

interface SharedFailure {
  readonly heard: boolean;
  readonly error: NodeJS.ErrnoException | undefined;
  readonly reason?: string;
}

/** A place in the queue. `user` is undefined once it was given up: its answer is thrown away. */
interface Slot {
  user: SharedUser | undefined;
  readonly method: string;
  readonly sinceMs: number;
  /** it has been written: what comes may be its answer */
  sent: boolean;
}

const NOTHING = Buffer.alloc(0);

/** A connection that several requests share. */
export class SharedConnection implements UpstreamUser {
  readonly connection: UpstreamConnection;
  readonly #gauge: BatchGauge;
  readonly #deepest: number;
  readonly #nowMs: () => number;
  readonly #gone: (shared: SharedConnection) => void;
  readonly #reader = new AnswerReader();
  #queue: Slot[] = [];
  #out = '';
  #early: Buffer = NOTHING;
  #flushing = false;
  #guard: NodeJS.Timeout | undefined;
  idleSinceMs: number;

  constructor(options: {
    readonly connection: UpstreamConnection;
    readonly gauge: BatchGauge;
    /** requests that wait on it at once: bounds what a failure displaces */
    readonly deepest: number;
    readonly nowMs: () => number;
    /** it takes no more requests */
    readonly gone: (shared: SharedConnection) => void;
  }) {
    this.connection = options.connection;
    this.#gauge = options.gauge;
    this.#deepest = options.deepest;
    this.#nowMs = options.nowMs;
    this.#gone = options.gone;
    this.idleSinceMs = options.nowMs();
    options.connection.use(this);
  }

  get depth(): number {
    return this.#queue.length;
  }

  get hasRoom(): boolean {
    const { socket } = this.connection;
    return this.#queue.length < this.#deepest && socket.writable && !socket.writableNeedDrain && !socket.readableEnded;
  }

  /** Adds a request; returns how to give it up. */
  add(user: SharedUser, text: string): () => void {
    const slot: Slot = { user, method: user.method, sinceMs: this.#nowMs(), sent: false };
    this.#queue.push(slot);
    this.#out += text;
    if (!this.#flushing) {
      this.#flushing = true;
      setImmediate(this.#flush);
    }
    return () => {
      slot.user = undefined;
    };
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    if (!this.connection.connected || this.#out === '') return;
    const text = this.#out;
    this.#out = '';
    for (let at = this.#queue.length - 1; at >= 0 && this.#queue[at]?.sent === false; at -= 1) {
      (this.#queue[at] as Slot).sent = true;
    }
    this.connection.socket.write(text, 'latin1');
    this.#guard ??= setTimeout(this.#look, this.#gauge.limitMs).unref();
  };

  upstreamConnected(): void {
    this.#flush();
  }

  /** Nobody waits longer than the limit behind another one. */
  readonly #look = (): void => {
    this.#guard = undefined;
    const front = this.#queue[0];
    if (front === undefined) return;
    const waitedMs = this.#nowMs() - front.sinceMs;
    if (waitedMs >= this.#gauge.limitMs) {
      this.#handOver(this.#early);
    } else this.#guard = setTimeout(this.#look, this.#gauge.limitMs - waitedMs + 1).unref();
  };

  upstreamData(bytes: Buffer): void {
    const all = this.#early.length === 0 ? bytes : Buffer.concat([this.#early, bytes]);
    this.#early = NOTHING;
    const { head } = this.#reader;
    let at = 0;
    while (at < all.length) {
      const front = this.#queue[0];
      if (!front?.sent) {
        // a byte that nobody asked for
        this.#end({ heard: true, error: undefined });
        return;
      }
      const outcome = head.parse(all, at, { from: 0, limit: BRIEF_BYTES });
      if (outcome === 'incomplete') break;
      if (outcome === 'too-large') {
        this.#handOver(all.subarray(at));
        return;
      }
      if (outcome !== 'complete') {
        this.#end({ heard: true, error: undefined, reason: `its answer is not HTTP (${outcome})` });
        return;
      }
      const end = this.#endOf(head, front.method);
      if (end === undefined) {
        this.#handOver(all.subarray(at));
        return;
      }
      if (end > all.length) break;
      this.#queue.shift();
      const more = head.reusable() && !head.fields.connectionAuth;
      front.user?.wholeAnswer(all, head, end);
      at = end;
      if (!more) {
        this.#closeBehind();
        return;
      }
    }
    // `bytes` is good until the call is over
    if (at < all.length) this.#early = all === bytes ? Buffer.from(all.subarray(at)) : all.subarray(at);
    if (this.#queue.length === 0) this.idleSinceMs = this.#nowMs();
  }

  /** Offset behind the answer, when it is brief and its length was said; else undefined. */
  #endOf(head: AnswerHead, method: string): number | undefined {
    if (head.status < 200) return undefined;
    const kind = head.bodyEnd(method);
    // where a body is announced that must not come, it may come all the same: nobody shall stand behind it
    if (kind === 'none') return head.fields.contentLength > 0 || head.fields.chunked ? undefined : head.end;
    return kind === 'length' && head.fields.contentLength <= BRIEF_BYTES
      ? head.end + head.fields.contentLength
      : undefined;
  }

  upstreamDrained(): void {
    // what does not fit waits in the socket; `hasRoom` keeps further requests away
  }

  upstreamEnded(): void {
    this.#end({ heard: this.#early.length > 0, error: undefined });
  }

  upstreamClosed(error: NodeJS.ErrnoException | undefined): void {
    this.#end({ heard: this.#early.length > 0, error });
  }

  /** The front goes on alone on this connection; those behind are sent elsewhere. */
  #handOver(bytes: Buffer): void {
    const [front, ...behind] = this.#leave();
    this.#gauge.heldUp(behind.length);
    this.connection.release();
    // answers to those behind will still come on it
    if (behind.length > 0) this.connection.tainted = true;
    if (front?.user === undefined) this.connection.destroy();
    else front.user.takeOver(this.connection, Buffer.from(bytes));
    for (const { user } of behind) user?.displaced();
  }

  /** The instance said that it answers nothing more on this connection. */
  #closeBehind(): void {
    const slots = this.#leave();
    this.#gauge.closed(slots.length);
    this.connection.destroy();
    for (const { user } of slots) user?.displaced();
  }

  /** The connection is of no more use. */
  #end(how: SharedFailure): void {
    const { connected } = this.connection;
    const slots = this.#leave();
    if (slots.length > 0) this.#gauge.broke();
    this.connection.destroy();
    // one that was not even sent is as good as one behind, unless there was no connection to send it on
    if (!connected || slots[0]?.sent) slots.shift()?.user?.sharedFailed({ ...how, connected });
    for (const { user } of slots) user?.displaced();
  }

  #leave(): Slot[] {
    clearTimeout(this.#guard);
    this.#guard = undefined;
    const slots = this.#queue;
    this.#queue = [];
    this.#out = '';
    this.#early = NOTHING;
    this.#gone(this);
    return slots;
  }

  /** Fails when it has not been connected for so long. */
  expireConnecting(connectMs: number): void {
    if (this.connection.connected || this.#nowMs() - this.idleSinceMs <= connectMs) return;
    this.#end({ heard: false, error: Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' }) });
  }

  /** Nobody waits on it: closes it. */
  close(): void {
    this.#leave();
    this.connection.destroy();
  }
}
