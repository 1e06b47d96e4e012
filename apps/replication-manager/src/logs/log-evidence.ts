// What did the nodes and the Sentinels write into their own logs while they failed over? The part of a group that adds those
// lines to the history: from files on this machine, or from the engine's log API where they run in containers.
import type { RedisFailover, RedisLogLines } from '@switchyard/protocol';
import { selectLogLines } from '@switchyard/replication';
import type { Clock, Logger } from '@switchyard/runtime';
import type { GroupPart, GroupTools } from '../group-part.ts';
import { createDockerLogs, type DockerLogs } from './log-evidence-docker.ts';
import { logFileOf, logFileOfConfig } from './log-evidence-files.ts';
import { logFilesOf, logOf, type LogSource } from './log-source.ts';

/** What may be set. */
export interface LogEvidenceSettings {
  /** The group that `logFiles` are of: other groups have their own `s1`. */
  readonly group: string;
  /** `name=path` of nodes and Sentinels. */
  readonly logFiles: readonly string[];
  /** Path of the Docker engine's socket. */
  readonly dockerSocket?: string | undefined;
}

/** Before the first sign. */
const beforeMs = 2_000;
const afterMs = 1_000;
/** What belongs to the end of the failover is written by then. */
const patienceMs = 1_500;
const limits = { mostLines: 80, mostBytes: 8_192 } as const;
const mostSources = 16;

/** The part; it does nothing until a failover has come to its end. */
export const createLogEvidence = (tools: GroupTools, settings: LogEvidenceSettings): GroupPart => {
  const { clock, logger, history, definition } = tools;
  const stopped = new AbortController();
  const under = new Set<Promise<void>>();
  const docker = settings.dockerSocket === undefined ? null : createDockerLogs(settings.dockerSocket);
  const collect = async (entry: RedisFailover): Promise<void> => {
    await clock.sleep(patienceMs, stopped.signal);
    const logs = await collectLogs(entry, {
      tools,
      docker,
      files: logFilesOf(definition.name === settings.group ? settings.logFiles : []),
      clock,
      logger,
    });
    if (logs.length > 0) history.amend(entry.id, { logs: [...logs] });
    const lines = logs.reduce((sum, one) => sum + one.lines.length, 0);
    logger.info({ group: definition.name, failover: entry.id, sources: logs.length, lines }, 'redis.failover_logs');
  };
  return {
    name: 'log-evidence',
    finished(entry) {
      const work = collect(entry).catch((error: unknown) => {
        if (!stopped.signal.aborted) logger.warn({ group: definition.name, err: error }, 'redis.failover_logs_failed');
      });
      under.add(work);
      void work.finally(() => under.delete(work));
    },
    async stop() {
      stopped.abort();
      await Promise.all(under);
    },
  };
};

interface Sources {
  readonly tools: GroupTools;
  readonly docker: DockerLogs | null;
  readonly files: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const collectLogs = async (entry: RedisFailover, sources: Sources): Promise<readonly RedisLogLines[]> => {
  const { tools, logger } = sources;
  const lastMs = Math.max(0, entry.writesUnavailableMs ?? 0, ...entry.phases.map(({ atMs }) => atMs));
  const window = { fromMs: entry.startedAtMs - beforeMs, toMs: entry.startedAtMs + lastMs + afterMs };
  const nodes: LogSource[] = tools.observer.observe().nodes.map(({ name, host, port }) => ({
    name,
    host,
    port,
    file: async () => {
      const admin = tools.observer.nodeAt({ host, port });
      const ask = async (setting: string): Promise<string | undefined> =>
        admin?.configGet(setting).catch(() => undefined);
      return logFileOf({ logfile: await ask('logfile'), dir: await ask('dir') });
    },
  }));
  const sentinels: LogSource[] = tools.sentinels().map((sentinel) => ({
    name: sentinel.name,
    host: sentinel.host,
    port: sentinel.port,
    file: async () => {
      const info = String(await sentinel.call('INFO', 'server').catch(() => ''));
      const config = /^config_file:(.+)$/m.exec(info)?.[1]?.trim();
      return config === undefined ? null : logFileOfConfig(config);
    },
  }));
  const found: RedisLogLines[] = [];
  // The Sentinels decide: theirs first.
  for (const source of [...sentinels, ...nodes].slice(0, mostSources)) {
    try {
      const log = await logOf(source, window, sources);
      if (log === null) continue;
      const lines = selectLogLines(log.text, { ...window, ...limits, aheadMs: log.aheadMs });
      if (lines.length > 0) found.push({ source: source.name, from: log.from, lines: [...lines] });
    } catch (error) {
      logger.debug({ node: source.name, err: error }, 'redis.log_unreadable');
    }
  }
  return found;
};
