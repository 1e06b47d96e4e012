// Where is the log of one node or Sentinel, and what does it say? A file that the settings name, else its container, else the file that it
// names itself, when it runs on this machine.
import type { Endpoint } from '@switchyard/replication';
import type { DockerLogs } from './log-evidence-docker.ts';
import { isHere, readTail } from './log-evidence-files.ts';

/** `name=path` as they are set, by name. */
export const logFilesOf = (list: readonly string[]): ReadonlyMap<string, string> =>
  new Map(list.map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]));

/** One node or Sentinel, and how to ask it where it logs. */
export interface LogSource extends Endpoint {
  readonly file: () => Promise<string | null>;
}

/** A log, and where it was read. */
export interface LogText {
  readonly from: string;
  readonly text: string;
  /** Ms that its clock face is ahead of UTC. */
  readonly aheadMs: number;
}

/** Reads it; null when nobody knows where it is. Rejects when it cannot be read. */
export const logOf = async (
  source: LogSource,
  window: { readonly fromMs: number; readonly toMs: number },
  { docker, files }: { readonly docker: DockerLogs | null; readonly files: ReadonlyMap<string, string> },
): Promise<LogText | null> => {
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
