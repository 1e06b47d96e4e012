// How is a server asked thousands of questions in a row? One connection, many of them under way at once, answers as bytes.
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ScratchReply } from '../restore/materialise.ts';
import { createReplyReader, ErrorReply } from './reply-reader.ts';

/** Where a server listens. */
export type ServerAddress =
  | { readonly socketPath: string }
  | {
      readonly host: string;
      readonly port: number;
      readonly username?: string;
      readonly password?: string;
      readonly tls?: boolean;
    };

/** A connection whose questions are answered in their order. */
export interface ServerConnection {
  /**
   * Sends one command. Rejects with an `ErrorReply` when the server says no, with a `ConnectionLostError` when there is no answer to
   * come any more, and with the signal's reason.
   */
  ask(...command: readonly (string | number | Buffer)[]): Promise<ScratchReply>;
  close(): void;
}

/** No answer will come: closed, cut, or silent for too long. What was asked may have been done. */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError';
}

const connectDeadlineMs = 10_000;
const answerDeadlineMs = 30_000;
const mostUnderWay = 1_024;
const longestReplyBytes = 1024 * 1024 * 1024;

/** Connects and logs in. Rejects when that fails. `deadlineMs` (30 s) is for one answer, counted from the one before it; `signal` ends all. */
export async function connectServer(
  address: ServerAddress,
  options: { readonly signal: AbortSignal; readonly deadlineMs?: number },
): Promise<ServerConnection> {
  const { signal, deadlineMs = answerDeadlineMs } = options;
  signal.throwIfAborted();
  const where = 'socketPath' in address ? 'the throw-away server' : `${address.host}:${address.port}`;
  const socket = open(address);
  socket.setNoDelay(true);
  const reader = createReplyReader(longestReplyBytes);
  const waiting: { resolve(reply: ScratchReply): void; reject(error: Error): void }[] = [];
  let over: Error | undefined;
  let timer: NodeJS.Timeout | undefined;

  const lose = (why: string): void => end(new ConnectionLostError(`${where} ${why}`));
  const rewind = (): void => {
    clearTimeout(timer);
    if (waiting.length > 0) timer = setTimeout(() => lose(`did not answer in ${deadlineMs} ms`), deadlineMs);
  };
  const end = (error: Error): void => {
    if (over !== undefined) return;
    over = error;
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    socket.destroy();
    for (const question of waiting.splice(0)) question.reject(error);
  };
  const abort = (): void => end(signal.reason instanceof Error ? signal.reason : new Error('cancelled'));
  signal.addEventListener('abort', abort, { once: true });
  socket.on('error', (error) => lose(`cannot be reached: ${error.message}`));
  socket.on('close', () => lose('closed the connection'));
  socket.on('data', (chunk: Buffer) => {
    try {
      reader.push(chunk);
      for (let reply = reader.next(); reply !== undefined; reply = reader.next()) {
        const next = waiting.shift();
        if (next === undefined) throw new Error('gave an answer to no question');
        if (reply instanceof ErrorReply) next.reject(reply);
        else next.resolve(reply);
      }
      rewind();
    } catch (error) {
      lose(`cannot be understood: ${error instanceof Error ? error.message : String(error)}`);
    }
  });

  const connection: ServerConnection = {
    ask: (...command) =>
      new Promise((resolve, reject) => {
        if (over !== undefined) return reject(over);
        if (waiting.length >= mostUnderWay) return reject(new Error(`${mostUnderWay} questions are under way already`));
        waiting.push({ resolve, reject });
        if (waiting.length === 1) rewind();
        socket.write(encodeWords(command));
      }),
    close: () => end(new ConnectionLostError('the connection was closed')),
  };
  const late = setTimeout(() => lose('was not reached in time'), connectDeadlineMs);
  try {
    if ('host' in address && address.password !== undefined)
      await connection.ask('AUTH', ...(address.username === undefined ? [] : [address.username]), address.password);
    else await connection.ask('PING');
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

function open(address: ServerAddress): Socket {
  if ('socketPath' in address) return connectPlain({ path: address.socketPath });
  const { host, port } = address;
  return address.tls === true ? connectTls({ host, port, servername: host }) : connectPlain({ host, port });
}

/** A command as it is sent. */
export function encodeWords(words: readonly (string | number | Buffer)[]): Buffer {
  const parts = words.map((word) => (Buffer.isBuffer(word) ? word : Buffer.from(String(word))));
  let bytes = 16;
  for (const part of parts) bytes += part.length + 16;
  const command = Buffer.allocUnsafe(bytes);
  let at = command.write(`*${parts.length}\r\n`, 'latin1');
  for (const part of parts) {
    at += command.write(`$${part.length}\r\n`, at, 'latin1');
    at += part.copy(command, at);
    at += command.write('\r\n', at, 'latin1');
  }
  return command.subarray(0, at);
}
