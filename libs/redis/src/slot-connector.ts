// How does a connection of ioredis find the primary that owns the keys in a Redis Cluster? As it finds one by Sentinels: by asking
// before each connect. (docs/adr/0010 says why this is not ioredis's Cluster.)
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { reconnectDelayMs } from './connection-options.ts';
import type { RedisEndpoint } from './connection-options.ts';

type ErrorEmitter = Parameters<AbstractConnector['connect']>[0];
type Stream = Awaited<ReturnType<AbstractConnector['connect']>>;

/** A connector that asks `owner` until there is one, and connects there. */
export const slotConnector = (owner: () => Promise<RedisEndpoint>): NonNullable<RedisOptions['Connector']> =>
  class SlotConnector extends AbstractConnector {
    readonly #tls: object | undefined;

    constructor(options: unknown) {
      const { disconnectTimeout = 0, tls } = options as RedisOptions;
      super(disconnectTimeout);
      this.#tls = tls;
    }

    override async connect(tell: ErrorEmitter): Promise<Stream> {
      this.connecting = true;
      const at = await this.#find(tell);
      this.stream = this.#tls === undefined ? connectTcp(at) : connectTls({ ...at, ...this.#tls });
      this.stream.once('error', (error: Error) => (this.firstError = error));
      return this.stream;
    }

    async #find(tell: ErrorEmitter): Promise<RedisEndpoint> {
      for (let attempt = 1; ; attempt += 1) {
        try {
          const at = await owner();
          if (this.connecting) return at;
        } catch (error) {
          if (this.connecting) tell('error', error as Error);
        }
        if (!this.connecting) throw new Error('Connection is closed.');
        await new Promise((resolve) => setTimeout(resolve, reconnectDelayMs(attempt)));
      }
    }
  };
