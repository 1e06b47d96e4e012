// How are the nodes and Sentinels of a group spoken to while it is changed? One connection each, on which a node has said which process
// it is: an order for one process never reaches another that took its place. Nothing is sent twice by itself.
import type { RollbackAddress } from '@switchyard/backup';
import type { RedisSettings } from '@switchyard/redis';
import { withDeadline } from '@switchyard/runtime';
import type { ScratchReply } from '../restore/materialise.ts';
import { connectServer, type ServerConnection } from '../scratch/server-connection.ts';

/** The process at an address is another one than was meant. Nothing was sent. */
export class OtherProcessError extends Error {
  override readonly name = 'OtherProcessError';
}

/** Questions and orders; each rejects within its deadline. */
export interface GroupContacts {
  /** `runId`: only to this very process. */
  node(
    at: RollbackAddress,
    words: readonly string[],
    how?: { readonly deadlineMs?: number; readonly runId?: string | null },
  ): Promise<ScratchReply>;
  /** The process that the connection leads to; null when none is open. */
  runIdOf(at: RollbackAddress): string | null;
  sentinel(
    at: RollbackAddress,
    words: readonly string[],
    how?: { readonly deadlineMs?: number },
  ): Promise<ScratchReply>;
  close(): void;
}

const usualDeadlineMs = 1_000;

interface Contact {
  readonly connection: ServerConnection;
  readonly runId: string | null;
}

/** Connects when asked first, and anew after each failure. */
export function createGroupContacts(settings: RedisSettings): GroupContacts {
  const { username, password, sentinelPassword, tls, natMap } = settings;
  const secure = tls === undefined ? {} : { tls };
  const access = {
    node: {
      ...secure,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    },
    sentinel: { ...secure, ...(sentinelPassword === undefined ? {} : { password: sentinelPassword }) },
  };
  const life = new AbortController();
  const open = new Map<string, Promise<Contact>>();
  const known = new Map<string, string | null>();

  const connect = async (kind: 'node' | 'sentinel', at: RollbackAddress): Promise<Contact> => {
    const { host, port } = natMap?.[nameOf(at)] ?? at;
    const connection = await connectServer({ host, port, ...access[kind] }, { signal: life.signal });
    if (kind === 'sentinel') return { connection, runId: null };
    try {
      const info = String(await connection.ask('INFO', 'server'));
      return { connection, runId: /^run_id:(\w+)/m.exec(info)?.[1] ?? null };
    } catch (error) {
      connection.close();
      throw error;
    }
  };
  const ask = async (
    kind: 'node' | 'sentinel',
    at: RollbackAddress,
    words: readonly string[],
    {
      deadlineMs = usualDeadlineMs,
      runId = null,
    }: { readonly deadlineMs?: number; readonly runId?: string | null } = {},
  ): Promise<ScratchReply> => {
    const key = `${kind} ${nameOf(at)}`;
    const contact = open.get(key) ?? connect(kind, at);
    open.set(key, contact);
    const drop = (): void => {
      if (open.get(key) === contact) {
        open.delete(key);
        known.delete(key);
      }
      void contact.then(
        ({ connection }) => connection.close(),
        () => undefined,
      );
    };
    const answer = async (): Promise<ScratchReply> => {
      const { connection, runId: found } = await contact;
      known.set(key, found);
      if (runId !== null && found !== runId)
        throw new OtherProcessError(`${nameOf(at)} is another process than it was: nothing was sent`);
      return connection.ask(...words);
    };
    try {
      return await withDeadline(answer(), deadlineMs, `${words[0] ?? ''} at ${nameOf(at)}`);
    } catch (error) {
      // An error reply came over a connection that is well.
      if (!(error instanceof OtherProcessError) && !(error instanceof Error && error.name === 'ErrorReply')) drop();
      throw error;
    }
  };

  return {
    node: (at, words, how) => ask('node', at, words, how),
    runIdOf: (at) => known.get(`node ${nameOf(at)}`) ?? null,
    sentinel: (at, words, how) => ask('sentinel', at, words, how),
    close: () => {
      life.abort(new Error('the work on the group is over'));
      for (const contact of open.values())
        void contact.then(
          ({ connection }) => connection.close(),
          () => undefined,
        );
      open.clear();
    },
  };
}

/** `host:port`. */
export function nameOf({ host, port }: RollbackAddress): string {
  return `${host}:${port}`;
}
