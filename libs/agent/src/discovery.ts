// How can every node be its own balancer? It keeps the instances of the services it calls in a table of its own, told by one stream
// of a registry, and picks by itself. When registries and Redis are gone, the last table stays in use, for however long.
import { decode, defaultServicePolicy, RefusalError, serviceNameSchema } from '@switchyard/protocol';
import type { PolicyName } from '@switchyard/protocol';
import { createLogger, registryUrlsIn, systemClock, withDeadline } from '@switchyard/runtime';
import type { Clock, Logger } from '@switchyard/runtime';
import { createDiscoveryCacheKeeper, readDiscoveryCache } from './discovery-cache.ts';
import type { CachedService, DiscoveryCache } from './discovery-cache.ts';
import { createDiscoveryFetch } from './discovery-fetch.ts';
import type { DiscoveredInstance, DiscoveryNews } from './discovery-news.ts';
import { createDiscoveryStream } from './discovery-stream.ts';
import { createDiscoveryTable } from './discovery-table.ts';
import type { DiscoveryTable, PickOptions } from './discovery-table.ts';

export interface DiscoveryOptions {
  /** Base addresses of registries; those in SWITCHYARD_REGISTRY_URL, separated by commas, unless given. */
  readonly registryUrls?: readonly string[];
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** A file that keeps the table for a start without any registry; none unless given. */
  readonly cacheFile?: string;
  /** Ms between two signs of life of a registry that has nothing to say; 15000. After three of them without any it is left. */
  readonly keepAliveMs?: number;
  /** 0..1 (exclusive), Math.random unless given. */
  readonly random?: () => number;
}

/** How much a table is to be trusted. */
export interface DiscoveryStatus {
  /** Ms since a registry was heard, or since the table from the file was saved; null while nothing is known. */
  readonly ageMs: number | null;
  /** True while no registry is heard: the table is the last one that was known. */
  readonly stale: boolean;
  /** Where the catalog stood when something about this service was told last; null while nothing is known. */
  readonly epoch: number | null;
  readonly revision: number | null;
  /** Why no registry is heard; null while one is. */
  readonly problem: string | null;
}

/** One service, as this process sees it. */
export interface DiscoveredService {
  readonly name: string;
  /** The instance to use now; undefined when there is none. Looks at nothing but memory. */
  pick(options?: PickOptions): DiscoveredInstance | undefined;
  /** All that the catalog has, also those that may take no traffic, with the reason. */
  instances(): readonly DiscoveredInstance[];
  status(): DiscoveryStatus;
  /** Resolves as soon as there is a table, be it empty; rejects with a RefusalError when there is none after `deadlineMs` (2000). */
  ready(deadlineMs?: number, signal?: AbortSignal): Promise<void>;
}

/** A discovery client. Connects when the first service is asked for. */
export interface Discovery {
  readonly name: 'discovery';
  /** The service of this name, the same object each time. `policy` overrules the service's own. Throws when it is no name. */
  service(name: string, options?: { readonly policy?: PolicyName }): DiscoveredService;
  /** The same as `service`. */
  discover(name: string, options?: { readonly policy?: PolicyName }): DiscoveredService;
  /** `fetch` with the name of a service as the host. A request that failed goes to at most two more instances where that is safe. */
  fetch(input: string | URL, init?: RequestInit): Promise<Response>;
  /** Which instance an answer of `fetch` came from. */
  instanceOf(response: Response): DiscoveredInstance | undefined;
  /** Ends the connection and saves the cache. Tables stay usable. */
  stop(): Promise<void>;
}

/** What is kept for one service. */
interface Entry {
  readonly table: DiscoveryTable;
  readonly face: DiscoveredService;
  readonly told: () => void;
}

type SnapshotNews = DiscoveryNews & { readonly type: 'snapshot' };

/** Each is in the address of the stream. */
const mostServices = 64;
const usualReadyMs = 2_000;
/** So long a registry may know less than this process; then the catalog has really gone back. */
const longestBehindMs = 30_000;

