// Who is concerned by an event? Watchers who want the same are one group, and groups are found by service: an event of one
// service touches nobody who watches another (Consul's lesson: hashicorp/consul#1244, #3890).
import { sseChunk } from '@switchyard/http';
import type { SseChunk, SseStream } from '@switchyard/http';
import type { RingEntry } from './watch-ring.ts';

/** What a watcher wants; undefined = all. */
export interface WatchFilter {
  readonly topics: readonly string[] | undefined;
  readonly services: readonly string[] | undefined;
  /** a snapshot at the beginning and after each reset */
  readonly snapshot: boolean;
}

/** A stream that gets every event of its group. */
export interface Watcher {
  readonly stream: SseStream;
  /** It has seen this revision elsewhere: nothing up to it is sent. Infinity: it waits for another epoch. */
  aheadOf: number;
  /** which part of the keep-alives reaches it */
  readonly part: number;
}

export interface WatchGroup {
  readonly filter: WatchFilter;
  readonly members: ReadonlySet<Watcher>;
}

export interface WatchGroups {
  /** Adds a watcher until its stream is over. */
  add(filter: WatchFilter, watcher: Watcher): void;
  /** Keeps an event for those whom it concerns, until `flush`. */
  push(entry: RingEntry): void;
  /** Sends what was kept: one write a watcher, however many events. Returns how many watchers were written to. */
  flush(): number;
  /** Every group that has members. */
  all(): Iterable<WatchGroup>;
  readonly size: number;
}

/** Whether an event is one of those that `filter` asks for. */
export const wants = ({ topics, services }: WatchFilter, { topic, service }: RingEntry): boolean =>
  (topics?.includes(topic) ?? true) &&
  (services === undefined || (service !== undefined && services.includes(service)));

interface Group {
  readonly filter: WatchFilter;
  readonly members: Set<Watcher>;
  pending: RingEntry[];
}

const keyOf = ({ topics, services, snapshot }: WatchFilter): string =>
  JSON.stringify([topics?.toSorted() ?? null, services?.toSorted() ?? null, snapshot]);

const chunkOf = (entries: readonly RingEntry[]): SseChunk => sseChunk(entries.map(({ frame }) => frame));

/** No watchers yet. What is kept here is bounded by the number of open streams. */
export function createWatchGroups(): WatchGroups {
  const groups = new Map<string, Group>();
  /** groups without a filter of services */
  const unbound = new Set<Group>();
  const byService = new Map<string, Set<Group>>();
  const dirty = new Set<Group>();
  let size = 0;

  const open = (key: string, filter: WatchFilter): Group => {
    const group: Group = { filter, members: new Set(), pending: [] };
    groups.set(key, group);
    if (!filter.services) unbound.add(group);
    for (const service of filter.services ?? []) {
      const watching = byService.get(service) ?? new Set();
      byService.set(service, watching.add(group));
    }
    return group;
  };
  const close = (key: string, group: Group): void => {
    groups.delete(key);
    unbound.delete(group);
    dirty.delete(group);
    for (const service of group.filter.services ?? []) {
      const watching = byService.get(service);
      watching?.delete(group);
      if (watching?.size === 0) byService.delete(service);
    }
  };
  const keep = (group: Group, entry: RingEntry): void => {
    if (!wants(group.filter, entry)) return;
    group.pending.push(entry);
    dirty.add(group);
  };
  const sendTo = (watcher: Watcher, entries: readonly RingEntry[], shared: SseChunk): boolean => {
    const first = entries[0]?.revision ?? 0;
    if (watcher.aheadOf < first) {
      watcher.stream.write(shared);
      return true;
    }
    const rest = entries.filter(({ revision }) => revision > watcher.aheadOf);
    if (rest.length > 0) watcher.stream.write(chunkOf(rest));
    return rest.length > 0;
  };

  return {
    add(filter, watcher) {
      const key = keyOf(filter);
      const group = groups.get(key) ?? open(key, filter);
      const remove = (): void => {
        if (!group.members.delete(watcher)) return;
        size -= 1;
        if (group.members.size === 0) close(key, group);
      };
      group.members.add(watcher);
      size += 1;
      watcher.stream.closed.addEventListener('abort', remove, { once: true });
      if (watcher.stream.closed.aborted) remove();
    },
    push(entry) {
      for (const group of unbound) keep(group, entry);
      if (entry.service === undefined) return;
      for (const group of byService.get(entry.service) ?? []) keep(group, entry);
    },
    flush() {
      let written = 0;
      for (const group of dirty) {
        const entries = group.pending;
        group.pending = [];
        const shared = chunkOf(entries);
        for (const watcher of group.members) if (sendTo(watcher, entries, shared)) written += 1;
      }
      dirty.clear();
      return written;
    },
    all: () => groups.values(),
    get size() {
      return size;
    },
  };
}
