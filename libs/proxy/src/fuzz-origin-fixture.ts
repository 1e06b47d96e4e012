// What does the other side of a fuzzed engine see and do? An origin whose requests are read by node:http's strict parser and compared
// with what the clients' bytes mean, and whose answers are written by hand: right, bent, unasked, cut off. Used by tests and by
// tools/chaos/fuzz-proxy.mjs.
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { answerScript, diceOf, markText, namedBy, type AnswerScript } from './fuzz-messages-fixture.ts';
import type { FuzzLedger } from './fuzz-ledger-fixture.ts';

/** One origin. */
export interface FuzzOrigin {
  readonly port: number;
  close(): Promise<void>;
}

/** What becomes of one connection of the engine. */
interface Line {
  /** Something was said on it that is not one right answer to one request. */
  poisoned: boolean;
  /** It agreed to switch protocols: what comes is no request. */
  switched: boolean;
  /** Answers are said in the order of the requests. */
  queue: Promise<void>;
  /** An answer is being said. */
  saying: boolean;
  served: number;
}

/** How long an origin says nothing at all before it gives up. */
const HANG_MS = 2_000;
/** Answers on one connection, after which the origin closes it: node:http keeps each request until then. */
const MOST_SERVED = 200;

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** Starts origin `number` on a free port. */
export async function fuzzOrigin(seed: number, number: number, ledger: FuzzLedger): Promise<FuzzOrigin> {
  const lines = new WeakMap<Socket, Line>();
  const sockets = new Set<Socket>();
  const dice = diceOf(seed, number, 3);
  const server = createServer({ requireHostHeader: true, keepAliveTimeout: 0 });
  server.timeout = server.headersTimeout = server.requestTimeout = 0;

  const lineOf = (socket: Socket): Line => {
    const known = lines.get(socket);
    if (known !== undefined) return known;
    const line: Line = { poisoned: false, switched: false, queue: Promise.resolve(), saying: false, served: 0 };
    lines.set(socket, line);
    return line;
  };

  const unasked = (socket: Socket): void => {
    const line = lineOf(socket);
    // within an answer, or behind half of one, it would only be a part of that
    if (socket.destroyed || socket.writableEnded || line.poisoned || line.saying) return;
    line.poisoned = true;
    const mark = ledger.unaskedMark();
    ledger.said(mark);
    const text = markText(mark);
    const head = `HTTP/1.1 200 OK\r\nX-Mark: ${text}`;
    const rest = `\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
    socket.write(head + rest.slice(0, dice.chance(70) ? rest.length : dice.below(rest.length)), 'latin1');
  };

  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay();
    socket.on('close', () => sockets.delete(socket));
    const luck = dice.below(200);
    if (luck === 0) unasked(socket);
    else if (luck === 1) socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException & { readonly rawPacket?: Buffer }, socket) => {
    // what the engine breaks off is incomplete by intention
    const brokenOff = ['HPE_INVALID_EOF_STATE', 'ECONNRESET', 'EPIPE'].includes(error.code ?? '');
    if (!brokenOff && !lineOf(socket as Socket).switched) {
      ledger.find('the engine sent what node:http refuses', `${error.code}: ${error.rawPacket?.toString('latin1')}`);
    }
    socket.destroy();
  });

  const say = async (socket: Socket, line: Line, script: AnswerScript, mark: Parameters<typeof markText>[0]) => {
    if (script.hostile) {
      line.poisoned = true;
      ledger.hostileAnswers += 1;
      if (/HTTP\/1\.\d 101/.test(script.pieces.join(''))) line.switched = true;
    }
    line.saying = true;
    for (const piece of script.pieces) {
      if (socket.destroyed || socket.writableEnded) return;
      ledger.said(mark);
      socket.write(piece, 'latin1');
      if (script.slow) await turn();
    }
    line.saying = false;
    if (script.after === 'end') socket.end();
    else if (script.after === 'reset') socket.resetAndDestroy();
    else if (script.after === 'hang') setTimeout(() => socket.destroy(), HANG_MS).unref();
    else if (line.served >= MOST_SERVED) socket.end();
    else if (!script.hostile && dice.chance(1)) setTimeout(() => unasked(socket), dice.below(30)).unref();
  };

  const onRequest = (request: IncomingMessage): void => {
    const { socket, method = '', url = '' } = request;
    const line = lineOf(socket);
    request.on('error', () => undefined);
    if (line.switched) return;
    line.served += 1;
    ledger.arrived(request);
    const ended = bodyOf(request, ledger);
    const named = namedBy(url) ?? { input: 0, index: 0 };
    const early = dice.chance(15);
    if (request.headers.expect !== undefined && dice.chance(70)) {
      line.queue = line.queue.then(() => {
        if (!socket.writableEnded) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      });
    }
    line.queue = line.queue
      .then(() => (early ? undefined : ended))
      .then(() => {
        const flag = line.poisoned ? 'h' : 'b';
        const script = answerScript(seed, { ...named, origin: number, method, target: url, flag });
        return say(socket, line, script, { ...named, flag: script.hostile ? 'h' : flag });
      });
  };
  server.on('request', onRequest);
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', onRequest);

  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Resolves when the body has come or the connection is gone. */
function bodyOf(request: IncomingMessage, ledger: FuzzLedger): Promise<void> {
  let body = '';
  request.setEncoding('latin1');
  request.on('data', (part: string) => (body += part));
  return new Promise((resolve) => {
    request.on('end', () => {
      if (request.complete) ledger.completed(request, body);
      resolve();
    });
    request.on('close', resolve);
  });
}
