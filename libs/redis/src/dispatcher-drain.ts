// Is an instance let go, and who still has requests there? Every dispatcher says so for itself; here it is put together.
import type { CatalogStore } from '@switchyard/catalog';
import { DISPATCHER_LIVE_MS } from '@switchyard/protocol';
import type { DispatcherDrains, DrainView, Instance } from '@switchyard/protocol';
import type { DispatcherBoard, HeardDrains } from './dispatcher-board.ts';

const entryOf = (
  { drains }: DispatcherDrains,
  service: string,
  id: string,
): DispatcherDrains['drains'][number] | undefined => drains.find((one) => one.service === service && one.id === id);

interface Ref {
  readonly service: string;
  readonly id: string;
}

/** The view now; undefined when neither the catalog nor a dispatcher knows the instance. Rejects while Redis is away. */
export async function readDrain(
  from: { readonly store: Pick<CatalogStore, 'readInstance'>; readonly board: Pick<DispatcherBoard, 'drains'> },
  ref: Ref,
): Promise<DrainView | undefined> {
  const [instance, heard] = await Promise.all([from.store.readInstance(ref.service, ref.id), from.board.drains()]);
  return drainView(ref, instance, heard);
}

/** The same from what was read. What a dispatcher said before the latest change of the instance does not count. */
export function drainView(
  { service, id }: Ref,
  instance: Instance | undefined,
  heard: HeardDrains,
): DrainView | undefined {
  const leaves = instance === undefined || instance.intent !== 'in-service' || instance.liveness === 'dead';
  const dispatchers = heard.dispatchers.map(({ id: dispatcher, ageMs, told }) => {
    const said = told && entryOf(told, service, id);
    // it leaves out whom it does not know and has nothing under way with
    const unknownThere = told !== undefined && said === undefined && instance === undefined;
    const isLatest = said !== undefined && leaves && said.revision >= (instance?.revision ?? 0);
    const acknowledged = told?.epoch === heard.epoch && (unknownThere || isLatest);
    return {
      id: dispatcher,
      live: ageMs < DISPATCHER_LIVE_MS,
      ageMs,
      acknowledged,
      revision: acknowledged && told ? told.revision : null,
      inFlight: said?.inFlight ?? (unknownThere ? 0 : null),
      tunnels: said?.tunnels ?? (unknownThere ? 0 : null),
    };
  });
  if (instance === undefined && dispatchers.every(({ inFlight, tunnels }) => !inFlight && !tunnels)) return undefined;
  const live = dispatchers.filter((one) => one.live);
  const silent = dispatchers.filter((one) => !one.live);
  const sum = (of: 'inFlight' | 'tunnels'): number => dispatchers.reduce((total, one) => total + (one[of] ?? 0), 0);
  return {
    service,
    id,
    intent: instance?.intent ?? null,
    revision: instance?.revision ?? null,
    done: leaves && live.length > 0 && live.every((one) => one.acknowledged && one.inFlight === 0),
    inFlight: sum('inFlight'),
    tunnels: sum('tunnels'),
    direct: heard.dispatchers.some(({ told }) => told && entryOf(told, service, id)?.direct),
    dispatchers,
    problems: [
      ...(leaves ? [] : ['the instance is in service: it gets new requests until its intent is changed']),
      ...(live.length > 0 ? [] : ['no dispatcher was heard lately: whether one still sends requests is not known']),
      ...silent.map((one) => `${one.id} was not heard for ${(one.ageMs / 1_000).toFixed(0)} s and is not waited for`),
    ],
  };
}
