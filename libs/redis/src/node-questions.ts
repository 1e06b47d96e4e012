// How does one ask a few nodes a question now and then, whatever became of them since? Each over a connection that is kept while it
// is used, and made anew after each failure: one that waits to reconnect would hide that the node is back.
import type { Logger } from '@switchyard/runtime';
import type { RedisEndpoint } from './connection-options.ts';
import { openDirect } from './direct-connection.ts';
import type { DirectConnection, RedisAccess } from './direct-connection.ts';

/** Nodes that are asked. */
export interface NodeQuestions {
  /** Sends one command. Rejects with a RedisNodeError within the deadline. */
  ask(at: RedisEndpoint, access: RedisAccess, words: readonly [string, ...(string | number)[]]): Promise<unknown>;
  close(): void;
}

/** Kept for so long after the last question. */
const idleMs = 30_000;
/** More nodes than these belong to no group; the one that was asked first gives way. */
const mostNodes = 32;

/** Opens nothing before the first question. */
export const createNodeQuestions = (options: {
  readonly logger: Logger;
  readonly name: string;
  readonly deadlineMs: number;
}): NodeQuestions => {
  const open = new Map<string, { readonly connection: DirectConnection; idle: NodeJS.Timeout }>();
  let closed = false;
  const drop = (key: string): void => {
    const one = open.get(key);
    clearTimeout(one?.idle);
    one?.connection.close();
    open.delete(key);
  };
  return {
    async ask(at, access, [command, ...args]) {
      if (closed) throw new Error('Connection is closed.');
      const key = `${at.host}:${String(at.port)}`;
      const oldest = open.keys().next();
      if (!open.has(key) && open.size >= mostNodes && !oldest.done) drop(oldest.value);
      const known = open.get(key);
      clearTimeout(known?.idle);
      const connection = known?.connection ?? openDirect({ ...options, ...at, access });
      const idle = setTimeout(() => drop(key), idleMs);
      open.set(key, { connection, idle });
      try {
        return await connection.call(command, ...args);
      } catch (error) {
        // another question may have made it anew meanwhile
        if (open.get(key)?.connection === connection) drop(key);
        else connection.close();
        throw error;
      }
    },
    close() {
      closed = true;
      for (const key of open.keys()) drop(key);
    },
  };
};
