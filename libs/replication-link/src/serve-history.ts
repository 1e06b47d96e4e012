// How does this process act as a primary, so that a node takes over a chosen history by REPLICAOF?
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { ReplicationLinkError } from './replication-problem.ts';
import type { HistoryServer, ServedHistory, ServedProgress } from './replication-stream.ts';
import type { ServedCredentials } from './served-dialogue.ts';
import { serveReplica, type ServedReplica } from './served-replica.ts';

const maxReplicas = 4;
const maxConnections = 16;

/** How this side proves who it is, and whether replicas must. Names and formats are those of node:tls (PEM text). */
export type ServerTls = Pick<TlsOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'rejectUnauthorized' | 'requestCert'>;

/** What is served, where, and to whom. */
export interface ServeHistoryOptions {
  /** Address to bind. */
  readonly host: string;
  /** Default: a free one. */
  readonly port?: number;
  readonly history: ServedHistory;
  /** What replicas have to say (their masteruser and masterauth). Without a password any AUTH is accepted. */
  readonly credentials?: ServedCredentials;
  readonly tls?: ServerTls;
  /** Connections from other addresses (IPv4 or IPv6 text) are closed at once. */
  readonly onlyFrom?: (address: string) => boolean;
  /** Longest time in which nothing moves on a connection. Default 60 s. */
  readonly idleTimeoutMs?: number;
  /** Longest time until a connection has asked for the history; TLS has as long again. Default 10 s. */
  readonly handshakeTimeoutMs?: number;
  /** Each new phase and acknowledgement, and ten times a second while bytes are sent. */
  readonly onProgress?: (progress: ServedProgress) => void;
  /** Closes it. */
  readonly signal?: AbortSignal;
}

/**
 * Listens, and resolves when replicas can connect: at most 4 are served at once, each from `rdb()` or, when it holds a part of this
 * history already, from `after()`. Nothing is sent that is not in the history: the offsets of a replica stay ours. A replica that
 * breaks off may come again. Rejects when the address cannot be bound.
 */
export async function serveHistory(options: ServeHistoryOptions): Promise<HistoryServer> {
  const { history, handshakeTimeoutMs = 10_000 } = options;
  const replicas = new Set<ServedReplica>();
  const listeners = new Set<() => void>();
  let taken: ServedProgress | undefined;
  let failure: ReplicationLinkError | undefined;

  const tellListeners = (): void => {
    for (const listener of listeners) listener();
  };
  const fail = (error: ReplicationLinkError): void => {
    failure ??= error;
    tellListeners();
  };
  const following = (): readonly ServedProgress[] =>
    [...replicas].map((replica) => replica.progress()).filter((progress) => progress !== undefined);

  const accept = (socket: Socket): void => {
    if (failure !== undefined) {
      socket.destroy();
      return;
    }
    const replica = serveReplica({
      socket,
      history,
      ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
      handshakeTimeoutMs,
      idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
      mayFollow: () => following().length < maxReplicas,
      onProgress: (progress) => {
        if (progress.phase === 'done' && taken === undefined) {
          taken = progress;
          tellListeners();
        }
        options.onProgress?.(progress);
      },
      onFailure: fail,
    });
    replicas.add(replica);
    socket.on('close', () => replicas.delete(replica));
  };

  const server = options.tls
    ? createTlsServer({ ...options.tls, handshakeTimeout: handshakeTimeoutMs, noDelay: true }, accept)
    : createServer({ noDelay: true }, accept);
  const sockets = new Set<Socket>();
  server.maxConnections = maxConnections;
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    if (options.onlyFrom?.(addressOf(socket)) === false) socket.destroy();
  });

  const close = async (): Promise<void> => {
    options.signal?.removeEventListener('abort', onAbort);
    fail(new ReplicationLinkError('aborted', 'The history is served no longer.', { cause: options.signal?.reason }));
    for (const replica of replicas) replica.close();
    for (const socket of sockets) socket.destroy();
    // Every connection has just been destroyed: this ends in the next turns.
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  };
  const onAbort = (): void => void close();

  const port = await listen(server, options);
  if (options.signal?.aborted === true) await close();
  else options.signal?.addEventListener('abort', onAbort, { once: true });

  return {
    host: options.host,
    port,
    replicas: following,
    close,
    whenTaken: (signal) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (taken !== undefined) resolve(taken);
          else if (failure !== undefined) reject(failure);
          else if (signal.aborted) reject(signal.reason as Error);
          else return;
          listeners.delete(look);
          signal.removeEventListener('abort', look);
        };
        listeners.add(look);
        signal.addEventListener('abort', look);
        look();
      }),
  };
}

function listen(server: Server, { host, port = 0 }: ServeHistoryOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      // A failed accept (too many open files) must not end the process: the replica tries again.
      server.on('error', () => undefined);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

// A socket that serves both families writes IPv4 addresses as ::ffff:1.2.3.4.
function addressOf(socket: Socket): string {
  return (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '');
}
