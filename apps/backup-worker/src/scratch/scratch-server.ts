// How is a data set loaded without touching anything that lives? A redis-server of our own: no port, a private Unix socket, a
// private directory, ended by its process id whatever happens, also when this process is killed.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askScratch } from './scratch-client.ts';

/** A place for a server that is not started yet. */
export interface ScratchPlace {
  /** Put the data set here before `start`; SAVE writes here. */
  readonly dataPath: string;
  /** Where the server will listen. */
  readonly socketPath: string;
  /** Starts the server; resolves once the process runs, which is before it has loaded its data. Once only. */
  start(options?: ScratchStart): Promise<ScratchServer>;
  /** Ends the server if it runs and removes the directory. */
  remove(): Promise<void>;
}

/** What else it is told. */
export interface ScratchStart {
  /** Whom to replicate: a history that we serve, on the loopback interface. By default nobody, as a replica whose primary is never there. */
  readonly replicaOf?: { readonly port: number; readonly password: string };
}

/** A running scratch server. */
export interface ScratchServer {
  /** Asks one question; rejects while the socket is not open yet. */
  ask(command: readonly string[], deadlineMs: number, signal: AbortSignal): Promise<string>;
  /** How it ended; undefined while it runs. */
  ended(): { readonly code: number | null; readonly killedBy: NodeJS.Signals | null } | undefined;
  /** The last lines that it wrote (at most 16 KB). */
  output(): string;
}

const outputLimitChars = 16 * 1024;
/** More than any server is configured with, so that no data set has a database too many. */
const databases = 4096;

const longestSilenceSeconds = 86_400;

/** Nothing else in the directory begins like this, so that leftovers can be told from what belongs to others. */
const directoryPrefix = 'switchyard-scratch-';

/** Removes what scratch servers left in `directory` when this machine went down; nothing that was touched after `olderThanMs` (unix ms). */
export async function removeScratchLeftovers(directory: string, olderThanMs: number): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    const path = join(directory, name);
    if (name.startsWith(directoryPrefix) && (await stat(path)).mtimeMs < olderThanMs)
      await rm(path, { recursive: true, force: true });
  }
}

/** Makes the directories of a scratch server below `directory`. `command` is the redis-server to run. */
export async function makeScratch(options: {
  readonly command: string;
  readonly directory: string;
}): Promise<ScratchPlace> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const dataDirectory = await mkdtemp(join(options.directory, directoryPrefix));
  // A socket's path may have 103 bytes at most; a repository's may be longer.
  const socketDirectory = await mkdtemp(join(tmpdir(), directoryPrefix));
  const socketPath = join(socketDirectory, 's');
  let child: ChildProcess | undefined;
  let ended: Promise<void> = Promise.resolve();

  return {
    dataPath: join(dataDirectory, 'dump.rdb'),
    socketPath,
    start: async (told = {}) => {
      let output = '';
      let exit: { code: number | null; killedBy: NodeJS.Signals | null } | undefined;
      const running = spawn(options.command, ['-'], { cwd: dataDirectory, stdio: ['pipe', 'pipe', 'pipe'] });
      // Its settings have a password in them, which arguments would show to everybody on the machine.
      running.stdin.on('error', () => undefined);
      running.stdin.end(settingsText(dataDirectory, { socketPath, ...told }));
      ended = new Promise((resolve) => {
        running.once('close', (code, killedBy) => {
          exit = { code, killedBy };
          resolve();
        });
      });
      await new Promise<void>((resolve, reject) => {
        running.once('spawn', resolve);
        running.once('error', reject);
      });
      child = running;
      endWithUs(running, [dataDirectory, socketDirectory]);
      for (const stream of [running.stdout, running.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          output = (output + text).slice(-outputLimitChars);
        });
      return {
        ask: (command, deadlineMs, signal) => askScratch({ socketPath, command, deadlineMs, signal }),
        ended: () => exit,
        output: () => output,
      };
    },
    remove: async () => {
      child?.kill('SIGKILL');
      if (child !== undefined) await ended;
      await rm(socketDirectory, { recursive: true, force: true });
      await rm(dataDirectory, { recursive: true, force: true });
    },
  };
}

/** `redis 7.0.15` or `valkey 8.1.0`: what would be started. Rejects when it cannot be run. */
export async function scratchVersion(command: string, signal: AbortSignal): Promise<string> {
  const child = spawn(command, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'], signal, timeout: 5_000 });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(0, 1_000);
  });
  await new Promise<void>((resolve, reject) => {
    child.once('close', () => resolve());
    child.once('error', reject);
  });
  const version = /(?:^|\s)v=(\S+)/.exec(output)?.[1];
  if (version === undefined) throw new Error(`${command} --version did not tell a version`);
  return `${output.toLowerCase().includes('valkey') ? 'valkey' : 'redis'} ${version}`;
}

function settingsText(
  dataDirectory: string,
  { socketPath, replicaOf }: ScratchStart & { readonly socketPath: string },
): string {
  const settings: readonly (readonly string[])[] = [
    ['port', '0'],
    ['unixsocket', socketPath],
    ['unixsocketperm', '700'],
    ['dir', dataDirectory],
    ['dbfilename', 'dump.rdb'],
    ['save', ''],
    ['appendonly', 'no'],
    ['databases', String(databases)],
    ['enable-debug-command', 'yes'],
    // A primary drops keys whose time has come while it loads; a replica leaves that to its primary. Port 0 never answers.
    ['replicaof', '127.0.0.1', String(replicaOf?.port ?? 0)],
    ...(replicaOf === undefined ? [] : [['masterauth', replicaOf.password]]),
    ['replica-serve-stale-data', 'yes'],
    // It loads while it receives, and never gives up on us while we read from a slow store.
    ['repl-diskless-load', 'on-empty-db'],
    ['repl-timeout', String(longestSilenceSeconds)],
    // Snapshots are read once, by a neighbour: packing and unpacking them takes longer than writing them.
    ['rdbcompression', 'no'],
    ['rdb-save-incremental-fsync', 'no'],
    ['loglevel', 'warning'],
  ];
  return settings.map((words) => `${words.map((word) => JSON.stringify(word)).join(' ')}\n`).join('');
}

/** Ends `child` and removes `directories` should this process go without doing so. */
export function endWithUs(child: ChildProcess, directories: readonly string[]): void {
  // The end of a pipe always arrives, also when this process gets SIGKILL. The guard has its own process group, so that Ctrl-C does
  // not end it before it has done its work.
  const script = 'pid=$1; shift; read -r _; kill -9 "$pid" 2>/dev/null; rm -rf "$@"';
  const watcher = spawn('/bin/sh', ['-c', script, 'scratch-guard', String(child.pid), ...directories], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without a shell there is no guard; everything else works.
  watcher.on('error', () => undefined);
  watcher.stdin.on('error', () => undefined);
  watcher.unref();
  child.once('exit', () => watcher.kill('SIGKILL'));
}
