// What does the dispatcher know at one moment? An immutable table: services with their pickers, routes made ready. Every
// change makes the next table, which shares with the last one whatever did not change; readers see one or the other.
import { isDeepStrictEqual } from 'node:util';
import type { CatalogSnapshot, CatalogView } from '@switchyard/catalog';
import { parseDurationMs, type Instance } from '@switchyard/protocol';
import { compileRoutes, defaultServiceRules, type NamedRoute, type Router } from '@switchyard/proxy';
import { serviceEntry, type EntryContext, type ServiceEntry } from './targets.ts';

/** Where a table comes from: Redis, or what was saved on disk by an earlier run. */
export type TableSource = 'redis' | 'disk';

export interface RoutingTable {
  readonly source: TableSource;
  readonly epoch: number;
  readonly revision: number;
  readonly services: ReadonlyMap<string, ServiceEntry>;
  readonly routes: readonly NamedRoute[];
  readonly router: Router;
}

/** What tables are made from. */
export interface TableInput {
  readonly view: CatalogView;
  readonly source: TableSource;
  readonly context: EntryContext;
  /** Instances that the view lost and that are kept for a moment; by service. */
  readonly kept?: ReadonlyMap<string, readonly Instance[]>;
  /** Routes to go on with when the view has none at all. */
  readonly keptRoutes?: readonly NamedRoute[];
}

/** The whole table; pickers of `previous` go on where they stand. */
export function tableOf(input: TableInput, previous?: RoutingTable): RoutingTable {
  const { view, source, kept } = input;
  const names = new Set([...view.serviceNames(), ...(kept?.keys() ?? [])]);
  const services = new Map<string, ServiceEntry>();
  // what came while nobody looked has not just come
  const settled = previous === undefined || previous.source === 'disk';
  for (const name of names) services.set(name, entryOf(name, { ...input, settled }, previous?.services.get(name)));
  const stored = namedRoutes(view);
  const routes = stored.length === 0 ? (input.keptRoutes ?? stored) : stored;
  return { source, epoch: view.epoch, revision: view.revision, services, ...routing(routes, services, input.context) };
}

/** The next table when one service changed. Routes are made ready anew only when its rules changed. */
export function tableWithService(previous: RoutingTable, name: string, input: TableInput): RoutingTable {
  const before = previous.services.get(name);
  const entry = entryOf(name, input, before);
  const services = new Map(previous.services);
  if (entry.instances.length === 0 && input.view.policyOf(name) === undefined) services.delete(name);
  else services.set(name, entry);
  const position = { epoch: input.view.epoch, revision: input.view.revision };
  const isRouted = !isDeepStrictEqual(before?.rules, entry.rules);
  const ready = isRouted ? routing(previous.routes, services, input.context) : {};
  return { ...previous, ...position, source: input.source, services, ...ready };
}

/** The next table when this dispatcher itself judges instances otherwise than before: who is left out, who has warmed up. */
export function tableJudgedAnew(previous: RoutingTable, names: readonly string[], context: EntryContext): RoutingTable {
  const services = new Map(previous.services);
  for (const name of names) {
    const before = services.get(name);
    if (!before) continue;
    const { policy, instances } = before;
    services.set(name, serviceEntry({ name, policy, instances }, context, before));
  }
  return { ...previous, services };
}

/** The next table when routes changed. */
export function tableWithRoutes(previous: RoutingTable, input: TableInput): RoutingTable {
  const { view, source } = input;
  const position = { epoch: view.epoch, revision: view.revision, source };
  return { ...previous, ...position, ...routing(namedRoutes(view), previous.services, input.context) };
}

/** The table as data, with the policies of `view`: what `tableOf` can be given again. */
export function snapshotOf(table: RoutingTable, view: CatalogView): CatalogSnapshot {
  const { epoch, revision } = table;
  return {
    epoch,
    revision,
    instances: [...table.services.values()].flatMap(({ instances }) => instances),
    services: view.snapshot().services,
    routes: Object.fromEntries(table.routes.map(({ name, route }) => [name, { document: route, revision }])),
  };
}

function entryOf(
  name: string,
  { view, context, kept, settled = false }: TableInput & { readonly settled?: boolean },
  previous: ServiceEntry | undefined,
): ServiceEntry {
  const known = [...view.instancesOf(name)];
  const ids = new Set(known.map(({ id }) => id));
  const lost = (kept?.get(name) ?? []).filter(({ id }) => !ids.has(id));
  const policy = view.policyOf(name)?.document;
  return serviceEntry({ name, policy, instances: [...known, ...lost], settled }, context, previous);
}

function namedRoutes(view: CatalogView): NamedRoute[] {
  return [...view.routes()].map(([name, { document }]) => ({ name, route: document }));
}

function routing(
  routes: readonly NamedRoute[],
  services: ReadonlyMap<string, ServiceEntry>,
  context: EntryContext,
): { readonly routes: readonly NamedRoute[]; readonly router: Router } {
  const router = compileRoutes(routes, {
    random: context.random,
    rulesOf: (service) => services.get(service)?.rules ?? defaultServiceRules,
    durationMs: (text) => (text === undefined ? undefined : parseDurationMs(text)),
  });
  return { routes, router };
}
