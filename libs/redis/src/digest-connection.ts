// How does a digest ask one node? On a connection of its own, with replies as bytes, always in the database that is meant.
import type { Redis } from 'ioredis';
import { withDeadline, type Clock, type Logger } from '@switchyard/runtime';
import { openSocket, RedisNodeError, type RedisAccess } from './direct-connection.ts';
import { readScript } from './script.ts';

/** The node to read from. */
export interface DigestNode {
  readonly host: string;
  readonly port: number;
  readonly access?: RedisAccess;
  /** It is a node of a Redis Cluster: its replicas answer only those who say that they only read. */
  readonly cluster?: boolean;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** The scripts of the digest. */
export type DigestScript = 'digest-scan' | 'digest-keys' | 'digest-slice';

/** A connection that reads and never writes. Each call rejects with a RedisNodeError, at the latest after 5 s. */
export interface DigestConnection {
  call(command: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown>;
  /** Runs a script by its hash, in a form that cannot write. */
  run(script: DigestScript, args: readonly (string | number | Buffer)[]): Promise<unknown>;
  select(database: number): Promise<void>;
  close(): void;
}

const deadlineMs = 5_000;
const scripts = {
  'digest-scan': readScript('digest-scan'),
  'digest-keys': readScript('digest-keys'),
  'digest-slice': readScript('digest-slice'),
} as const;

/** Connects; a connection that was lost is not made again, because nobody would know what was missed. */
export const openDigestConnection = async (node: DigestNode): Promise<DigestConnection> => {
  const where = `${node.host}:${String(node.port)}`;
  const redis = openSocket({ ...node, name: 'switchyard-digest' });
  redis.options.retryStrategy = () => null;
  let database = 0;
  try {
    await withDeadline(connected(redis), deadlineMs, `the connection to ${where}`);
  } catch (error) {
    redis.disconnect();
    throw new RedisNodeError('gone', messageOf(error), { cause: error });
  }
  const call: DigestConnection['call'] = async (command, ...args) => {
    try {
      return await withDeadline(redis.callBuffer(command, ...args), deadlineMs, `${command} at ${where}`);
    } catch (error) {
      const isReply = error instanceof Error && error.name === 'ReplyError';
      throw new RedisNodeError(isReply ? 'refused' : 'gone', messageOf(error), { cause: error });
    }
  };
  // Reading everything must not make everything look recently used; from Redis 7.2 on that can be asked for.
  await call('CLIENT', 'NO-TOUCH', 'ON').catch(() => undefined);
  if (node.cluster === true) await call('READONLY');
  return {
    call,
    async run(script, args) {
      const { source, hash } = scripts[script];
      try {
        return await call('EVALSHA_RO', hash, 0, ...args);
      } catch (error) {
        if (messageOf(error).startsWith('NOSCRIPT')) return call('EVAL_RO', source, 0, ...args);
        throw explained(error, where);
      }
    },
    async select(wanted) {
      if (wanted !== database) await call('SELECT', wanted);
      database = wanted;
    },
    close: () => redis.disconnect(),
  };
};

const connected = (redis: Redis): Promise<void> =>
  new Promise((resolve, reject) => {
    redis.once('ready', () => resolve());
    redis.once('error', reject);
  });

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 200);

/** Two things that an operator can mend, said so. */
const explained = (error: unknown, where: string): unknown => {
  const message = messageOf(error);
  if (message.startsWith('NOPERM')) {
    return new RedisNodeError(
      'refused',
      `${where} does not let this user read for a digest (${message}): allow it +eval_ro +evalsha_ro +@read +memory|usage ~*`,
      { cause: error },
    );
  }
  if (/unknown command/i.test(message)) {
    return new RedisNodeError('refused', `${where} has no EVAL_RO: a digest needs Redis 7.0 or later`, {
      cause: error,
    });
  }
  return error;
};
