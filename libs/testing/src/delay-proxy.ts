// How does a test get a slow or broken network link? A TCP relay on loopback that holds every byte back for a while.
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net';

/** Where the link leads and how slow it is. */
export interface DelayProxyOptions {
  readonly to: { readonly host: string; readonly port: number };
  /** How long each byte is under way, in each direction: a round trip takes twice as long. */
  readonly delayMs: number;
  /** Only connections from this address are delayed and cut, for instance those of a replica with `bind-source-addr`. */
  readonly onlyFrom?: string;
  /** A port that must be taken; otherwise a free one. */
  readonly port?: number;
  /** How much one direction of one connection may hold back before its sender has to wait; default 16 MiB. */
  readonly limitBytes?: number;
}

/** A link that can be slowed down and broken. */
export interface DelayProxy {
  readonly host: string;
  readonly port: number;
  /**
   * `silent` (default): as a pulled cable; nothing passes, nobody is told, new connections are accepted and hear nothing.
   * `reset`: connections are torn down and new ones refused at once.
   */
  cut(how?: 'silent' | 'reset'): void;
  /** Ends a cut: what was held back goes on its way, as TCP would send it again. */
  mend(): void;
  /** For bytes that arrive from now on; the order of bytes is kept. */
  setDelay(delayMs: number): void;
  /** How many connections are open. */
  connections(): number;
  /** Tears everything down. May be called twice. */
  stop(): Promise<void>;
}

interface Link {
  delayMs: number;
  cut: 'silent' | 'reset' | undefined;
  readonly limitBytes: number;
}

const host = '127.0.0.1';
const defaultLimitBytes = 16 * 1024 * 1024;

/**
 * Starts a relay to `to` and resolves when it accepts connections. Each chunk waits on its own clock, so that a delay does not
 * lower the throughput; what waits is bounded, beyond that the sender is slowed down. Timers tick in whole milliseconds: a
 * delay may last up to about 1 ms longer than asked.
 */
export async function startDelayProxy(options: DelayProxyOptions): Promise<DelayProxy> {
  const plain: Link = { delayMs: 0, cut: undefined, limitBytes: options.limitBytes ?? defaultLimitBytes };
  const slow: Link = { ...plain, delayMs: options.delayMs };
  const open = new Set<Connection>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const link = options.onlyFrom === undefined || near.remoteAddress === options.onlyFrom ? slow : plain;
    if (link.cut === 'reset') {
      near.resetAndDestroy();
      return;
    }
    const connection = relay({ near, to: options.to, link, onEnd: () => open.delete(connection) });
    open.add(connection);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port: options.port ?? 0 }, resolve);
  });
  const slowOnes = (): Connection[] => [...open].filter(({ link }) => link === slow);
  return {
    host,
    port: (server.address() as AddressInfo).port,
    cut(how = 'silent') {
      slow.cut = how;
      if (how === 'reset') for (const connection of slowOnes()) connection.destroy();
    },
    mend() {
      slow.cut = undefined;
      for (const connection of slowOnes()) connection.go();
    },
    setDelay(delayMs) {
      slow.delayMs = delayMs;
    },
    connections: () => open.size,
    async stop() {
      for (const connection of open) connection.destroy();
      if (!server.listening) return;
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

interface Connection {
  readonly link: Link;
  /** Sends what is due; called when a cut ends. */
  go(): void;
  destroy(): void;
}

interface RelayPlan {
  readonly near: Socket;
  readonly to: { readonly host: string; readonly port: number };
  readonly link: Link;
  readonly onEnd: () => void;
}

function relay({ near, to, link, onEnd }: RelayPlan): Connection {
  const far = createConnection({ ...to, allowHalfOpen: true });
  const ways = [carry(near, far, link), carry(far, near, link)];
  const sockets = [near, far];
  let ended = 0;
  for (const socket of sockets) {
    socket.setNoDelay(true);
    // What broke on one side breaks on the other, unless the cable is pulled: then nobody hears of it.
    socket.on('error', () => undefined);
    socket.on('close', (broken: boolean) => {
      ended += 1;
      if (broken && link.cut !== 'silent') for (const other of sockets) other.destroy();
      if (ended < sockets.length) return;
      for (const way of ways) way.stop();
      onEnd();
    });
  }
  return {
    link,
    go() {
      // One side may have broken meanwhile: now the other one hears of it.
      if (sockets.some((socket) => socket.errored)) for (const socket of sockets) socket.destroy();
      else for (const way of ways) way.go();
    },
    destroy() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
  };
}

interface Way {
  go(): void;
  stop(): void;
}

/** One direction: a queue of chunks with the moment at which each arrives on the other side; `undefined` is the end. */
function carry(from: Socket, to: Socket, link: Link): Way {
  const queue: { readonly dueMs: number; readonly chunk: Buffer | undefined }[] = [];
  let heldBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  let full = false;

  const send = (): void => {
    timer = undefined;
    if (link.cut !== undefined) return;
    // The timer rounds down now and then; what is due within half a millisecond goes with it.
    const nowMs = performance.now() + 0.5;
    while (!full) {
      const [next] = queue;
      if (next === undefined || next.dueMs > nowMs) break;
      queue.shift();
      if (next.chunk === undefined) to.end();
      else {
        heldBytes -= next.chunk.length;
        full = !to.write(next.chunk);
      }
    }
    if (heldBytes < link.limitBytes && from.isPaused()) from.resume();
    const [next] = queue;
    if (next !== undefined && !full) timer = setTimeout(send, Math.max(0, next.dueMs - performance.now()));
  };
  const go = (): void => {
    if (timer === undefined) send();
  };
  const add = (chunk: Buffer | undefined): void => {
    const earliestMs = queue.at(-1)?.dueMs ?? 0;
    queue.push({ dueMs: Math.max(earliestMs, performance.now() + link.delayMs), chunk });
    heldBytes += chunk?.length ?? 0;
    if (heldBytes >= link.limitBytes) from.pause();
    if (link.delayMs === 0) go();
    else timer ??= setTimeout(send, link.delayMs);
  };
  from.on('data', add);
  from.on('end', () => add(undefined));
  to.on('drain', () => {
    full = false;
    go();
  });
  return {
    go,
    stop() {
      clearTimeout(timer);
      queue.length = 0;
    },
  };
}
