// What does one Redis node say, and does it take writes? One direct connection; what the answers mean is not decided here.
import type { Clock, Logger } from '@switchyard/runtime';
import { openDirect, type RedisAccess } from './direct-connection.ts';

/** The node, and how long to wait for it. */
export interface RedisNodeAdminOptions extends RedisAccess {
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Shown by CLIENT LIST; `switchyard-watch` unless given. */
  readonly name?: string;
  /** Ms that one question may take; 500. */
  readonly deadlineMs?: number;
}

/** Questions to one node. Each rejects with a RedisNodeError within the deadline; none is asked twice by itself. */
export interface RedisNodeAdmin {
  readonly host: string;
  readonly port: number;
  /** The text of INFO, of one section or of the default ones. */
  info(section?: string): Promise<string>;
  /** The reply of ROLE as it came. */
  role(): Promise<unknown>;
  /** Ms until the answer. */
  ping(): Promise<number>;
  /** One setting; undefined when the node has none of that name. */
  configGet(name: string): Promise<string | undefined>;
  /** Writes the time to `key` and lets it expire: proof that the node takes writes. Ms until the acknowledgement. */
  probeWrite(key: string, ttlMs: number): Promise<number>;
  /** Any other command, for work that changes the node; its reply as it came. What is typed above is asked through the above. */
  call(command: string, ...args: readonly (string | number)[]): Promise<unknown>;
  /** Several of them at the same moment, or none: MULTI ... EXEC in one write. Replies in their order. */
  transaction(commands: readonly (readonly [string, ...(string | number)[]])[]): Promise<readonly unknown[]>;
  close(): void;
}

/** Connects in the background; the connection comes back by itself for ever. */
export const createRedisNodeAdmin = (options: RedisNodeAdminOptions): RedisNodeAdmin => {
  const { host, port, clock } = options;
  const connection = openDirect({ ...options, access: options, name: options.name ?? 'switchyard-watch' });
  const timed = async (ask: () => Promise<unknown>): Promise<number> => {
    const startedMs = clock.monotonicMs();
    await ask();
    return clock.monotonicMs() - startedMs;
  };
  return {
    host,
    port,
    info: async (section) =>
      String(await (section === undefined ? connection.call('INFO') : connection.call('INFO', section))),
    role: () => connection.call('ROLE'),
    ping: () => timed(() => connection.call('PING')),
    async configGet(name) {
      const reply = await connection.call('CONFIG', 'GET', name);
      return Array.isArray(reply) && typeof reply[1] === 'string' ? reply[1] : undefined;
    },
    probeWrite: (key, ttlMs) => timed(() => connection.call('SET', key, clock.unixMs(), 'PX', ttlMs)),
    call: (command, ...args) => connection.call(command, ...args),
    transaction: (commands) => connection.transaction(commands),
    close: () => connection.close(),
  };
};
