// How does a test catch a connection in the very moment in which it asks for its primary? With a Sentinel that it holds.
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

/** A Sentinel that the test holds by the hand: it answers when it is told to. */
export async function startFakeSentinel(primaryPort: number) {
  const subscribers = new Set<Socket>();
  const sockets = new Set<Socket>();
  let held: (() => void)[] | undefined;
  let onAsked: (() => void) | undefined;
  const bulk = (...words: readonly string[]): string =>
    `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
  const answer = (socket: Socket, words: readonly string[]): void => {
    const command = words
      .slice(0, words[0]?.toLowerCase() === 'sentinel' ? 2 : 1)
      .join(' ')
      .toLowerCase();
    if (command === 'hello') socket.write("-ERR unknown command 'HELLO'\r\n");
    else if (command === 'psubscribe') {
      subscribers.add(socket);
      socket.write(`*3\r\n$10\r\npsubscribe\r\n$${words[1]?.length}\r\n${words[1]}\r\n:1\r\n`);
    } else if (command === 'sentinel master') {
      const facts = ['name', 'main', 'ip', '127.0.0.1', 'port', String(primaryPort), 'config-epoch', '0'];
      const reply = (): void => void socket.write(bulk(...facts));
      if (held) held.push(reply);
      else reply();
      onAsked?.();
    } else socket.write('+OK\r\n');
  };
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      subscribers.delete(socket);
      sockets.delete(socket);
    });
    socket.on('data', (data) => {
      for (const part of data.toString().split(/(?=\*\d+\r\n)/)) {
        answer(
          socket,
          part.split('\r\n').filter((_line, i) => i > 0 && i % 2 === 0),
        );
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    subscribers: () => subscribers.size,
    /** Open connections of any kind. */
    connections: () => sockets.size,
    /** From now on nobody is told the primary; resolves when somebody has asked. */
    hold(): Promise<void> {
      held = [];
      return new Promise((resolve) => {
        onAsked = resolve;
      });
    },
    /** Tells everybody who listens that the primary of `group` is at `port` now. */
    announce(port: number, group = 'main') {
      const text = `${group} 127.0.0.1 1 127.0.0.1 ${port}`;
      for (const socket of subscribers) socket.write(bulk('pmessage', '*', '+switch-master', text));
    },
    release() {
      for (const reply of held ?? []) reply();
      held = undefined;
    },
    /** Closes every connection, as a restart would. */
    loseAll() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
