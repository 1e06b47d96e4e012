// How is a server that we started ourselves asked one question? A connection of its own for each, with a deadline; no retries.
import { connect } from 'node:net';
import { encodeCommand } from '@switchyard/replication-link';

/** One command to the server that listens on a Unix socket. */
export interface Question {
  readonly socketPath: string;
  readonly command: readonly string[];
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** The longest answer that is read: INFO with 4,096 databases is shorter. */
const longestReplyBytes = 1024 * 1024;

/** The text of the reply (simple or bulk string). Rejects on an error reply, a cut, lateness, or the signal. */
export function askScratch(question: Question): Promise<string> {
  const { socketPath, command, deadlineMs, signal } = question;
  const what = command.join(' ');
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath, signal });
    let received: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => fail(new Error(`${what}: no answer in ${deadlineMs} ms`)), deadlineMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    socket.on('connect', () => socket.write(encodeCommand(command)));
    socket.on('error', fail);
    socket.on('close', () => fail(new Error(`${what}: the server closed the connection`)));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const reply = readText(received);
      if (reply === undefined && received.length <= longestReplyBytes) return;
      if (reply === undefined) return fail(new Error(`${what}: the answer is longer than ${longestReplyBytes} bytes`));
      if ('error' in reply) return fail(new Error(`${what}: ${reply.error}`));
      clearTimeout(timer);
      resolve(reply.text);
      socket.destroy();
    });
  });
}

type Reply = { readonly text: string } | { readonly error: string };

function readText(bytes: Buffer): Reply | undefined {
  const lineEnd = bytes.indexOf('\r\n');
  if (lineEnd === -1) return undefined;
  const line = bytes.toString('utf8', 1, lineEnd);
  const kind = String.fromCharCode(bytes[0] ?? 0);
  if (kind === '+' || kind === ':') return { text: line };
  if (kind !== '$') return { error: line };
  const start = lineEnd + 2;
  const end = start + Number(line);
  return bytes.length < end + 2 ? undefined : { text: bytes.toString('utf8', start, end) };
}
