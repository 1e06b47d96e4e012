// What do the tests of the archive share? The part in this process against a real group, writers over one connection, and a count of what
// the archive holds.
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { redisSettingsOf } from '@switchyard/redis';
import { createCommandScanner, encodeCommand } from '@switchyard/replication-link';
import { createHealth, createMetrics, loadConfig, systemClock, type Clock, type Component } from '@switchyard/runtime';
import { eventually, freePort, startOwned, type OwnedProcess } from '@switchyard/testing';
import { backupConfig } from '../config.ts';
import { openRepository, type OpenRepository } from '../repository/open-repository.ts';
import { ObjectStoreError } from '../repository/object-store.ts';
import { quietLogger } from '../test-fixtures.ts';
import { archivePart, type ArchiveTools } from './archive-part.ts';
import type { Archive } from './archive.ts';

/** The archive of a group, as a worker writes it. */
export interface TestArchive {
  /** While it is set nothing can be written: the disk is full. */
  readonly disk: { isFull: boolean };
  readonly archive: Archive;
  readonly repository: OpenRepository;
  readonly directory: string;
  readonly health: ReturnType<typeof createHealth>;
  readonly metrics: ReturnType<typeof createMetrics>;
  stop(): Promise<void>;
}

/** Starts the part; `env` names the group. Without a directory it makes one of its own, which `stop` removes. */
export async function startArchive(
  env: Readonly<Record<string, string>>,
  given: { readonly directory?: string; readonly clock?: Clock } = {},
): Promise<TestArchive> {
  const directory = given.directory ?? (await mkdtemp(join(tmpdir(), 'switchyard-test-archive-')));
  const clock = given.clock ?? systemClock;
  const settings = { SWITCHYARD_BACKUP_REPOSITORY: directory, SWITCHYARD_BACKUP_SEAL_EVERY: '100ms', ...env };
  const config = loadConfig(backupConfig, { env: settings, app: 'backup', logger: quietLogger });
  const disk = { isFull: false };
  const opened = openRepository(config);
  const put: typeof opened.segments.put = (...facts) =>
    disk.isFull
      ? Promise.reject(new ObjectStoreError('full', 'ENOSPC: no space left on device'))
      : opened.segments.put(...facts);
  const repository = { ...opened, segments: { ...opened.segments, put } };
  await repository.backups.prepare();
  const health = createHealth({ clock });
  const metrics = createMetrics();
  const tools: ArchiveTools = {
    group: 'main',
    settings: redisSettingsOf(config.redis),
    scratchDirectory: join(directory, '.scratch'),
    instanceId: 'test',
    writer: 'switchyard test',
    clock,
    logger: quietLogger,
    metrics,
    health,
  };
  const part = archivePart(tools, { config, repository });
  const started: Component[] = [];
  const signal = new AbortController();
  for (const component of part.components) {
    await component.start?.(signal.signal);
    started.push(component);
  }
  return {
    archive: part.archive,
    disk,
    repository,
    directory,
    health,
    metrics,
    stop: async () => {
      for (const component of started.splice(0).toReversed()) await component.stop?.();
      if (given.directory === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A worker as a process of its own. */
export interface TestWorker extends OwnedProcess {
  /** What it says of its archive. */
  archive(): Promise<string>;
  /** SIGKILL; resolves when it has ended. */
  kill(): Promise<void>;
}

/** Starts a worker; `env` names its group and its repository. */
export async function startWorker(env: Readonly<Record<string, string>>): Promise<TestWorker> {
  const port = await freePort();
  const owned = await startOwned({
    command: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', join(dirname(fileURLToPath(import.meta.url)), '..', 'main.ts')],
    env: {
      PATH: process.env['PATH'],
      SWITCHYARD_BACKUP_PORT: String(port),
      SWITCHYARD_BACKUP_EVERY: '1h',
      SWITCHYARD_BACKUP_SEAL_EVERY: '100ms',
      ...env,
    },
  });
  const archive = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${port}/readyz?verbose`, { signal: AbortSignal.timeout(2_000) });
    const { checks } = (await response.json()) as { checks: Record<string, { detail?: string } | undefined> };
    return checks['archive']?.detail ?? '';
  };
  const kill = (): Promise<void> => {
    owned.signal('SIGKILL');
    return owned.ended();
  };
  return { ...owned, archive, kill };
}

/** Resolves when the archive follows, from another node than `than`. */
export async function following({ archive }: TestArchive, than?: string | null): Promise<string> {
  const source = await eventually(
    () => {
      const { state, source: from } = archive.status();
      return state === 'following' && from !== than ? from : null;
    },
    { timeoutMs: 30_000, what: `The archive to follow another node than ${than ?? 'none'}` },
  );
  return source;
}

/** Sends commands over one connection and resolves with how many replies are no errors; a connection that ends ends it. */
export async function pipeline(
  node: { readonly host: string; readonly port: number },
  commands: readonly (readonly string[])[],
): Promise<number> {
  return (await replies(node, commands)).filter((line) => /^[+:]/.test(line)).length;
}

/** The reply lines of commands over one connection; of commands that are answered by one line each. */
export function replies(
  node: { readonly host: string; readonly port: number },
  commands: readonly (readonly string[])[],
): Promise<string[]> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(node.port, node.host);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.split('\r\n').length > commands.length) socket.end();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text.split('\r\n').slice(0, -1)));
    for (const command of commands) socket.write(encodeCommand(command));
  });
}

/** How often each command is in the archive, over all timelines, and the values of SET for `key:*` in the order of the stream. */
export async function archived(
  { archive }: Pick<TestArchive, 'archive'>,
  signal: AbortSignal = AbortSignal.timeout(20_000),
): Promise<{ readonly counts: Record<string, number>; readonly values: string[] }> {
  const counts: Record<string, number> = {};
  const values: string[] = [];
  for (const { timeline, ranges } of await archive.timelines(signal)) {
    for (const { from, to } of ranges) {
      const scanner = createCommandScanner({ position: from }, (command) => {
        counts[command.name] = (counts[command.name] ?? 0) + 1;
        if (command.name === 'SET' && command.argument(1).toString().startsWith('key:'))
          values.push(command.argument(2).toString());
      });
      for await (const chunk of archive.stream({ timeline: timeline.id, from, to }, signal)) scanner.push(chunk);
      if (scanner.boundary() !== to) throw new Error(`The stream ends at ${to} within a command.`);
    }
  }
  return { counts, values };
}
