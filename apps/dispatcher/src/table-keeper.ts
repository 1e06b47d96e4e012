// How does the table stay right, and what remains of it without Redis? It follows the feed, is kept without limit when Redis
// is away, survives a Redis that forgot everything, and is saved for a start without Redis.
//
//   NONE --disk--> FROM DISK --feed--> FOLLOWING --another epoch that lost instances--> KEEPING LOST ONES (10 s) --> FOLLOWING
import { createCatalogView, type CatalogView } from '@switchyard/catalog';
import type { Instance } from '@switchyard/protocol';
import type { Meters, NamedRoute } from '@switchyard/proxy';
import type { CatalogFeed, FeedNews } from '@switchyard/redis';
import { createTicker, type Clock, type Component, type Logger } from '@switchyard/runtime';
import {
  snapshotOf,
  tableJudgedAnew,
  tableOf,
  tableWithRoutes,
  tableWithService,
  type RoutingTable,
  type TableInput,
} from './routing-table.ts';
import { createAlarm } from './alarm.ts';
import type { Ejections } from './ejections.ts';
import { goneBetween, type GoneInstance } from './gone-instances.ts';
import { panicChanges } from './panic.ts';
import type { Probes } from './probes.ts';
import type { TableFile } from './table-file.ts';
import type { EntryContext } from './targets.ts';

/** The table now, and how far it can be trusted. */
export interface TableStatus {
  readonly table: RoutingTable | undefined;
  /** Ms since Redis last confirmed it, or since it was saved; Infinity without a table. */
  readonly ageMs: number;
  /** Instances that Redis lost and that are kept for a moment. */
  readonly keptInstances: number;
}

export interface TableKeeper extends Component {
  /** The table now; undefined until there is one. Read it once for each decision. */
  current(): RoutingTable | undefined;
  status(): TableStatus;
}

export interface TableKeeperOptions {
  readonly feed: Pick<CatalogFeed, 'view' | 'status' | 'listen'>;
  readonly file: TableFile;
  readonly meters: Meters;
  readonly ejections?: Ejections;
  readonly probes?: Pick<Probes, 'of' | 'serve' | 'retain'>;
  /** Called for each instance that the catalog gave up, when the table is without it. */
  readonly onGone?: (gone: GoneInstance) => void;
  readonly random: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ms that instances which Redis forgot are kept while they register again; 10000. */
  readonly keepLostMs?: number;
}

interface Lost {
  readonly instances: ReadonlyMap<string, readonly Instance[]>;
  readonly routes: readonly NamedRoute[];
  readonly untilMs: number;
}

const saveEveryMs = 1_000;
/** Weights of services that warm up change no faster than this. */
const shortestWarmUpMs = 50;

