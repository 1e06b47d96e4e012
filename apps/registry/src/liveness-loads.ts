// How busy are the instances, as they say themselves? Kept in one hash beside the catalog, for people and for dashboards:
// no revision, no event, and nobody's verdict depends on it.
import type { CatalogView } from '@switchyard/catalog';
import { presentInstance } from '@switchyard/catalog';
import { decodeJson, keys, memberOf, storedLoadSchema } from '@switchyard/protocol';
import type { Instance, LoadReport, ObservedInstance, StoredLoad } from '@switchyard/protocol';
import type { CatalogFeed, Redis } from '@switchyard/redis';
import { createTicker, withDeadline } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';

export interface LivenessLoads extends Component {
  /** Takes a report; it is written within a second, the latest one only. */
  report(member: string, load: LoadReport): void;
  /** Reads what other registries were told, if that is a second old. Never rejects, and never holds up an answer for long. */
  refresh(): Promise<void>;
  /** The instance with its load and its warnings, as far as they were read. */
  present(instance: Instance): ObservedInstance;
}

const EVERY_MS = 1_000;
const READ_DEADLINE_MS = 40;
/** Longer than this, what an instance said about its load is history. */
const FORGET_MS = 60_000;
/** The same report is written again after so long, so that it does not count as history. */
const REPEAT_MS = 10_000;
const MOST_UNWRITTEN = 20_000;
const CHUNK = 500;

/** The loads of all instances; `redis` is a `commands` connection. */
export function createLivenessLoads(options: {
  readonly redis: Redis;
  readonly feed: CatalogFeed;
  readonly clock: Clock;
  readonly logger: Logger;
}): LivenessLoads {
  const { redis, feed, clock, logger } = options;
  /** Reported here and not written yet. */
  let unwritten = new Map<string, StoredLoad>();
  /** Reported here or read; JSON until somebody asks. */
  let known = new Map<string, StoredLoad | string>();
  let gone = new Set<string>();
  let readAtMs = -Infinity;
  let reading: Promise<void> | undefined;

  const write = async (): Promise<void> => {
    const [loads, removed] = [unwritten, gone];
    unwritten = new Map();
    gone = new Set();
    const entries = [...loads].filter(([member]) => !removed.has(member));
    const pipeline = redis.pipeline();
    for (let at = 0; at < entries.length; at += CHUNK) {
      const fields = entries.slice(at, at + CHUNK).flatMap(([member, load]) => [member, JSON.stringify(load)]);
      pipeline.hset(keys.loads, ...fields);
    }
    const members = [...removed];
    for (let at = 0; at < members.length; at += CHUNK) pipeline.hdel(keys.loads, ...members.slice(at, at + CHUNK));
    if (pipeline.length > 0) await pipeline.exec();
  };

  const read = async (): Promise<void> => {
    const all = await withDeadline(redis.hgetall(keys.loads), READ_DEADLINE_MS, 'the look at the loads');
    known = new Map<string, StoredLoad | string>(Object.entries(all));
    for (const [member, load] of unwritten) known.set(member, load);
    sweep(feed.view);
  };
  /** Takes out what nobody took out: its registry was away when the instance went. */
  const sweep = (view: CatalogView): void => {
    if (!feed.status().loaded) return;
    for (const member of known.keys()) {
      if (view.member(member) || gone.size >= MOST_UNWRITTEN) continue;
      const load = loadOf(member);
      if (load && clock.unixMs() - load.atMs < FORGET_MS) continue;
      known.delete(member);
      gone.add(member);
    }
  };
  const loadOf = (member: string): StoredLoad | undefined => {
    const found = known.get(member);
    if (typeof found !== 'string') return found;
    const decoded = decodeJson(storedLoadSchema, found, 'the load');
    if (!decoded.ok) return undefined;
    known.set(member, decoded.value);
    return decoded.value;
  };

  const ticker = createTicker({ name: 'loads', everyMs: EVERY_MS, run: write, clock, logger });
  let stopListening: (() => void) | undefined;
  return {
    name: 'loads',
    async start(signal) {
      stopListening = feed.listen((news) => {
        if (news.type === 'reset') return;
        const { type, data } = news.event;
        if (type !== 'instance.deregistered' && type !== 'instance.reaped') return;
        const member = memberOf(data.service, data.id);
        unwritten.delete(member);
        known.delete(member);
        gone.add(member);
      });
      await ticker.start(signal);
    },
    async stop() {
      stopListening?.();
      await ticker.stop();
    },
    report(member, load) {
      const before = known.get(member);
      const stored = { ...load, atMs: clock.unixMs() };
      // what says the same as a moment ago is not worth a write
      if (typeof before === 'object' && isSame(before, stored)) return;
      if (!unwritten.has(member) && unwritten.size >= MOST_UNWRITTEN) return;
      known.set(member, stored);
      unwritten.set(member, stored);
      gone.delete(member);
    },
    async refresh() {
      const nowMs = clock.monotonicMs();
      // while Redis is away every answer would wait for it; what was reported here is shown all the same
      if (nowMs - readAtMs < EVERY_MS || feed.status().ageMs > EVERY_MS) return;
      readAtMs = reading ? readAtMs : nowMs;
      reading ??= read()
        .catch(() => undefined)
        .finally(() => (reading = undefined));
      await reading;
    },
    present(instance) {
      const found = loadOf(memberOf(instance.service, instance.id));
      const load = found && clock.unixMs() - found.atMs < FORGET_MS ? found : undefined;
      return { ...presentInstance(instance), load: shown(load), warnings: warningsOf(load, instance) };
    },
  };
}

function isSame(before: StoredLoad, now: StoredLoad): boolean {
  const { inflight, utilization, lagMs, atMs } = now;
  const same = before.inflight === inflight && before.utilization === utilization && before.lagMs === lagMs;
  return same && atMs >= before.atMs && atMs - before.atMs < REPEAT_MS;
}

function shown(load: StoredLoad | undefined): ObservedInstance['load'] {
  if (!load) return null;
  const { atMs, ...report } = load;
  return { ...report, at: new Date(atMs).toISOString() };
}

/** A beat is due three times in a time to live. */
function warningsOf(load: StoredLoad | undefined, { ttlMs }: Instance): string[] {
  const lagMs = load?.lagMs ?? 0;
  if (lagMs <= ttlMs / 3) return [];
  return [`its event loop is ${Math.round(lagMs)} ms late: requests wait that long`];
}
