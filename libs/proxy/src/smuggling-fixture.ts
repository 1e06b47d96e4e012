// What do attackers send, and what must come of it? Reads the payloads in fixtures/smuggling, sends them cut in several ways, and
// has two origins write down what arrives: node:http's strict parser, and a bare socket with a reader of its own. Used by tests only.
//
//   == name-of-the-payload
//   # class of attack, and where it was published
//   POST / HTTP/1.1\r\n          line ends of the file do not count; \r \n \t \0 \s \\ \xHH, \{text*count}, \| (a pause)
//   => read POST /               what the origin has to see, in order: method, target, body as JSON if it matters
//   => refused 400               and how it goes on: refused (and closed), waits (incomplete), closes, or (nothing) open
//   => without upgrade           names that must not arrive at the origin
import { readdirSync, readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { readRequests, strictReading } from './reading-fixture.ts';

/** A request that an origin is meant to see. `body` undefined: whatever it is. */
export interface Meant {
  readonly method: string;
  readonly target: string;
  readonly body: string | undefined;
}

/** One published attack. */
export interface Payload {
  readonly name: string;
  readonly file: string;
  /** class and source */
  readonly note: string;
  /** in latin1; the pieces are sent with a pause between them */
  readonly pieces: readonly string[];
  readonly meant: readonly Meant[];
  readonly ending: 'refused' | 'waits' | 'closes' | 'open';
  /** of the refusal; undefined for any from 400 on */
  readonly status: number | undefined;
  readonly without: readonly string[];
  /** the lines behind `=>` that are none of the above */
  readonly told: readonly string[];
}

const escapes: Readonly<Record<string, string>> = {
  r: '\r',
  n: '\n',
  t: '\t',
  s: ' ',
  '0': '\0',
  '\\': '\\',
  '|': '\u{ffff}',
};

/** The bytes that a line of a fixture stands for. */
function unescaped(line: string): string {
  return line.replace(
    /\\(?:x([0-9A-Fa-f]{2})|\{((?:[^*]|\*(?!\d+\}))*)\*(\d+)\}|(.))/g,
    (all, ...groups: (string | undefined)[]) => {
      const [hex, text, count, one] = groups;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (text !== undefined) return unescaped(text).repeat(Number(count));
      const meaning = escapes[one ?? ''];
      if (meaning === undefined) throw new Error(`The fixture has an escape that means nothing: ${all}`);
      return meaning;
    },
  );
}

/** All payloads in the folder whose file name begins with `prefix`. */
export function readPayloads(prefix: string): Payload[] {
  const folder = new URL('fixtures/smuggling/', import.meta.url);
  return readdirSync(folder)
    .filter((file) => file.startsWith(prefix))
    .toSorted()
    .flatMap((file) =>
      readFileSync(new URL(file, folder), 'latin1')
        .split(/^== /m)
        .slice(1)
        .map((block) => payloadOf(file, block)),
    );
}

