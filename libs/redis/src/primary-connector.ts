// How does a connection of ioredis find the node to talk to? By asking before each connect, until there is one. (docs/adr/0010 and 0013
// say why this is neither ioredis's Cluster nor its search by Sentinels.)
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { reconnectDelayMs } from './connection-options.ts';
import type { RedisEndpoint } from './connection-options.ts';

type ErrorEmitter = Parameters<AbstractConnector['connect']>[0];
type Stream = Awaited<ReturnType<AbstractConnector['connect']>>;

/** Who knows the node to talk to. */
export interface NodeFinder {
  /** Asks now; rejects when there is none at the moment. */
  find(): Promise<RedisEndpoint>;
  /** Resolves after so many ms, or sooner when it is worth to ask again; only waits when it is not given. */
  pause?(ms: number): Promise<void>;
  /** True when this node has been given up since it was found. */
  isStale?(at: RedisEndpoint): boolean;
}

/** A connector that asks the finder until there is a node, and connects there. */
export const primaryConnector = (finder: NodeFinder): NonNullable<RedisOptions['Connector']> =>
  class PrimaryConnector extends AbstractConnector {
    readonly #tls: object | undefined;

    constructor(options: unknown) {
      const { disconnectTimeout = 0, tls } = options as RedisOptions;
      super(disconnectTimeout);
      this.#tls = tls;
    }

    override async connect(tell: ErrorEmitter): Promise<Stream> {
      this.connecting = true;
      const at = await this.#find(tell);
      const stream = this.#tls === undefined ? connectTcp(at) : connectTls({ ...at, ...this.#tls });
      this.stream = stream;
      stream.once('error', (error: Error) => (this.firstError = error));
      // The news came between the answer and the connection, which nobody sends away: it was at no node yet.
      stream.once('connect', () => {
        if (finder.isStale?.(at) === true) stream.destroy();
      });
      return stream;
    }

    async #find(tell: ErrorEmitter): Promise<RedisEndpoint> {
      for (let attempt = 1; ; attempt += 1) {
        try {
          const at = await finder.find();
          if (this.connecting) return at;
        } catch (error) {
          if (this.connecting) tell('error', error as Error);
        }
        if (!this.connecting) throw new Error('Connection is closed.');
        const waitMs = reconnectDelayMs(attempt);
        await (finder.pause?.(waitMs) ?? pause(waitMs));
      }
    }
  };

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
