// How does a switchover talk to nodes and Sentinels? Over connections of its own: the group's watch writes, and would be held by
// the pause. Two to each: one looks, one acts, so that a silent question never delays a command.
import { addressKey, type Address, type Endpoint } from '@switchyard/replication';
import { createRedisNodeAdmin, type RedisNodeAdmin } from '@switchyard/redis';
import type { GroupTools } from '../group-part.ts';

/** Connections, made when they are first needed. */
export interface Contacts {
  /** For questions. */
  eye(at: Address, kind: 'node' | 'sentinel'): RedisNodeAdmin;
  /** For commands. */
  hand(at: Address, kind: 'node' | 'sentinel'): RedisNodeAdmin;
  close(): void;
}

/** Shown by CLIENT LIST; connections of this name are not disconnected by a switchover. */
const clientName = 'switchyard-switchover';
/** Shorter than the time after which a command is sent again. */
const commandMs = 300;

/** Contacts of one group; `questionMs` bounds each question. */
export const createContacts = (
  tools: Pick<GroupTools, 'definition' | 'connect' | 'clock' | 'logger'>,
  questionMs: number,
): Contacts => {
  const open = new Map<string, RedisNodeAdmin>();
  const { settings } = tools.definition;
  const contact = (at: Address, use: string, deadlineMs: number): RedisNodeAdmin => {
    const key = `${use} ${addressKey(at)}`;
    const known = open.get(key);
    if (known !== undefined) return known;
    const endpoint: Endpoint = { name: addressKey(at), host: at.host, port: at.port };
    const made = use.startsWith('sentinel')
      ? createRedisNodeAdmin({
          host: at.host,
          port: at.port,
          clock: tools.clock,
          logger: tools.logger,
          deadlineMs,
          name: clientName,
          ...(settings.sentinelPassword === undefined ? {} : { password: settings.sentinelPassword }),
        })
      : tools.connect(endpoint, { deadlineMs, name: clientName });
    open.set(key, made);
    return made;
  };
  return {
    eye: (at, kind) => contact(at, `${kind} eye`, questionMs),
    hand: (at, kind) => contact(at, `${kind} hand`, commandMs),
    close() {
      for (const one of open.values()) one.close();
      open.clear();
    },
  };
};
