// What does a discovery client begin with when no registry answers? The table that an earlier run left in a file. Written beside
// and renamed, so that a crash leaves the old file or the new one.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { decode, defaultServicePolicy, storedServiceSchema } from '@switchyard/protocol';
import type { Clock, Logger } from '@switchyard/runtime';
import { arrayOf, numberOf, objectOf, textOf, viewed } from './discovery-news.ts';
import type { Position, ServiceSnapshot } from './discovery-news.ts';

/** One service as it was. */
export interface CachedService extends ServiceSnapshot {
  readonly at: Position;
}

/** What was saved, and when (wall time). */
export interface DiscoveryCache {
  readonly savedUnixMs: number;
  readonly services: readonly CachedService[];
}

const format = 1;

/** What is in the file; undefined when there is none. Rejects with a sentence when it cannot be used. */
export async function readDiscoveryCache(path: string): Promise<DiscoveryCache | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    const body = objectOf(JSON.parse(text), 'the cache');
    if (body['format'] !== format) throw new Error(`its format is not ${format}`);
    const services = arrayOf(body['services'], 'services').map((one) => serviceOf(objectOf(one, 'a service')));
    return { savedUnixMs: numberOf(body['savedUnixMs'], 'savedUnixMs'), services };
  } catch (error) {
    throw new Error(`${path} is no discovery cache: ${(error as Error).message}`, { cause: error });
  }
}

/** Replaces the file; its folder is made when needed. One writer at a time. */
export async function writeDiscoveryCache(path: string, cache: DiscoveryCache): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await writeFile(beside, JSON.stringify({ format, ...cache }), { mode: 0o600 });
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

function serviceOf(fields: Readonly<Record<string, unknown>>): CachedService {
  const name = textOf(fields['name'], 'name');
  const at = objectOf(fields['at'], 'at');
  const policy = decode(storedServiceSchema, fields['policy']);
  return {
    name,
    at: { epoch: numberOf(at['epoch'], 'epoch'), revision: numberOf(at['revision'], 'revision') },
    policy: policy.ok ? { ...defaultServicePolicy, ...policy.value } : defaultServicePolicy,
    instances: arrayOf(fields['instances'], 'instances').map((one) => viewed(name, objectOf(one, 'an instance'))),
  };
}

/** Keeps the file up to date. */
export interface DiscoveryCacheKeeper {
  /** Something has changed: it is saved a moment later. */
  changed(): void;
  /** Saves what has not been saved yet. */
  stop(): Promise<void>;
}

/** Changes that come together are one writing of the file. */
const saveAfterMs = 1_000;

/** Saves what `services` gives into the file at `path`; a file that cannot be written is told once, and nothing depends on it. */
export function createDiscoveryCacheKeeper(options: {
  readonly path: string;
  readonly services: () => readonly CachedService[];
  readonly clock: Clock;
  readonly logger: Logger;
}): DiscoveryCacheKeeper {
  const { path, services, clock, logger } = options;
  let timer: NodeJS.Timeout | undefined;
  let saving: Promise<void> | undefined;
  let isFailing = false;

  const save = async (): Promise<void> => {
    timer = undefined;
    try {
      await writeDiscoveryCache(path, { savedUnixMs: clock.unixMs(), services: services() });
      isFailing = false;
    } catch (error) {
      if (!isFailing) logger.warn({ err: error, path }, 'discovery.cache_not_saved');
      isFailing = true;
    }
  };
  const begin = (): void => {
    saving = (saving ?? Promise.resolve()).then(save);
  };
  return {
    changed() {
      timer ??= setTimeout(begin, saveAfterMs).unref();
    },
    async stop() {
      if (timer !== undefined) {
        clearTimeout(timer);
        begin();
      }
      await saving;
    },
  };
}
