// How does a watcher begin with one connection? A snapshot in the stream, made once for many, and the events that came after it.
import { presentInstance, presentRoute, presentService } from '@switchyard/catalog';
import type { CatalogView } from '@switchyard/catalog';
import { frameOf, sseChunk } from '@switchyard/http';
import type { SseChunk } from '@switchyard/http';
import { idOf } from './watch-cursor.ts';

const MOST_SNAPSHOTS = 64;
const MOST_BYTES = 32 * 1024 * 1024;

/** What the view has of these services (all when undefined), with their instances; the routes only with all services. */
export function snapshotData(view: CatalogView, services: readonly string[] | undefined): object {
  const names = services ?? view.serviceNames();
  const shown = [...new Set(names)].toSorted().flatMap((name) => {
    const instances = [...view.instancesOf(name)].map(presentInstance).toSorted((a, b) => (a.id < b.id ? -1 : 1));
    if (instances.length === 0 && !view.policyOf(name)) return [];
    return [{ ...presentService(view, name), instances }];
  });
  const routes = services ? {} : { routes: [...view.routes()].map(([name, found]) => presentRoute(name, found)) };
  return { epoch: view.epoch, revision: view.revision, services: shown, ...routes };
}

/** The frame `snapshot` and the revision that it shows. */
export interface ReadySnapshot {
  readonly revision: number;
  readonly chunk: SseChunk;
}

export interface WatchSnapshots {
  /** One that was made at the revision `oldest` or later, or a new one. */
  of(view: CatalogView, services: readonly string[] | undefined, oldest: number): ReadySnapshot;
  /** What was made shows another catalog. */
  clear(): void;
}

/** Keeps the latest ones, within bounds. */
export function createWatchSnapshots(): WatchSnapshots {
  const made = new Map<string, ReadySnapshot>();
  let bytes = 0;
  const drop = (key: string): void => {
    bytes -= made.get(key)?.chunk.bytes.length ?? 0;
    made.delete(key);
  };
  return {
    of(view, services, oldest) {
      const key = services?.toSorted().join(',') ?? '';
      const known = made.get(key);
      if (known && known.revision >= oldest) return known;
      drop(key);
      const id = idOf(view);
      const chunk = sseChunk([frameOf({ id, event: 'snapshot', data: snapshotData(view, services) })]);
      const snapshot = { revision: view.revision, chunk };
      made.set(key, snapshot);
      bytes += chunk.bytes.length;
      for (const earliest of made.keys()) {
        if (made.size <= MOST_SNAPSHOTS && bytes <= MOST_BYTES) break;
        drop(earliest);
      }
      return snapshot;
    },
    clear() {
      made.clear();
      bytes = 0;
    },
  };
}
