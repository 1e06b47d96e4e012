// What happens when an instance agrees to switch protocols (RFC 9110 7.8)? The client gets its 101, then bytes go both ways.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Target } from './engine.ts';
import { finish, type Exchange } from './exchange.ts';
import { valueOf } from './header-list.ts';
import { headText } from './interim-answer.ts';
import type { Load } from './load.ts';
import { responseHeaders } from './response-headers.ts';
import { openTunnel } from './tunnel.ts';

/** An agreed switch. */
export interface Switch {
  readonly target: Target;
  readonly load: Load;
  readonly answer: IncomingMessage;
  readonly socket: Socket;
  /** What the instance already sent in the new protocol. */
  readonly early: Buffer;
}

/** Joins client and instance; the exchange ends as answered. */
export function passUpgrade(exchange: Exchange, { target, load, answer, socket, early }: Switch): void {
  const { engine, req, res } = exchange;
  const client = req.socket;
  const headers = responseHeaders(answer.rawHeaders, {
    status: 101,
    chunkable: false,
    requestId: exchange.requestId,
    instance: engine.options.announceInstance ? target.id : undefined,
  });
  headers.push('Connection', 'Upgrade', 'Upgrade', valueOf(answer.rawHeaders, 'upgrade') ?? '');
  load.close();
  finish(exchange, { end: 'answered', status: 101 });
  engine.counters.answersByClass[1] = (engine.counters.answersByClass[1] ?? 0) + 1;
  // The sockets live on, the request does not: nothing of node:http may write to them any more.
  res.detachSocket(client);
  engine.active.delete(exchange);

  client.write(headText('HTTP/1.1 101 Switching Protocols', headers), 'latin1');
  target.meter.tunnels += 1;
  const tunnel = openTunnel(
    { client, clientEarly: exchange.early ?? Buffer.alloc(0), instance: socket, instanceEarly: early },
    {
      deadlines: engine.deadlines,
      idleMs: engine.options.timeouts.tunnelMs,
      halfClosedMs: engine.options.timeouts.idleMs,
      closed: () => {
        target.meter.tunnels -= 1;
        engine.tunnels.delete(tunnel);
      },
    },
  );
  engine.tunnels.add(tunnel);
}
