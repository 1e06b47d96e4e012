// How do the tests run a replication-manager? As its own process, as people do, against a real group.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  redisFailoverSchema,
  redisGroupViewSchema,
  type RedisFailover,
  type RedisGroupView,
} from '@switchyard/protocol';
import { eventually, freePort, startOwned, type OwnedProcess } from '@switchyard/testing';
import { z } from 'zod';

const main = fileURLToPath(new URL('main.ts', import.meta.url));

/** A running manager and questions to it. */
export interface TestManager {
  readonly process: OwnedProcess;
  readonly stateDir: string;
  get(path: string, init?: RequestInit): Promise<{ readonly status: number; readonly body: unknown }>;
  group(name?: string): Promise<RedisGroupView>;
  history(name?: string): Promise<readonly RedisFailover[]>;
  /** SIGTERM; resolves with the exit code. Its journal stays until `cleanUp`. */
  stop(): Promise<void>;
}

const started: { readonly process: OwnedProcess; readonly stateDir: string }[] = [];

/** Starts a manager with these settings and resolves when it serves. */
export const startManager = async (env: NodeJS.ProcessEnv, stateDir?: string): Promise<TestManager> => {
  const port = await freePort();
  const directory = stateDir ?? (await mkdtemp(join(tmpdir(), 'switchyard-test-manager-')));
  const engine = process.env['SWITCHYARD_REDIS_SERVER'];
  const owned = await startOwned({
    command: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', main],
    env: {
      PATH: process.env['PATH'],
      // copies of nodes are loaded into the same engine: an older one cannot read them
      ...(engine === undefined ? {} : { SWITCHYARD_REDIS_SERVER: engine }),
      SWITCHYARD_REPLICATION_PORT: String(port),
      SWITCHYARD_STATE_DIR: directory,
      ...env,
    },
  });
  started.push({ process: owned, stateDir: directory });
  const get: TestManager['get'] = async (path, init) => {
    const answer = await fetch(`http://127.0.0.1:${String(port)}${path}`, {
      signal: AbortSignal.timeout(2_000),
      ...init,
    });
    const text = await answer.text();
    const isJson = answer.headers.get('content-type')?.includes('json') ?? false;
    return { status: answer.status, body: isJson ? (JSON.parse(text) as unknown) : text };
  };
  await eventually(async () => (await get('/readyz')).status === 200, { timeoutMs: 40_000, what: 'The manager' });
  return {
    process: owned,
    stateDir: directory,
    get,
    group: async (name = 'main') => redisGroupViewSchema.parse((await get(`/v1/redis/groups/${name}`)).body),
    history: async (name = 'main') =>
      z.object({ history: z.array(redisFailoverSchema) }).parse((await get(`/v1/redis/groups/${name}/history`)).body)
        .history,
    stop: () => owned.end(5_000),
  };
};

/** Ends every manager that was started and removes its directory. */
export const cleanUp = async (): Promise<void> => {
  await Promise.all(started.map(({ process: owned }) => owned.end(3_000)));
  await Promise.all(started.map(({ stateDir }) => rm(stateDir, { recursive: true, force: true })));
};