/** A discovery client. Throws when there is no registry to ask. */
export function createDiscovery(options: DiscoveryOptions = {}): Discovery {
  const { clock = systemClock, keepAliveMs = 15_000, random = Math.random, cacheFile } = options;
  const logger = options.logger ?? createLogger('discovery');
  const registryUrls = options.registryUrls ?? registryUrlsIn();
  if (registryUrls.length === 0) {
    throw new Error('createDiscovery needs registryUrls, or SWITCHYARD_REGISTRY_URL in the environment');
  }
  const nowMs = (): number => clock.monotonicMs();
  const entries = new Map<string, Entry>();
  const origins = new WeakMap<Response, DiscoveredInstance>();
  let cache: DiscoveryCache | undefined;
  let reading: Promise<void> | undefined;
  let isRestarting = false;
  let behindSinceMs: number | undefined;

  const loadSnapshot = ({ at, services }: SnapshotNews, wanted: readonly string[]): string | undefined => {
    // one of this epoch that is a little old is followed by the events after it; who knows more already passes these over
    const isBehind = [...entries.values()].some(({ table: { position } }) => position && at.epoch < position.epoch);
    behindSinceMs = isBehind ? (behindSinceMs ?? nowMs()) : undefined;
    const forced = isBehind && nowMs() - (behindSinceMs ?? Infinity) > longestBehindMs;
    for (const name of wanted) {
      const { table, told } = entries.get(name) as Entry;
      const empty = { name, policy: defaultServicePolicy, instances: [] };
      if (table.load(services.find((one) => one.name === name) ?? empty, at, forced)) told();
    }
    return isBehind && !forced ? 'it knows an older catalog than this process' : undefined;
  };
  const take = (news: DiscoveryNews, wanted: readonly string[]): string | undefined => {
    if (news.type === 'nothing') return undefined;
    keeper?.changed();
    if (news.type === 'snapshot') return loadSnapshot(news, wanted);
    const table = entries.get(news.service)?.table;
    if (table === undefined) return undefined;
    if (table.position && news.at.epoch > table.position.epoch) return 'another epoch began without a snapshot';
    if (news.type === 'instances') table.put(news.instances, news.at);
    else if (news.type === 'gone') table.remove(news.id, news.at);
    else table.setPolicy(news.policy, news.at);
    return undefined;
  };

  const stream = createDiscoveryStream({
    registryUrls,
    take,
    clock,
    logger,
    keepAliveMs,
    random,
    services: () => [...entries.keys()],
  });
  const keeper =
    cacheFile === undefined
      ? undefined
      : createDiscoveryCacheKeeper({ path: cacheFile, services: () => cached(entries.values()), clock, logger });

  const loadCached = ({ table, told }: Entry): void => {
    const found = cache?.services.find(({ name }) => name === table.name);
    if (found === undefined || table.position !== undefined) return;
    table.load(found, found.at);
    told();
  };
  const readCache = async (path: string): Promise<void> => {
    try {
      cache = await readDiscoveryCache(path);
    } catch (error) {
      logger.warn({ err: error, path }, 'discovery.cache_unreadable');
    }
    for (const entry of entries.values()) loadCached(entry);
  };

  const statusOf = ({ position }: DiscoveryTable): DiscoveryStatus => {
    const { isLive, heardMs, problem } = stream.state();
    const savedAgoMs = cache && clock.unixMs() - cache.savedUnixMs;
    const ageMs = heardMs === undefined ? savedAgoMs : nowMs() - heardMs;
    return {
      ageMs: position === undefined || ageMs === undefined ? null : Math.max(0, Math.round(ageMs)),
      stale: !isLive,
      epoch: position?.epoch ?? null,
      revision: position?.revision ?? null,
      problem: problem ?? null,
    };
  };
  const newEntry = (name: string, policy: PolicyName | undefined): Entry => {
    const table = createDiscoveryTable({ name, policy, nowMs, random });
    const { promise, resolve } = Promise.withResolvers<void>();
    const face: DiscoveredService = {
      name,
      pick: (how) => table.pick(how),
      instances: () => table.instances(),
      status: () => statusOf(table),
      async ready(deadlineMs = usualReadyMs, signal) {
        try {
          await withDeadline(promise, deadlineMs, { what: name, ...(signal && { signal }) });
        } catch (error) {
          signal?.throwIfAborted();
          const why = [stream.state().problem ?? 'the registries have not answered yet'];
          const detail = `no registry has told about ${name} within ${deadlineMs} ms`;
          throw new RefusalError({ code: 'not_ready', detail, why }, { cause: error });
        }
      },
    };
    return { table, face, told: resolve };
  };
  /** Services that are named one after the other share a connection. */
  const restart = (): void => {
    if (isRestarting) return;
    isRestarting = true;
    queueMicrotask(() => {
      isRestarting = false;
      stream.restart();
    });
  };
  const service: Discovery['service'] = (name, { policy } = {}) => {
    const found = entries.get(name);
    if (found) return found.face;
    const named = decode(serviceNameSchema, name);
    if (!named.ok)
      throw new TypeError(`${JSON.stringify(name.slice(0, 80))} names no service: ${named.error.why?.[0]}`);
    if (entries.size >= mostServices) throw new Error(`a discovery client knows at most ${mostServices} services`);
    const entry = newEntry(name, policy);
    entries.set(name, entry);
    if (cacheFile !== undefined) reading ??= readCache(cacheFile);
    loadCached(entry);
    restart();
    return entry.face;
  };

  return {
    name: 'discovery',
    service,
    discover: service,
    fetch: createDiscoveryFetch({
      async tableOf(name, signal) {
        const face = service(name);
        const { table } = entries.get(name) as Entry;
        if (table.position === undefined) await face.ready(usualReadyMs, signal);
        return table;
      },
      note: (response, instance) => void origins.set(response, instance),
    }),
    instanceOf: (response) => origins.get(response),
    async stop() {
      await stream.stop();
      await reading;
      await keeper?.stop();
    },
  };
}

function cached(entries: Iterable<Entry>): CachedService[] {
  return [...entries].flatMap(({ table }) => {
    const { name, policy, position } = table;
    return position === undefined ? [] : [{ name, policy, at: position, instances: table.instances() }];
  });
}
