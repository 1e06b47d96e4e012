// How is one connection to a source opened, watched and ended, so that nothing waits for ever and nothing leaks?
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { ReplicationLinkError } from './replication-problem.ts';

// setTimeout fires at once for anything longer.
const longestTimerMs = 2 ** 31 - 1;

/** How the source proves who it is, and we to it. Names and formats are those of node:tls (PEM text). */
export type ClientTls = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'passphrase' | 'rejectUnauthorized' | 'servername'
>;

/** Where the source is and how long it may take. */
export interface ReplicaSocketOptions {
  readonly host: string;
  readonly port: number;
  /** Encrypts the connection; `true` trusts the authorities that this machine trusts. */
  readonly tls?: boolean | ClientTls;
  /** Longest wait for the connection (TCP and TLS together). */
  readonly connectTimeoutMs: number;
  /** Longest silence while we are ready to read. Sources send a newline each second while they prepare a data set. */
  readonly idleTimeoutMs: number;
  /** Longest life of the connection, whatever happens on it; at most 24 days, as for every timer. Without it: as long as it works. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** What the owner of the socket is told. Exactly one of `onEnd` calls comes, and nothing after it. */
export interface ReplicaSocketListener {
  onConnect(): void;
  onData(chunk: Buffer): void;
  /** The connection is over; undefined when the owner closed it. */
  onEnd(error: ReplicationLinkError | undefined): void;
}

/** A connection to a source. All methods are safe after its end. */
export interface ReplicaSocket {
  write(bytes: Buffer): void;
  /** Stops reading (back-pressure); the silence that we cause ourselves does not count. */
  pause(): void;
  resume(): void;
  /** Ends the connection now; without an error `onEnd` hears undefined. */
  close(error?: ReplicationLinkError): void;
}

/** Starts to connect at once; the listener hears the rest, never before this function has returned. */
export function openReplicaSocket(options: ReplicaSocketOptions, listener: ReplicaSocketListener): ReplicaSocket {
  const where = `${options.host}:${options.port}`;
  const secured = options.tls !== undefined && options.tls !== false;
  const socket: Socket = secured ? openTls(options) : connect(addressOf(options));
  let ended = false;
  let paused = false;
  let connected = false;
  let heardMs = 0;

  const close = (error?: ReplicationLinkError): void => {
    if (ended) return;
    ended = true;
    clearTimeout(deadline);
    clearTimeout(silence);
    options.signal?.removeEventListener('abort', onAbort);
    socket.destroy();
    listener.onEnd(error);
  };
  const fail = (code: ReplicationLinkError['code'], message: string, cause?: unknown): void =>
    close(new ReplicationLinkError(code, message, { cause }));

  const onAbort = (): void => fail('aborted', `The connection to ${where} was given up.`, options.signal?.reason);
  const deadline =
    options.deadlineMs === undefined
      ? undefined
      : setTimeout(
          () => fail('deadline_exceeded', `The work with ${where} took longer than ${options.deadlineMs} ms.`),
          Math.min(options.deadlineMs, longestTimerMs),
        );

  // A timer of our own: the socket's counts what we write, too, and we write every second.
  let silence = setTimeout(
    () => fail('connect_failed', `${where} did not accept a connection in ${options.connectTimeoutMs} ms.`),
    Math.min(options.connectTimeoutMs, longestTimerMs),
  );
  const listen = (): void => {
    const silentMs = performance.now() - heardMs;
    if (paused) heardMs += silentMs;
    else if (silentMs >= options.idleTimeoutMs) {
      fail('stalled', `${where} sent nothing for ${options.idleTimeoutMs} ms.`);
      return;
    }
    const leftMs = heardMs + options.idleTimeoutMs - performance.now();
    silence = setTimeout(listen, Math.min(Math.max(1, Math.ceil(leftMs)), longestTimerMs));
  };

  socket.on(secured ? 'secureConnect' : 'connect', () => {
    connected = true;
    clearTimeout(silence);
    heardMs = performance.now();
    if (ended) return;
    listen();
    listener.onConnect();
  });
  socket.on('data', (chunk: Buffer) => {
    heardMs = performance.now();
    if (!ended) listener.onData(chunk);
  });
  socket.on('error', (error) =>
    connected
      ? fail('closed_early', `The connection to ${where} broke: ${error.message}`, error)
      : fail('connect_failed', `Cannot connect to ${where}: ${error.message}`, error),
  );
  socket.on('close', () => fail('closed_early', `${where} closed the connection.`));
  // Not in this turn: the caller does not hold the socket yet.
  if (options.signal?.aborted) queueMicrotask(onAbort);
  else options.signal?.addEventListener('abort', onAbort, { once: true });

  return {
    write: (bytes) => {
      if (!ended) socket.write(bytes);
    },
    pause: () => {
      paused = true;
      socket.pause();
    },
    resume: () => {
      if (paused) heardMs = performance.now();
      paused = false;
      if (!ended) socket.resume();
    },
    close,
  };
}

function addressOf({ host, port }: ReplicaSocketOptions): {
  host: string;
  port: number;
  noDelay: true;
  keepAlive: true;
} {
  return { host, port, noDelay: true, keepAlive: true };
}

function openTls(options: ReplicaSocketOptions): Socket {
  // A server name is a host name by definition (RFC 6066): an address is checked against the certificate without one.
  const servername = isIP(options.host) === 0 ? { servername: options.host } : {};
  return connectTls({ ...addressOf(options), ...servername, ...(typeof options.tls === 'object' ? options.tls : {}) });
}
