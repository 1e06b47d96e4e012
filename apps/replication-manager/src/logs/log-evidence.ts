// What did the nodes and the Sentinels write into their own logs while they failed over? The part of a group that adds those
// lines to the history: from files on this machine, or from the engine's log API where they run in containers.
import type { RedisFailover, RedisLogLines } from '@switchyard/protocol';
import { selectLogLines, type Endpoint } from '@switchyard/replication';
import type { Clock, Logger } from '@switchyard/runtime';
import type { GroupPart, GroupTools } from '../group-part.ts';
import { createDockerLogs, type DockerLogs } from './log-evidence-docker.ts';
import { isHere, logFileOf, logFileOfConfig, readTail } from './log-evidence-files.ts';

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
      files: filesOf(definition.name === settings.group ? settings.logFiles : []),
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

const filesOf = (list: readonly string[]): ReadonlyMap<string, string> =>
  new Map(list.map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]));

interface Sources {
  readonly tools: GroupTools;
  readonly docker: DockerLogs | null;
  readonly files: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One node or Sentinel, and how to ask it where it logs. */
interface Source extends Endpoint {
  readonly file: () => Promise<string | null>;
}

const collectLogs = async (entry: RedisFailover, sources: Sources): Promise<readonly RedisLogLines[]> => {
  const { tools, logger } = sources;
  const lastMs = Math.max(0, entry.writesUnavailableMs ?? 0, ...entry.phases.map(({ atMs }) => atMs));
  const window = { fromMs: entry.startedAtMs - beforeMs, toMs: entry.startedAtMs + lastMs + afterMs };
  const nodes: Source[] = tools.observer.observe().nodes.map(({ name, host, port }) => ({
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
  const sentinels: Source[] = tools.sentinels().map((sentinel) => ({
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

const logOf = async (
  source: Source,
  window: { readonly fromMs: number; readonly toMs: number },
  { docker, files }: Sources,
): Promise<{ readonly from: string; readonly text: string; readonly aheadMs: number } | null> => {
  const here = -new Date(window.fromMs).getTimezoneOffset() * 60_000;
  const named = files.get(source.name);
  if (named !== undefined) return { from: named, text: await readTail(named), aheadMs: here };
  const container = await docker?.find(source);
  if (container !== undefined && docker !== null) {
    // Images of Redis keep their clocks at UTC.
    return { from: `container ${container.name}`, text: await docker.read(container, window), aheadMs: 0 };
  }
  if (!isHere(source.host)) return null;
  const own = await source.file();
  return own === null ? null : { from: own, text: await readTail(own), aheadMs: here };
};
