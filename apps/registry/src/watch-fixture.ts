// How do tests watch a registry? A listener that serves events alone, with limits of the test's choice, and clients of real sockets.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createApi, httpServer } from '@switchyard/http';
import { createCatalogFeed, createCatalogStore, createEpochKeeper, createRedis } from '@switchyard/redis';
import { createHealth, createLogger, createMetrics, systemClock } from '@switchyard/runtime';
import type { Component } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import { eventRoutes } from './event-routes.ts';
import { createWatchHub } from './watch-hub.ts';

/** Serves `/v1/stream` from the Redis at `port`. */
export async function startStreams(
  port: number,
  limits: { readonly ring?: { readonly maxEvents: number; readonly maxBytes: number }; readonly keepAliveMs?: number },
) {
  const logger = createLogger('test', { level: 'silent' });
  const clock = systemClock;
  const metrics = createMetrics();
  const health = createHealth({ clock });
  const connections = createRedis(
    { kind: 'single', endpoint: { host: '127.0.0.1', port }, group: 'main' },
    { logger, name: 'test' },
  );
  const redis = connections.connect('commands');
  const store = createCatalogStore(redis, 'test');
  const feed = createCatalogFeed({ store, subscriber: connections.connect('subscriber'), clock, logger });
  const hub = createWatchHub({ feed, clock, logger, metrics, ...limits });
  const routes = eventRoutes({ store, feed, hub, clock, logger });
  const app = createApi({ title: 'streams', version: '0.0.0', routes, health, metrics, logger });
  const server = httpServer({ name: 'api', host: '127.0.0.1', port: 0, app });
  const keeper = createEpochKeeper({ store, redis, feed, clock, logger });
  const parts: readonly Component[] = [server, hub, feed, keeper];
  for (const part of parts) await part.start?.(new AbortController().signal);
  // somebody has begun the first epoch
  await eventually(() => expect(feed.status().epoch).toBeGreaterThan(0));
  return {
    port: server.address().port,
    hub,
    feed,
    async stop() {
      await Promise.all(parts.map((part) => part.drain?.() ?? Promise.resolve()));
      for (const part of parts.toReversed()) await part.stop?.();
      await connections.stop();
    },
  };
}

/** What one frame said. */
export interface WatchedFrame {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: string | undefined;
}

/** An event source (WHATWG HTML 9.2) as a browser has it, but for waiting before it connects again: it remembers the last id. */
export function createEventSource(path: string, take: (frame: WatchedFrame) => void) {
  let socket: Socket | undefined;
  let text = '';
  let lastId: string | undefined;
  const takeFrame = (block: string): void => {
    const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
    const id = field('id');
    lastId = id ?? lastId;
    take({ id, event: field('event'), data: field('data') });
  };
  return {
    lastId: () => lastId,
    /** Connects; with `from`, as if that were the last id it has seen. */
    open(port: number, from = lastId): void {
      lastId = from;
      text = '';
      let isBody = false;
      const own = connect(port, '127.0.0.1');
      socket = own;
      const resume = lastId === undefined ? '' : `Last-Event-ID: ${lastId}\r\n`;
      own.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${resume}\r\n`);
      own.on('error', () => undefined);
      own.on('data', (bytes) => {
        if (own !== socket) return;
        text += bytes.toString('latin1');
        if (!isBody) {
          const end = text.indexOf('\r\n\r\n');
          if (end < 0) return;
          isBody = true;
          text = text.slice(end + 4);
        }
        // a chunk holds whole frames, and no frame holds a carriage return: what is left between frames is the framing
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) takeFrame(block.replaceAll(/^(?:\r\n)?[\da-f]+\r\n|^\r\n/g, ''));
      });
    },
    /** In the midst of whatever it reads. */
    cut(): void {
      const old = socket;
      socket = undefined;
      old?.destroy();
    },
  };
}