/** Start it before the feed, so that it misses nothing. */
export function createTableKeeper(options: TableKeeperOptions): TableKeeper {
  const { feed, file, meters, ejections, probes, random, clock, logger, keepLostMs = 10_000 } = options;
  const ejectionOf: EntryContext['ejectionOf'] = (service, id) => ejections?.of(service, id);
  const probedOut: EntryContext['probedOut'] = (service, id) => probes?.of(service, id);
  const context: EntryContext = { meters, random, nowMs: () => clock.monotonicMs(), ejectionOf, probedOut };
  let table: RoutingTable | undefined;
  let lost: Lost | undefined;
  let savedUnixMs = 0;
  let warmedUpMs = -Infinity;
  let saved: RoutingTable | undefined;
  let stopListening: (() => void) | undefined;

  // The only place where one table takes the place of another.
  const replaceBy = (next: RoutingTable): void => {
    for (const { service, cause } of panicChanges(table, next)) {
      if (cause === undefined) logger.info({ service }, 'service.panic_over');
      else logger.warn({ service, cause }, 'service.panic');
    }
    table = next;
    let nextChangeMs = Infinity;
    for (const { warmUp } of next.services.values()) nextChangeMs = Math.min(nextChangeMs, warmUp.nextChangeMs);
    warmUps.set(Math.max(nextChangeMs, warmedUpMs + shortestWarmUpMs));
  };
  const judgeAnew = (...services: readonly string[]): void => {
    if (table) replaceBy(tableJudgedAnew(table, services, context));
  };
  const warmUp = (): void => {
    const nowMs = (warmedUpMs = clock.monotonicMs());
    const due = [...(table?.services.values() ?? [])].filter((entry) => entry.warmUp.nextChangeMs <= nowMs);
    judgeAnew(...due.map(({ name }) => name));
  };
  const warmUps = createAlarm({ clock, ring: warmUp });

  const inputFor = (view: CatalogView): TableInput => ({
    view,
    source: 'redis',
    context,
    ...(lost && { kept: lost.instances, keptRoutes: lost.routes }),
  });

  const onNews = (news: FeedNews): void => {
    const { view } = news;
    const previous = table;
    const only = news.type === 'event' && news.change.type === 'service' ? news.change.service : undefined;
    if (lost) lost = { ...lost, instances: withoutKnown(lost.instances, view) };
    let next: RoutingTable;
    if (news.type === 'reset' || !table || table.source === 'disk') {
      const before = lost;
      lost = lostBy(view, clock.monotonicMs() + keepLostMs);
      if (lost && lost !== before)
        logger.warn({ kept: countOf(lost), epoch: view.epoch, keepLostMs }, 'table.kept_lost_instances');
      next = tableOf(inputFor(view), table);
    } else if (news.change.type === 'service') {
      next = tableWithService(table, news.change.service, inputFor(view));
    } else if (news.change.type === 'routes') {
      next = tableWithRoutes(table, inputFor(view));
    } else {
      next = { ...table, revision: view.revision };
    }
    replaceBy(next);
    if (options.onGone) for (const gone of goneBetween(previous, next, only)) options.onGone(gone);
    forget();
  };

  // A view of another epoch may have lost instances without anybody having removed them: Redis was emptied, rolled back, or
  // failed over to a replica that lagged. They are alive and will register again; until then they go on serving.
  function lostBy(view: CatalogView, untilMs: number): Lost | undefined {
    if (!table) return undefined;
    if (table.epoch === view.epoch) return lost;
    const instances = new Map<string, Instance[]>();
    for (const [name, entry] of table.services) {
      const gone = entry.instances.filter(({ id }) => view.instance(name, id) === undefined);
      if (gone.length > 0) instances.set(name, gone);
    }
    const lostRoutes = view.routes().size === 0 && table.routes.length > 0;
    return instances.size > 0 || lostRoutes ? { instances, routes: table.routes, untilMs } : undefined;
  }

  function forget(): void {
    const isKnown = (service: string, id: string): boolean =>
      table?.services.get(service)?.instances.some((one) => one.id === id) ?? false;
    meters.retain(isKnown);
    ejections?.retain(isKnown);
    probes?.retain(isKnown);
  }

  const load = async (): Promise<void> => {
    try {
      const found = await file.read();
      if (!found || table) return;
      savedUnixMs = found.savedUnixMs;
      replaceBy(tableOf({ view: createCatalogView(found.snapshot), source: 'disk', context }));
      const { epoch, revision } = found.snapshot;
      logger.info({ epoch, revision, savedUnixMs }, 'table.loaded_from_disk');
    } catch (error) {
      logger.warn({ err: error }, 'table.file_unusable');
    }
  };

  const look = async (): Promise<void> => {
    if (lost && clock.monotonicMs() >= lost.untilMs) {
      lost = undefined;
      replaceBy(tableOf(inputFor(feed.view), table));
      forget();
      const { epoch, revision } = feed.view;
      logger.info({ epoch, revision }, 'table.lost_instances_let_go');
    }
    await save();
  };

  // What is in use, kept instances included: a start without Redis then begins where this run was.
  const save = async (): Promise<void> => {
    if (!table || table.source === 'disk' || table === saved) return;
    const saving = table;
    await file.write(snapshotOf(saving, feed.view), clock.unixMs());
    saved = saving;
  };

  const ticker = createTicker({ name: 'table-keeper', everyMs: saveEveryMs, run: look, clock, logger });

  return {
    name: 'table-keeper',
    async start(signal) {
      await load();
      ejections?.serve({ changed: judgeAnew, settingsOf: (service) => table?.services.get(service)?.outlier });
      probes?.serve({ changed: judgeAnew, instances: () => instancesOf(table) });
      stopListening = feed.listen(onNews);
      if (feed.status().loaded) onNews({ type: 'reset', view: feed.view });
      await ticker.start(signal);
    },
    async stop() {
      stopListening?.();
      warmUps.set(Infinity);
      await ticker.stop();
      await save().catch((error: unknown) => logger.warn({ err: error }, 'table.not_saved'));
    },
    current: () => table,
    status() {
      const fromDisk = table?.source === 'disk';
      const ageMs = fromDisk ? Math.max(0, clock.unixMs() - savedUnixMs) : feed.status().ageMs;
      return { table, ageMs: table ? ageMs : Number.POSITIVE_INFINITY, keptInstances: lost ? countOf(lost) : 0 };
    },
  };
}

// Who has registered again is the catalog's business from then on: it may leave, and must not come back from here.
function withoutKnown(lost: Lost['instances'], view: CatalogView): Lost['instances'] {
  const left = [...lost].map(([name, instances]) => {
    return [name, instances.filter(({ id }) => view.instance(name, id) === undefined)] as const;
  });
  return new Map(left.filter(([, instances]) => instances.length > 0));
}

function instancesOf(table: RoutingTable | undefined): readonly Instance[] {
  return [...(table?.services.values() ?? [])].flatMap(({ instances }) => instances);
}

function countOf(lost: Lost): number {
  let count = 0;
  for (const instances of lost.instances.values()) count += instances.length;
  return count;
}
