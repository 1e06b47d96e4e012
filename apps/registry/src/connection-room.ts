// How many connections can this process have? As many as set, but no more than the system gives it open files; it says so in time.
import { readFileSync } from 'node:fs';
import type { Clock, Logger } from '@switchyard/runtime';

/** Open files that are not connections of clients: Redis, Node itself, logs. */
const OWN_FILES = 128;
const SAY_AGAIN_MS = 60_000;

/** The soft limit of open files in the text of /proc/self/limits; undefined when it is not said, or unlimited. */
export function openFilesIn(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

const limitsOfThisProcess = (): string => {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // no Linux: the system will say so by itself
    return '';
  }
};

/** For `httpServer`: how many connections, and what is said when there are more. */
export interface ConnectionRoom {
  readonly maxConnections: number;
  readonly onFull: () => void;
}

/** Room for `wanted` connections, or for what the limit of open files leaves. */
export function connectionRoom(options: {
  readonly wanted: number;
  /** name of the setting, for whoever has to change it */
  readonly setting: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: string;
}): ConnectionRoom {
  const { wanted, setting, clock, logger } = options;
  const openFiles = openFilesIn(options.limits ?? limitsOfThisProcess());
  const maxConnections = Math.min(wanted, openFiles === undefined ? wanted : Math.max(1, openFiles - OWN_FILES));
  const next =
    maxConnections < wanted
      ? `raise the limit of open files (ulimit -n, LimitNOFILE, --ulimit nofile) above ${wanted + OWN_FILES}`
      : `raise ${setting}, and with it the limit of open files (ulimit -n) to ${OWN_FILES} more`;
  if (maxConnections < wanted) logger.warn({ wanted, maxConnections, openFiles, next }, 'connections.limited');
  let saidAtMs = -Infinity;
  return {
    maxConnections,
    onFull() {
      if (clock.monotonicMs() - saidAtMs < SAY_AGAIN_MS) return;
      saidAtMs = clock.monotonicMs();
      logger.warn({ maxConnections, openFiles, next }, 'connections.refused');
    },
  };
}
