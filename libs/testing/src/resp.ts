// What does a Redis or a Sentinel answer? A client of one question, without any library, so that adapters can be
// judged from outside. RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/
import { createConnection } from 'node:net';

/** An answer of Redis: text, number, nothing, or a list of answers. Error answers are thrown instead. */
export type RespReply = string | number | null | readonly RespReply[];

/** Where to ask, and how long an answer may take (default 5000 ms). */
export interface RespAddress {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs?: number;
}

/** Opens a connection, sends one command, resolves with its reply. Throws on an error reply, a cut, or lateness. */
export function askRedis(address: RespAddress, words: readonly (string | number)[]): Promise<RespReply> {
  const timeoutMs = address.timeoutMs ?? 5_000;
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: address.host, port: address.port });
    let received = Buffer.alloc(0);
    const command = String(words[0]);
    const where = `${address.host}:${address.port}`;
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => fail(new Error(`${command}: no answer from ${where} in ${timeoutMs} ms`)),
      timeoutMs,
    );
    socket.on('connect', () => socket.write(encodeCommand(words)));
    socket.on('error', (error) => fail(new Error(`${command}: ${where}: ${error.message}`, { cause: error })));
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new Error(`${command}: ${where} closed the connection`));
    });
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      try {
        const parsed = parseReply(received, 0);
        if (parsed === undefined) return;
        resolve(parsed.value);
        socket.destroy();
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

/** The bytes of one command: an array of bulk strings. */
export function encodeCommand(words: readonly (string | number)[]): string {
  const parts = words.map((word) => {
    const text = String(word);
    return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
  });
  return `*${words.length}\r\n${parts.join('')}`;
}

interface Parsed {
  readonly value: RespReply;
  readonly end: number;
}

/** Reads one reply from `offset`; undefined while bytes are missing. Throws for an error reply. */
export function parseReply(bytes: Buffer, offset: number): Parsed | undefined {
  const lineEnd = bytes.indexOf('\r\n', offset);
  if (lineEnd < 0) return undefined;
  const line = bytes.toString('utf8', offset + 1, lineEnd);
  const next = lineEnd + 2;
  switch (String.fromCharCode(bytes[offset] ?? 0)) {
    case '+':
      return { value: line, end: next };
    case '-':
      throw new Error(line);
    case ':':
      return { value: Number(line), end: next };
    case '$':
      return parseBulk(bytes, next, Number(line));
    case '*':
      return parseList(bytes, next, Number(line));
    default:
      throw new Error(`This is not RESP2: ${JSON.stringify(line.slice(0, 60))}`);
  }
}

function parseBulk(bytes: Buffer, start: number, length: number): Parsed | undefined {
  if (length < 0) return { value: null, end: start };
  if (bytes.length < start + length + 2) return undefined;
  return { value: bytes.toString('utf8', start, start + length), end: start + length + 2 };
}

function parseList(bytes: Buffer, start: number, length: number): Parsed | undefined {
  if (length < 0) return { value: null, end: start };
  const values: RespReply[] = [];
  let end = start;
  for (let index = 0; index < length; index += 1) {
    const item = parseReply(bytes, end);
    if (item === undefined) return undefined;
    values.push(item.value);
    end = item.end;
  }
  return { value: values, end };
}
