// Where does a node or a Sentinel write its log, and what is at its end? Files that were named in the settings, or that the node
// names itself, when it runs on this machine. Only lines that look like a Redis log are ever told (libs/replication/log-lines.ts).
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { isAbsolute, join } from 'node:path';

const tailBytes = 262_144;
const mostConfigBytes = 1_048_576;

/** The last 256 KiB of a file as text. Rejects when it cannot be read, or is no plain file. */
export const readTail = async (path: string): Promise<string> => {
  const file = await open(path, 'r');
  try {
    return await tailOf(file);
  } finally {
    await file.close();
  }
};

const tailOf = async (file: FileHandle): Promise<string> => {
  const facts = await file.stat();
  if (!facts.isFile()) throw new Error('it is no plain file');
  const length = Math.min(facts.size, tailBytes);
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, facts.size - length);
  return bytes.subarray(0, bytesRead).toString('utf8');
};

/** Whether this host is this machine. */
export const isHere = (host: string): boolean =>
  host === 'localhost' ||
  host === '::1' ||
  host.startsWith('127.') ||
  Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === host) ?? false);

/** The file of a node by its own settings; null when it logs to its standard output. */
export const logFileOf = (settings: {
  readonly logfile: string | undefined;
  readonly dir: string | undefined;
}): string | null => {
  const { logfile, dir } = settings;
  if (logfile === undefined || logfile === '' || logfile === '/dev/null') return null;
  if (isAbsolute(logfile)) return logfile;
  return dir === undefined ? null : join(dir, logfile);
};

/** The same by its configuration file: a Sentinel does not answer CONFIG GET. Null when that names none or cannot be read. */
export const logFileOfConfig = async (configFile: string): Promise<string | null> => {
  const text = await readFile(configFile, 'utf8').catch(() => '');
  if (text.length > mostConfigBytes) return null;
  const last = (name: string): string | undefined =>
    [...text.matchAll(new RegExp(`^\\s*${name}\\s+"?([^"\\n]*)"?\\s*$`, 'gim'))].at(-1)?.[1]?.trim();
  return logFileOf({ logfile: last('logfile'), dir: last('dir') });
};
