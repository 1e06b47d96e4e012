// Who is suspected, who is damped, how many of a service live? Kept with each change, so that a sweep looks at no other instance.
import { memberOfInstance } from '@switchyard/catalog';
import { splitMember } from '@switchyard/protocol';
import type { Instance } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';

/** Where nobody is registered: the shortest that may be. */
const SHORTEST_TTL_MS = 500;

export interface ServiceCount {
  readonly recorded: number;
  readonly living: number;
  readonly alive: number;
}

export interface FleetIndex {
  readonly suspects: ReadonlySet<string>;
  readonly damped: ReadonlySet<string>;
  count(service: string): ServiceCount;
  /** of everybody since the catalog was last loaded whole */
  shortestTtlMs(): number;
}

/** An index of what `feed` shows. It holds no more than the catalog does. */
export function createFleetIndex(feed: Pick<CatalogFeed, 'view' | 'listen'>): FleetIndex {
  const suspects = new Set<string>();
  const damped = new Set<string>();
  const counts = new Map<string, ServiceCount>();
  let shortestMs: number | undefined;

  const put = (set: Set<string>, member: string, isIn: boolean | undefined): void => {
    if (isIn) set.add(member);
    else set.delete(member);
  };
  const take = (member: string, instance: Instance | undefined): void => {
    put(suspects, member, instance?.liveness === 'suspect');
    put(damped, member, instance?.dampedUntilMs !== undefined && instance.liveness !== 'dead');
    if (instance) shortestMs = Math.min(shortestMs ?? Infinity, instance.ttlMs);
  };
  const load = (): void => {
    suspects.clear();
    damped.clear();
    counts.clear();
    shortestMs = undefined;
    for (const instance of feed.view.all()) take(memberOfInstance(instance), instance);
  };
  load();
  feed.listen((news) => {
    if (news.type === 'reset') {
      load();
      return;
    }
    if (!news.event.type.startsWith('instance.')) return;
    const { subject } = news.event;
    counts.delete(splitMember(subject)?.service ?? '');
    take(subject, news.view.member(subject));
  });

  return {
    suspects,
    damped,
    count(service) {
      const known = counts.get(service);
      if (known) return known;
      let [recorded, living, alive] = [0, 0, 0];
      for (const { liveness } of feed.view.instancesOf(service)) {
        recorded += 1;
        if (liveness !== 'dead') living += 1;
        if (liveness === 'alive') alive += 1;
      }
      const counted = { recorded, living, alive };
      if (recorded > 0) counts.set(service, counted);
      return counted;
    },
    shortestTtlMs: () => shortestMs ?? SHORTEST_TTL_MS,
  };
}
