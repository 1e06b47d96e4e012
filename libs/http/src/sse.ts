// How are events pushed to a client without end? Server-sent events (WHATWG HTML 9.2) with a bound on what a slow reader costs.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';

/** One event; `data` that is not a string is sent as JSON. */
export interface SseEvent {
  /** What the client sends back as Last-Event-ID when it resumes. */
  readonly id?: string;
  readonly event?: string;
  readonly data: unknown;
}

/** An open stream to one client. */
export interface SseStream {
  /** False when the stream is over: the client went away, or was cut off because it read too slowly. */
  send(event: SseEvent): boolean;
  /** Ends the stream; the client will connect again. */
  close(): void;
  /** Aborts when the stream is over, for whatever reason: the moment to unsubscribe. */
  readonly closed: AbortSignal;
}

/** The limits of a stream. */
export interface SseOptions {
  /** Ms between comments that keep proxies from closing an idle stream; 15000. */
  readonly keepAliveMs?: number;
  /** A client with more than this unread is cut off; it resumes by Last-Event-ID. 1 MiB. */
  readonly maxUnreadBytes?: number;
  /** Ms after which the client connects again; 1000. */
  readonly retryMs?: number;
}

/** Begins the stream: sends the head at once. */
export const openSse = (req: IncomingMessage, res: ServerResponse, options: SseOptions = {}): SseStream => {
  const { keepAliveMs = 15_000, maxUnreadBytes = 1024 * 1024, retryMs = 1_000 } = options;
  const over = new AbortController();
  // Set one by one and not by writeHead: only so can the server see what kind of response it is.
  res.statusCode = 200;
  res.setHeader('content-type', 'text/event-stream; charset=utf-8');
  res.setHeader('cache-control', 'no-cache, no-transform');
  res.setHeader('x-accel-buffering', 'no');
  res.flushHeaders();

  const write = (text: string): boolean => {
    if (over.signal.aborted || res.writableEnded || res.destroyed) return false;
    res.write(text);
    // The socket's own buffer counts too: what the kernel did not take is memory of this process.
    if (res.writableLength <= maxUnreadBytes) return true;
    res.destroy();
    end();
    return false;
  };
  const keepAlive = setInterval(() => void write(': keep-alive\n\n'), keepAliveMs);
  const end = (): void => {
    clearInterval(keepAlive);
    if (!over.signal.aborted) over.abort(new Error('the event stream is over'));
  };
  res.once('close', end);
  res.once('finish', end);
  res.once('error', end);
  if (req.destroyed || res.destroyed) end();

  write(`retry: ${String(retryMs)}\n\n`);
  return {
    send: (event) => write(frameOf(event)),
    close: () => {
      end();
      res.end();
    },
    closed: over.signal,
  };
};

/** The frame of one event; line breaks in `id` and `event` cannot forge another one. */
export const frameOf = ({ id, event, data }: SseEvent): string => {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  const lines = text.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  return `${id === undefined ? '' : `id: ${oneLine(id)}\n`}${event === undefined ? '' : `event: ${oneLine(event)}\n`}${lines.join('')}\n`;
};

// oxlint-disable-next-line no-control-regex -- these three are what the format gives a meaning to
const oneLine = (text: string): string => text.replace(/[\r\n\0]/g, '');

const longestEventId = 256;

/** The id from which a client resumes; undefined when it begins, or when the header is nonsense. */
export const lastEventId = (headers: IncomingHttpHeaders): string | undefined => {
  const given = headers['last-event-id'];
  const id = (Array.isArray(given) ? given[0] : given)?.trim();
  return id === undefined || id === '' || id.length > longestEventId ? undefined : id;
};
