// How does one connection to an instance work? One request at a time; whoever uses it gets its bytes, its pauses and its end.
//
//   CONNECTING -> BUSY <-> IDLE (in the pool)      any byte, end or error while IDLE: destroyed, nobody is told
//
// A byte that nobody asked for means that answers and requests no longer belong together (CVE-2026-6733 class): the
// connection is destroyed, never used again. So that such a byte is seen before the next request goes out, a connection rests
// for the turn of the event loop in which it came back, and what is read in the turn of a reuse is nobody's answer.
import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectSecurely } from 'node:tls';
import type { Target } from '../engine.ts';
import { AnswerReader } from './answer-reader.ts';
import { unasked } from './failure.ts';
import { loopTurn } from './loop-turn.ts';

/** Whoever has the connection now. */
export interface UpstreamUser {
  /** It can be written to. Called in a later turn, once, for a new connection only. */
  upstreamConnected(): void;
  /** The bytes are good until the call is over, unless `isHeld` is set: then they are good for ever. */
  upstreamData(bytes: Buffer): void;
  /** It took everything that was written. */
  upstreamDrained(): void;
  /** The instance will send nothing more. */
  upstreamEnded(): void;
  /** It is gone; nothing comes any more. */
  upstreamClosed(error: NodeJS.ErrnoException | undefined): void;
}

/** Room for what is read: enough for brief answers; the large one for connections on which more came at once. */
const FIRST_BYTES = 8 * 1024;
const MOST_BYTES = 64 * 1024;

/** How a connection is opened. */
export interface Opening {
  readonly target: Target;
  /** The socket will be given away, to somebody who reads it as a stream. */
  readonly bare: boolean;
  readonly closed: (connection: UpstreamConnection) => void;
}

/** A connection to an instance. */
export class UpstreamConnection {
  readonly socket: Socket;
  readonly target: Target;
  /** of the answer to the present request */
  readonly reader = new AnswerReader();
  /** it has carried a request before */
  reused = false;
  connected = false;
  /** answers to requests that were sent elsewhere meanwhile will come on it: not to be used again */
  tainted = false;
  /** turn of the event loop in which it came back */
  keptTurn = -1;
  /** turn in which it was taken again, until something is read; else -1 */
  takenTurn = -1;
  /** closed then, when nobody has used it before */
  idleUntilMs = 0;
  #user: UpstreamUser | undefined;
  #error: NodeJS.ErrnoException | undefined;
  readonly #closed: (connection: UpstreamConnection) => void;

  /** of what was read last, something is still being written to a client */
  isHeld = false;
  #buffer: Buffer | undefined;
  #wasFull = false;

  constructor({ target, bare, closed }: Opening) {
    this.target = target;
    this.#closed = closed;
    const { host, port } = target;
    // RFC 6066 3: an address is not told as a server name; the certificate has to be for it all the same
    const server = isIP(host) === 0 ? { servername: host } : {};
    this.socket = target.secure
      ? connectSecurely({ host, port, ...server, ALPNProtocols: ['http/1.1'] }).setNoDelay(true)
      : connect({
          host,
          port,
          noDelay: true,
          allowHalfOpen: true,
          ...(!bare && { onread: { buffer: this.#room, callback: this.#onRead } }),
        });
    const { socket } = this;
    socket.once(target.secure ? 'secureConnect' : 'connect', () => {
      this.connected = true;
      this.#user?.upstreamConnected();
    });
    if (bare || target.secure) socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  get idle(): boolean {
    return this.#user === undefined;
  }

  /** Hands it to a request. */
  use(user: UpstreamUser): void {
    this.#user = user;
    this.reader.clear();
  }

  /** Writes a head and what follows it, at once. */
  send(text: string, parts: readonly Buffer[]): void {
    const { socket } = this;
    if (parts.length > 0) socket.cork();
    socket.write(text, 'latin1');
    for (const part of parts) socket.write(part);
    if (parts.length > 0) socket.uncork();
  }

  /** Takes it back from a request; whether it is kept or destroyed is for the pool to say. */
  release(): void {
    this.#user = undefined;
    // what was read would stay in memory while the connection is idle
    this.reader.clear();
  }

  destroy(): void {
    this.#user = undefined;
    this.socket.destroy();
  }

  /** Gives the bare socket away, to a tunnel; this object is of no more use. */
  detach(): Socket {
    const { socket } = this;
    this.#user = undefined;
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    this.#closed(this);
    return socket;
  }

  /**
   * Where the next bytes go: into the same room again, unless somebody still needs what is in it. Half of what 100 kB cost
   * was room for each read that was thrown away afterwards.
   */
  readonly #room = (): Buffer => {
    const bytes = this.#wasFull ? MOST_BYTES : (this.#buffer?.length ?? FIRST_BYTES);
    if (this.#buffer === undefined || this.isHeld || this.#buffer.length < bytes) {
      this.#buffer = Buffer.allocUnsafeSlow(bytes);
      this.isHeld = false;
    }
    return this.#buffer;
  };

  /** The bytes are good until the call is over. */
  readonly #onRead = (count: number, buffer: Uint8Array): boolean => {
    this.#wasFull ||= count === buffer.length;
    this.#onData((buffer as Buffer).subarray(0, count));
    return true;
  };

  readonly #onData = (bytes: Buffer): void => {
    const user = this.#user;
    if (user === undefined) this.socket.destroy();
    else if (this.takenTurn < 0) user.upstreamData(bytes);
    else if (this.takenTurn === loopTurn()) {
      this.destroy();
      user.upstreamClosed(unasked());
    } else {
      this.takenTurn = -1;
      user.upstreamData(bytes);
    }
  };
  readonly #onDrain = (): void => this.#user?.upstreamDrained();
  readonly #onEnd = (): void => {
    if (this.#user === undefined) this.socket.destroy();
    else this.#user.upstreamEnded();
  };
  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#error = error;
  };
  readonly #onClose = (): void => {
    this.#closed(this);
    const user = this.#user;
    this.#user = undefined;
    user?.upstreamClosed(this.#error);
  };
}