function payloadOf(file: string, block: string): Payload {
  const [name = '', ...lines] = block.split('\n');
  const told = lines.filter((line) => line.startsWith('=> ')).map((line) => line.slice(3).trim());
  const rest = (word: string): string[] => told.filter((line) => line.split(' ', 1)[0] === word);
  const ending = (['refused', 'waits', 'closes'] as const).find((word) => rest(word).length > 0) ?? 'open';
  return {
    name: name.trim(),
    file,
    note: lines.filter((line) => line.startsWith('# ')).join(' '),
    pieces: unescaped(lines.filter((line) => !/^(?:=> |# |#$)/.test(line)).join('')).split('\u{ffff}'),
    meant: rest('read').map((line) => {
      const [, method = '', target = '', body] = /^read (\S+) (\S+)(?: (".*"))?$/.exec(line) ?? [];
      return { method, target, body: body === undefined ? undefined : (JSON.parse(body) as string) };
    }),
    ending,
    status: Number(rest('refused')[0]?.split(' ')[1] ?? Number.NaN) || undefined,
    without: rest('without').flatMap((line) => line.split(' ').slice(1)),
    told,
  };
}

/** A request that arrived. */
export interface Arrived {
  readonly method: string;
  readonly target: string;
  readonly body: string;
  readonly names: readonly string[];
}

/** An origin that writes down what arrives, and answers each request with its method and target. */
export interface Witness {
  readonly port: number;
  /** Complete ones. */
  readonly arrived: Arrived[];
  /** Targets of all whose head came, complete or not. */
  readonly begun: string[];
  /** What it could not read, in its own words. */
  readonly faults: string[];
  /** Bytes by connection; only of the bare one. */
  readonly wires: string[];
  forget(): void;
  close(): Promise<void>;
}

const namesOf = (fields: readonly (readonly [string, string])[]): string[] =>
  fields.map(([name]) => name.toLowerCase());

/** An origin on node:http, which is strict. */
export async function strictWitness(): Promise<Witness> {
  const notes = { arrived: [] as Arrived[], begun: [] as string[], faults: [] as string[], wires: [] as string[] };
  const server = createHttpServer(
    { insecureHTTPParser: false, keepAliveTimeout: 60_000 },
    (request: IncomingMessage, response) => {
      const { method = '', url = '', rawHeaders } = request;
      notes.begun.push(url);
      let body = '';
      request.setEncoding('latin1');
      request.on('data', (part: string) => (body += part));
      request.on('error', () => undefined);
      request.on('end', () => {
        const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
        notes.arrived.push({ method, target: url, body, names });
        response.end(`[${method} ${url}]`);
      });
    },
  );
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // what the engine breaks off is incomplete by intention
    const brokenOff = ['HPE_INVALID_EOF_STATE', 'ECONNRESET', 'EPIPE'].includes(error.code ?? '');
    if (!brokenOff) notes.faults.push(`${error.code}: ${error.message}`);
    socket.destroy();
  });
  return witness(server, notes);
}

/** An origin on a bare socket. */
export async function bareWitness(): Promise<Witness> {
  const notes = { arrived: [] as Arrived[], begun: [] as string[], faults: [] as string[], wires: [] as string[] };
  const server = createServer((socket) => {
    const index = notes.wires.push('') - 1;
    let rest = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      notes.wires[index] += text;
      const read = readRequests(rest + text, strictReading);
      rest = read.rest;
      if (read.fault !== undefined) notes.faults.push(read.fault);
      for (const { method, target, body, fields } of read.requests) {
        notes.begun.push(target);
        notes.arrived.push({ method, target, body, names: namesOf(fields) });
        const answer = `[${method} ${target}]`;
        const head = `HTTP/1.1 200 OK\r\nContent-Length: ${answer.length}\r\n\r\n`;
        socket.write(method === 'HEAD' ? head : head + answer, 'latin1');
      }
      const begun = /^\S+ (\S+) HTTP\//.exec(rest)?.[1];
      if (begun !== undefined) notes.begun.push(begun);
    });
  });
  return witness(server, notes);
}

async function witness(
  server: Server,
  notes: Pick<Witness, 'arrived' | 'begun' | 'faults' | 'wires'>,
): Promise<Witness> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    ...notes,
    forget() {
      for (const list of [notes.arrived, notes.begun, notes.faults]) list.length = 0;
      notes.wires.fill('');
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** What came back to a client. */
export interface Reaction {
  readonly text: string;
  /** in good order */
  readonly ended: boolean;
}

/** How bytes are cut into segments. */
export type Cutting = 'whole' | 'halved' | 'trickled';

/** Says `pieces`, cut into segments, then `behind`; listens until `enough` or the end, at most for `ms`. */
export function assail(
  port: number,
  pieces: readonly string[],
  options: {
    readonly cutting: Cutting;
    readonly behind?: string;
    readonly enough: (text: string) => boolean;
    readonly ms: number;
  },
): Promise<Reaction> {
  return new Promise((resolve) => {
    let text = '';
    let ended = false;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, ended });
    };
    const timer = setTimeout(done, options.ms);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (options.enough(text)) done();
    });
    socket.on('end', () => {
      ended = true;
      done();
    });
    socket.on('error', () => done());
    socket.on('connect', () => void send());
    const send = async (): Promise<void> => {
      for (const [index, piece] of pieces.entries()) {
        if (index > 0) await new Promise((next) => setTimeout(next, 15));
        const all = index === pieces.length - 1 ? piece + (options.behind ?? '') : piece;
        const size =
          options.cutting === 'whole' ? all.length : options.cutting === 'halved' ? Math.ceil(piece.length / 2) : 1;
        for (let at = 0; at < all.length && !socket.destroyed; at += size) {
          socket.write(all.slice(at, at + size), 'latin1');
          if (at + size < all.length) await new Promise((next) => setImmediate(next));
        }
      }
    };
  });
}
