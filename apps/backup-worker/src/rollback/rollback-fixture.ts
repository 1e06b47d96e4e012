// What do the tests of rollbacks share? A group with its archive and the part in this process, and a ledger of what was acknowledged.
import { join } from 'node:path';
import { createRedis, redisSettingsOf } from '@switchyard/redis';
import { createLogger, loadConfig, systemClock, type Component } from '@switchyard/runtime';
import { eventually, type TestRedis } from '@switchyard/testing';
import type { OperationRecord, RollbackState } from '@switchyard/backup';
import { isFinished } from '@switchyard/backup';
import { rollbackRequestSchema } from '@switchyard/protocol';
import { following, startArchive, type TestArchive } from '../archive/archive-fixture.ts';
import { backupConfig } from '../config.ts';
import { createOperationRunner } from '../operations/operation-runner.ts';
import { createOperations } from '../operations/operations.ts';
import { createMaterialiser } from '../restore/materialiser.ts';
import { materialOf } from '../restore/restore-part.ts';
import { quietLogger } from '../test-fixtures.ts';
import { rollbackPart, type RollbackPartOptions } from './rollback-part.ts';

/** A worker's rollbacks. */
export interface TestRollbacks {
  readonly archive: TestArchive;
  /** Begins one by the request's body; rejects with what refuses it. */
  begin(body: unknown): Promise<string>;
  /** The operation once it has ended. */
  ended(id: string, timeoutMs?: number): Promise<OperationRecord>;
  roll(body: unknown): Promise<OperationRecord>;
  cancel(id: string): boolean;
  get(id: string): OperationRecord | undefined;
  stop(): Promise<void>;
}

/** Starts archive and part; `env` names the group. */
export async function startRollbacks(
  env: Readonly<Record<string, string>>,
  options: {
    readonly directory?: string;
    /** Without waiting for the archive, as after a crash. */
    readonly atOnce?: boolean;
    readonly onStep?: (state: RollbackState) => Promise<void>;
    readonly advertisedHost?: string;
    readonly change?: (options: RollbackPartOptions) => RollbackPartOptions;
  } = {},
): Promise<TestRollbacks> {
  const { directory } = options;
  const archive = await startArchive(env, directory === undefined ? {} : { directory });
  if (options.atOnce !== true) await following(archive);
  await eventually(
    async () =>
      options.atOnce === true || (await archive.archive.locate({ time: 'now' }, AbortSignal.timeout(5_000))).ok,
    {
      timeoutMs: 30_000,
      what: 'The first base of the archive',
    },
  );
  const clock = systemClock;
  const logger =
    process.env['SWITCHYARD_TEST_LOG'] === undefined
      ? quietLogger
      : createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'debug' } });
  const settingsEnv = { SWITCHYARD_BACKUP_REPOSITORY: archive.directory, ...env };
  const config = loadConfig(backupConfig, { env: settingsEnv, app: 'backup', logger });
  const settings = redisSettingsOf(config.redis);
  const connections = createRedis(settings, { logger, name: 'test' });
  const operations = createOperations(join(archive.directory, '.operations'), logger);
  const runner = createOperationRunner({ operations, clock, logger });
  const scratchDirectory = join(archive.directory, '.scratch');
  const materialise = createMaterialiser({
    command: config.redisServer,
    scratchDirectory,
    source: materialOf(archive.repository.backups, archive.archive),
    clock,
    deadlineMs: 120_000,
  });
  const plain: RollbackPartOptions = {
    archive: archive.archive,
    materialise,
    store: archive.repository.store,
    ...(options.onStep === undefined ? {} : { onStep: options.onStep }),
  };
  const part = rollbackPart(
    {
      group: 'main',
      settings,
      connections,
      runner,
      scratchDirectory,
      advertisedHost: options.advertisedHost ?? '127.0.0.1',
      bindHost: '127.0.0.1',
      instanceId: 'test',
      clock,
      logger,
    },
    options.change?.(plain) ?? plain,
  );
  await operations.load();
  const components: readonly Component[] = [connections, runner, ...part.components];
  const life = new AbortController();
  for (const component of components) await component.start?.(life.signal);
  const post = part.routes.find(({ method, path }) => method === 'post' && path === '/v1/rollbacks');
  if (post === undefined) throw new Error('there is no route');

  const begin = async (body: unknown): Promise<string> => {
    const reply = await post.handle({
      params: {},
      query: {},
      body: rollbackRequestSchema.parse(body),
      headers: {},
      requestId: 'test',
      signal: life.signal,
    } as never);
    if (!('status' in reply)) throw new Error(JSON.stringify(reply));
    return (reply.body as { id: string }).id;
  };
  const ended = (id: string, timeoutMs = 60_000): Promise<OperationRecord> =>
    eventually(
      () => {
        const record = operations.get(id);
        return record !== undefined && isFinished(record) ? record : null;
      },
      { timeoutMs, what: `The end of ${id}` },
    );
  return {
    archive,
    begin,
    ended,
    roll: async (body) => ended(await begin(body)),
    cancel: (id) => runner.cancel(id),
    get: (id) => operations.get(id),
    stop: async () => {
      for (const component of components.toReversed()) await component.stop?.();
      life.abort();
      await archive.stop();
    },
  };
}

/** Digest of everything that a node holds. */
export async function digestOf(node: TestRedis): Promise<string> {
  return String(await node.cli('DEBUG', 'DIGEST'));
}

/** Resolves when all nodes hold the same; with that digest. */
export async function sameEverywhere(nodes: readonly TestRedis[]): Promise<string> {
  return eventually(
    async () => {
      const digests = await Promise.all(nodes.map(digestOf));
      return new Set(digests).size === 1 ? (digests[0] ?? null) : null;
    },
    { timeoutMs: 30_000, what: 'The same data at all nodes' },
  );
}

/** A time to live, a counter, a hash, a list, a set, a sorted set and a stream beside `count` strings. */
export async function fill(node: TestRedis, count: number): Promise<void> {
  const script = `for i = 1, ${count} do redis.call('SET', 'key:' .. i, 'value-' .. i) end`;
  await node.cli('EVAL', script, 0);
  await node.cli('INCRBY', 'counter', 41);
  await node.cli('SET', 'expiring', 'later', 'PX', 600_000);
  await node.cli('HSET', 'hash', 'a', '1', 'b', '2');
  await node.cli('RPUSH', 'list', 'x', 'y', 'z');
  await node.cli('SADD', 'set', 'm', 'n');
  await node.cli('ZADD', 'zset', 1, 'one', 2, 'two');
  await node.cli('XADD', 'stream', '*', 'f', 'v');
}
