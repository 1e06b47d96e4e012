// How does one talk to one Redis process, whatever state it is in? To watch it, not to store something: no Sentinel in
// between, no queue, no retry of commands, and every question ends within its deadline.
import { Redis } from 'ioredis';
import { backoff, withDeadline, type Logger } from '@switchyard/runtime';

/** User and password, and whether to speak TLS. */
export interface RedisAccess {
  readonly username?: string;
  readonly password?: string;
  readonly tls?: boolean;
}

/** The process to talk to. */
export interface DirectOptions {
  readonly host: string;
  readonly port: number;
  readonly access?: RedisAccess;
  /** Shown by CLIENT LIST. */
  readonly name: string;
  readonly logger: Logger;
  /** Ms that one question may take; 500. */
  readonly deadlineMs?: number;
}

/**
 * Why a question failed. `gone`: refused or closed, nobody is there. `silent`: no answer in time. `refused`: an error reply
 * (wrong password, no permission, unknown command).
 */
export class RedisNodeError extends Error {
  override readonly name = 'RedisNodeError';
  readonly kind: 'gone' | 'silent' | 'refused';

  constructor(kind: RedisNodeError['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** A connection to one process; it connects in the background and reconnects for ever. */
export interface DirectConnection {
  /** Sends one command. Rejects with a RedisNodeError within the deadline, also while there is no connection. */
  call(command: string, ...args: readonly (string | number)[]): Promise<unknown>;
  /**
   * Sends commands as one MULTI ... EXEC, in one write: all of them happen at the same moment, or none. Resolves with the reply of
   * each; rejects as `refused` when one of them fails, although the others were carried out then.
   */
  transaction(commands: readonly (readonly [string, ...(string | number)[]])[]): Promise<readonly unknown[]>;
  close(): void;
}

const defaultDeadlineMs = 500;
const connectDeadlineMs = 1_000;
/** A peer that owes an answer for so long is given up: after a power loss no FIN would ever come. */
export const socketSilenceMs = 5_000;
const longestReconnectMs = 1_000;
/** Questions that a silent peer may owe; more would only pile up in its socket. */
const mostOwed = 4;
const longestDetail = 200;

/** Connects now, in the background. */
export const openDirect = (options: DirectOptions): DirectConnection => {
  const { deadlineMs = defaultDeadlineMs } = options;
  const where = `${options.host}:${String(options.port)}`;
  const redis = openSocket(options);
  /** Why the latest attempt to connect failed; null while it is under way and while the connection holds. */
  let fault: Error | null = null;
  let owed = 0;
  let waiting: (() => void)[] = [];
  const settled = (outcome: Error | null): void => {
    fault = outcome;
    for (const wake of waiting) wake();
    waiting = [];
  };
  redis.on('ready', () => settled(null));
  redis.on('error', (error: Error) => settled(error));
  redis.on('end', () => settled(new Error('Connection is closed.')));

  /** A connection that was just lost may be back at once: Sentinel closes all of a node's when it changes its role. */
  const ready = async (): Promise<void> => {
    if (redis.status !== 'ready' && fault === null) await new Promise<void>((wake) => waiting.push(wake));
    if (redis.status !== 'ready') throw fault ?? new RedisNodeError('gone', `the connection to ${where} was closed`);
  };

  const inTime = async <T>(what: string, ask: () => Promise<T>): Promise<T> => {
    // Each of them ends by its deadline, or later when the peer wakes up: their number has to be bounded.
    if (owed >= mostOwed) throw new RedisNodeError('silent', `${where} owes ${String(owed)} answers`);
    owed += 1;
    const answer = ready()
      .then(ask)
      .finally(() => {
        owed -= 1;
      });
    try {
      return await withDeadline(answer, deadlineMs, `${what} at ${where}`);
    } catch (error) {
      throw faultOf(error);
    }
  };

  return {
    call: (command, ...args) => inTime(command, () => redis.call(command, ...args)),
    transaction: (commands) =>
      inTime(commands.map(([command]) => command).join(', '), async () => {
        const pipeline = redis.multi();
        for (const [command, ...args] of commands) pipeline.call(command, ...args);
        const replies = (await pipeline.exec()) ?? [];
        return replies.map(([error, reply]) => {
          if (error !== null) throw error;
          return reply;
        });
      }),
    close: () => redis.disconnect(),
  };
};

/** A socket of ioredis for watching. Subscriptions on it are kept by `keepSubscribed`. */
export const openSocket = (options: DirectOptions): Redis => {
  const { host, port, access = {}, name, logger } = options;
  const wait = backoff({ baseMs: 20, maxMs: longestReconnectMs });
  const redis = new Redis({
    host,
    port,
    connectionName: name,
    replyMapping: 'legacy',
    connectTimeout: connectDeadlineMs,
    socketTimeout: socketSilenceMs,
    // A node that loads its data set is to be seen, not to be waited for.
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResubscribe: false,
    // Of a connection that closes, questions fail at once: with `null` ioredis would never settle them.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => wait.next(),
    keepAlive: 5_000,
    ...(access.username === undefined ? {} : { username: access.username }),
    ...(access.password === undefined ? {} : { password: access.password }),
    ...(access.tls === true ? { tls: {} } : {}),
  });
  redis.on('ready', () => wait.reset());
  redis.on('error', (error: Error) =>
    logger.debug({ at: `${host}:${String(port)}`, fault: error.message }, 'redis.watch_fault'),
  );
  return redis;
};

const goneCodes: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND']);

/** How ioredis says that the connection closed a moment ago. */
const closedSaying = /^(Connection is closed\.|Stream isn't writeable)/;

const faultOf = (error: unknown): RedisNodeError => {
  if (error instanceof RedisNodeError) return error;
  const { name, message, code } = error as Error & { readonly code?: string };
  const detail = message.slice(0, longestDetail);
  if (name === 'ReplyError') return new RedisNodeError('refused', detail, { cause: error });
  if (name === 'MaxRetriesPerRequestError')
    return new RedisNodeError('gone', 'the connection was closed', { cause: error });
  const gone = goneCodes.has(code ?? '') || closedSaying.test(message);
  return new RedisNodeError(gone ? 'gone' : 'silent', detail, { cause: error });
};
