// How does an answer get from the instance to the client? Head first, then the body at the pace of the slower side, then
// the trailers. An answer that breaks off is never ended as if it were complete.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { forwardableTrailers } from './hop-by-hop.ts';

/** What happens to an answer on its way. */
export interface RelayEvents {
  /** Bytes moved. */
  progress(): void;
  /** Called once: the answer was handed over completely, or it broke off. */
  done(outcome: 'complete' | 'cut'): void;
}

/** An answer's head as it goes to the client. */
export interface AnswerHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly string[];
}

/** Sends the answer on. Throws when the head cannot be expressed; nothing was sent then. */
export function relay(answer: IncomingMessage, client: ServerResponse, head: AnswerHead, events: RelayEvents): void {
  client.writeHead(head.status, reasonPhrase(head.reason), head.headers as string[]);
  let begun = false;
  let over = false;

  const onDrain = (): void => {
    events.progress();
    answer.resume();
  };
  const end = (outcome: 'complete' | 'cut'): void => {
    if (over) return;
    over = true;
    client.off('drain', onDrain);
    if (outcome === 'complete') client.end();
    events.done(outcome);
  };

  answer.on('data', (chunk: Buffer) => {
    begun = true;
    events.progress();
    if (!client.write(chunk)) answer.pause();
  });
  client.on('drain', onDrain);
  answer.on('end', () => {
    if (!answer.complete) {
      end('cut');
      return;
    }
    const trailers = forwardableTrailers(answer.rawTrailers);
    if (trailers.length > 0) client.addTrailers(trailers);
    end('complete');
  });
  answer.on('error', () => end('cut'));
  answer.on('close', () => end('cut'));
  // A body that is there already goes out together with the head; a head alone must not wait for it.
  setImmediate(() => {
    if (!begun && !over) client.flushHeaders();
  });
}

/**
 * Breaks the client's connection off so that nobody can take what came for a whole answer. `endsByClose`: the end of the
 * body is the end of the connection, so an ordinary close would look complete and a reset is needed.
 */
export function breakOff(client: ServerResponse, endsByClose: boolean): void {
  const { socket } = client;
  if (endsByClose && socket && !socket.destroyed) socket.resetAndDestroy();
  client.destroy();
}

function reasonPhrase(text: string): string {
  return /^[\t\x20-\x7E\x80-\xFF]*$/.test(text) ? text : '';
}
