// How is a copy of a data set looked into? A redis-server of our own loads it, beside the ones that live: on a port of loopback that
// is closed by a password, writing nothing, ended by its process id whatever happens, also when this process is killed.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseInfo } from '@switchyard/replication';
import { createRedisNodeAdmin, type RedisNodeAdmin } from '@switchyard/redis';
import type { Clock, Logger } from '@switchyard/runtime';

/** A server with the copy in it. */
export interface Scratch {
  readonly admin: RedisNodeAdmin;
  /** Ends it and removes what it left. */
  stop(): Promise<void>;
}

/** Which copy, and with what it is loaded. */
export interface ScratchOptions {
  readonly file: string;
  /** A path, or a name that is looked for on PATH. */
  readonly redisServer: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const loadMs = 60_000;
const questionMs = 5_000;
const host = '127.0.0.1';
const outputLimitChars = 4_096;

/** Starts it and resolves when all is loaded. Rejects, with the reason, when there is no redis-server or it cannot read the copy. */
export const startScratch = async ({ file, redisServer, clock, logger }: ScratchOptions): Promise<Scratch> => {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-salvage-'));
  const port = await freePort();
  const password = randomBytes(24).toString('hex');
  await symlink(resolve(file), join(directory, 'dump.rdb'));
  // Not on the command line: everybody on the machine could read the password there.
  await writeFile(join(directory, 'redis.conf'), configOf(port, password), { mode: 0o600 });
  let output = '';
  let isOver = false;
  const child = spawn(redisServer, ['redis.conf'], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<void>((done) => {
    const over = (): void => {
      isOver = true;
      done();
    };
    child.once('close', over);
    child.once('error', (error) => {
      output += error.message;
      over();
    });
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputLimitChars);
    });
  }
  if (child.pid !== undefined) guard(child, directory);
  const admin = createRedisNodeAdmin({ host, port, password, clock, logger, deadlineMs: questionMs });
  const stop = async (): Promise<void> => {
    admin.close();
    child.kill('SIGKILL');
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  const startedMs = clock.monotonicMs();
  try {
    while (clock.monotonicMs() - startedMs < loadMs) {
      if (isOver) throw new Error(`${redisServer} could not load the copy: ${output.trim().slice(-500)}`);
      const info = await admin.info().catch(() => null);
      if (info !== null && parseInfo(info).role !== null && !parseInfo(info).loading) return { admin, stop };
      await clock.sleep(20);
    }
    throw new Error(`${redisServer} did not load the copy within ${String(loadMs)} ms`);
  } catch (error) {
    await stop();
    throw error;
  }
};

const configOf = (port: number, password: string): string =>
  [
    `bind ${host}`,
    `port ${String(port)}`,
    `requirepass ${password}`,
    'save ""',
    'appendonly no',
    // More than any server is configured with, so that no data set has a database too many.
    'databases 4096',
    // A primary drops keys whose time has come while it loads; a replica leaves that to its primary. Port 0 never answers.
    `replicaof ${host} 0`,
    'replica-serve-stale-data yes',
    'loglevel warning',
    '',
  ].join('\n');

/** The end of a pipe always comes, also when this process gets SIGKILL. */
const guard = (child: ChildProcess, directory: string): void => {
  const script = 'read -r _; kill -9 "$1" 2>/dev/null; rm -rf "$2"';
  const watcher = spawn('/bin/sh', ['-c', script, 'salvage-guard', String(child.pid), directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without a shell there is no guard; everything else works.
  watcher.on('error', () => undefined);
  watcher.stdin.on('error', () => undefined);
  watcher.unref();
  child.once('exit', () => watcher.kill('SIGKILL'));
};

const freePort = (): Promise<number> =>
  new Promise((found, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => found(port));
    });
  });
