// Which replica is to be read from? The one with the least lag of those that are linked to their primary; asked through the Sentinels,
// or of the primary where there are none.
import { parseInfo, parseSentinelReplicas } from '@switchyard/replication';
import type { Address, NodeInfo } from '@switchyard/replication';
import type { Logger } from '@switchyard/runtime';
import type { RedisSettings } from './connection-options.ts';
import type { RedisAccess } from './direct-connection.ts';
import { reachable } from './nat-map.ts';
import { createNodeQuestions } from './node-questions.ts';

/** A replica, with what it said of itself. */
export interface ChosenReplica {
  readonly at: Address;
  readonly info: NodeInfo;
}

export interface ReplicaChooser {
  /** Undefined when no replica is linked to its primary and answers. `primary`: INFO replication of the primary, if it answered. */
  choose(primary: NodeInfo | undefined): Promise<ChosenReplica | undefined>;
  close(): void;
}

const deadlineMs = 300;
const down = new Set(['s_down', 'o_down', 'disconnected']);

/** Opens nothing before the first choice. */
export function createReplicaChooser(
  settings: RedisSettings,
  options: { logger: Logger; name: string },
): ReplicaChooser {
  const questions = createNodeQuestions({ ...options, deadlineMs });
  const { username, password, tls, natMap, sentinelPassword } = settings;
  const access: RedisAccess = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };
  const listed = async (primary: NodeInfo | undefined): Promise<readonly Address[]> => {
    if (settings.kind !== 'sentinel') return primary?.replicas ?? [];
    const sentinelAccess = sentinelPassword === undefined ? {} : { password: sentinelPassword };
    const words = ['SENTINEL', 'REPLICAS', settings.group] as const;
    // the first that answers will do: who is fit is asked of the replicas themselves
    return Promise.any(
      settings.sentinels.map(async (one) => {
        const { replicas } = parseSentinelReplicas(await questions.ask(one, sentinelAccess, words));
        return replicas.filter(({ flags }) => !flags.some((flag) => down.has(flag)));
      }),
    ).catch(() => []);
  };
  const ask = async (at: Address): Promise<ChosenReplica | undefined> => {
    try {
      const info = parseInfo(String(await questions.ask(reachable(natMap, at), access, ['INFO', 'replication'])));
      const isFit = info.role === 'replica' && info.link === 'up' && !info.syncing && info.offset !== null;
      return isFit ? { at: { host: at.host, port: at.port }, info } : undefined;
    } catch {
      return undefined;
    }
  };
  return {
    async choose(primary) {
      const asked = await Promise.all((await listed(primary)).map(ask));
      const fit = asked.filter((one) => one !== undefined);
      return fit.sort((a, b) => (b.info.offset ?? 0) - (a.info.offset ?? 0))[0];
    },
    close: () => questions.close(),
  };
}
