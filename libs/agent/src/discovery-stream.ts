// How does a discovery client stay in touch with the catalog? One stream of events from one registry; when it breaks, the next one.
//
//   CONNECTING --first frame--> LISTENING --broken, silent--> WAITING --back-off--> CONNECTING (the next registry)
//
// It goes on from the last event that it has seen. Nothing that happens here takes anything out of a table.
import { backoff } from '@switchyard/runtime';
import type { Clock, Logger } from '@switchyard/runtime';
import { newsIn, positionIn } from './discovery-news.ts';
import type { DiscoveryNews } from './discovery-news.ts';
import { createSseReader } from './discovery-sse.ts';
import type { SseFrame } from './discovery-sse.ts';

/** What a stream works with. */
export interface StreamOptions {
  readonly registryUrls: readonly string[];
  /** Names of the services to hear about, now. */
  readonly services: () => readonly string[];
  /** Takes in news about the services that were asked for; a text when they cannot be used: then another registry is asked. */
  readonly take: (news: DiscoveryNews, wanted: readonly string[]) => string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ms between two signs of life of a registry that has nothing to say. */
  readonly keepAliveMs: number;
  readonly random: () => number;
}

/** How the connection to the registries stands. */
export interface StreamState {
  readonly isLive: boolean;
  /** The registry that is heard, or was last. */
  readonly registry: string | undefined;
  /** Monotonic ms of the last byte from a registry. */
  readonly heardMs: number | undefined;
  /** Why it is not live; undefined while it is. */
  readonly problem: string | undefined;
}

/** The stream of one discovery client. */
export interface DiscoveryStream {
  state(): StreamState;
  /** Connects, or connects again because other services are wanted. */
  restart(): void;
  stop(): Promise<void>;
}

const firstRetryMs = 100;
const longestRetryMs = 5_000;
const connectTimeoutMs = 3_000;
/** So many keep-alives without a byte, and the connection is dead. */
const missedKeepAlives = 3;

/** A stream that connects when it is restarted for the first time. */
export function createDiscoveryStream(options: StreamOptions): DiscoveryStream {
  const { registryUrls, clock, logger, keepAliveMs, random } = options;
  const retry = backoff({ baseMs: firstRetryMs, maxMs: longestRetryMs, random });
  const stopped = new AbortController();
  let attempt = new AbortController();
  let turn = Math.floor(random() * registryUrls.length);
  let lastId: string | undefined;
  let isLive = false;
  let heardMs: number | undefined;
  let problem: string | undefined;
  let loop: Promise<void> | undefined;
  const registry = (): string | undefined => registryUrls[turn % registryUrls.length];

  const take = (frame: SseFrame, wanted: readonly string[]): void => {
    const from = lastId;
    // until it is taken in, whoever comes back needs a snapshot: also after a reset, whose snapshot follows
    lastId = undefined;
    if (frame.event === 'reset') return;
    const fault = options.take(newsIn(frame), wanted);
    if (fault !== undefined) throw new Error(fault);
    lastId = positionIn(frame.id) === undefined ? from : frame.id;
    connected();
  };
  const connected = (): void => {
    if (!isLive) logger.info({ registry: registry(), id: lastId }, 'discovery.connected');
    isLive = true;
    problem = undefined;
    retry.reset();
  };

  const listen = async (wanted: readonly string[], signal: AbortSignal): Promise<void> => {
    const silence = new AbortController();
    const kill = (ms: number, why: string) => setTimeout(() => silence.abort(new Error(why)), ms);
    let timer = kill(connectTimeoutMs, `no answer within ${connectTimeoutMs} ms`);
    try {
      const url = new URL('/v1/stream', registry());
      url.search = `topics=instance,service&service=${wanted.join(',')}&snapshot=true`;
      const headers = { accept: 'text/event-stream', ...(lastId !== undefined && { 'last-event-id': lastId }) };
      const both = AbortSignal.any([signal, silence.signal]);
      const response = await fetch(url, { headers, signal: both, redirect: 'error' });
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        throw new Error(`it answered ${response.status}`);
      }
      // nothing may have happened since
      if (lastId !== undefined) connected();
      const reader = createSseReader();
      const longestSilenceMs = keepAliveMs * missedKeepAlives;
      for await (const bytes of response.body as AsyncIterable<Uint8Array>) {
        clearTimeout(timer);
        timer = kill(longestSilenceMs, `no byte for ${longestSilenceMs} ms`);
        heardMs = clock.monotonicMs();
        for (const frame of reader.take(bytes)) take(frame, wanted);
      }
      throw new Error('it ended the stream');
    } finally {
      clearTimeout(timer);
    }
  };

  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      attempt = new AbortController();
      const { signal } = attempt;
      try {
        await listen(options.services(), AbortSignal.any([stopped.signal, signal]));
      } catch (error) {
        // other services are wanted: at once, from the same registry, and with a snapshot
        if (stopped.signal.aborted) return;
        if (signal.aborted) continue;
        const fault = `${registry()}: ${faultOf(error)}`;
        if (isLive || problem === undefined) logger.warn({ fault, id: lastId }, 'discovery.disconnected');
        isLive = false;
        problem = fault;
        turn += 1;
        await clock.sleep(retry.next(), AbortSignal.any([stopped.signal, signal])).catch(() => undefined);
      }
    }
  };

  return {
    state: () => ({ isLive, registry: registry(), heardMs, problem }),
    restart() {
      lastId = undefined;
      attempt.abort();
      if (!stopped.signal.aborted) loop ??= run();
    },
    async stop() {
      stopped.abort(new Error('the discovery client stops'));
      await loop;
      isLive = false;
    },
  };
}

/** Fetch hides the reason in `cause`. */
function faultOf(error: unknown): string {
  const { message, cause } = error as { readonly message?: string; readonly cause?: { readonly message?: string } };
  return cause?.message || message || String(error);
}
