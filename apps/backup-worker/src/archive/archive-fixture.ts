// What do the tests of the archive share? The part in this process against a real group, writers over one connection, and a count of what
// the archive holds.
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { redisSettingsOf } from '@switchyard/redis';
import { createCommandScanner, encodeCommand } from '@switchyard/replication-link';
import { createHealth, createMetrics, loadConfig, systemClock, type Clock, type Component } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import { backupConfig } from '../config.ts';
import { openRepository, type OpenRepository } from '../repository/open-repository.ts';
import { quietLogger } from '../test-fixtures.ts';
import { archivePart, type ArchiveTools } from './archive-part.ts';
import type { Archive } from './archive.ts';

/** The archive of a group, as a worker writes it. */
export interface TestArchive {
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
  const repository = openRepository(config);
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

/** Sends commands over one connection and resolves with the replies that are no errors; a connection that ends ends it. */
export function pipeline(
  node: { readonly host: string; readonly port: number },
  commands: readonly (readonly string[])[],
): Promise<number> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(node.port, node.host);
    const count = (): number => text.split('\r\n').filter((line) => /^[+:]/.test(line)).length;
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.split('\r\n').length > commands.length) socket.end();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(count()));
    for (const command of commands) socket.write(encodeCommand(command));
  });
}

/** How often each command is in the archive, over all timelines, and the values of SET in the order of the stream. */
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
        if (command.name === 'SET') values.push(command.argument(2).toString());
      });
      for await (const chunk of archive.stream({ timeline: timeline.id, from, to }, signal)) scanner.push(chunk);
      if (scanner.boundary() !== to) throw new Error(`The stream ends at ${to} within a command.`);
    }
  }
  return { counts, values };
}
