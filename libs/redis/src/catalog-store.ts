// How is the catalog kept in Redis? Reads are single commands or scripts; every write is `commit.lua`.
import type { Redis } from 'ioredis';
import { channels, keys, memberOf, storedRouteSchema, storedServiceSchema } from '@switchyard/protocol';
import type { Instance, NewEvent, ServicePolicy, TrafficRoute } from '@switchyard/protocol';
import type {
  CatalogSnapshot,
  CatalogStore,
  Commit,
  CommitOutcome,
  Cursor,
  DocumentKind,
  Fence,
  PastChange,
  Tail,
  UndoStep,
  Versioned,
} from '@switchyard/catalog';
import { undoOf } from '@switchyard/catalog';
import { loadScript } from './script.ts';
import { eventOf, packEvent, packInstance, storedInstance, streamEntry } from './stored-form.ts';
import type { StreamEntry } from './stored-form.ts';

/** Events kept for readers that were away; about 250 bytes each. */
const LONGEST_STREAM = 100_000;
/** After an epoch change no revision that anybody may have seen is given out again. */
const EPOCH_STEP = 2 ** 20;

const commitScript = loadScript('commit');
const snapshotScript = loadScript('snapshot');
const tailScript = loadScript('tail');
const raiseEpochScript = loadScript('raise-epoch');

/**
 * The first epoch of an empty Redis is the time in ms, so that it lies above the epochs that a wiped one had given out, also
 * when it was wiped a moment ago.
 */
const firstEpoch = (): number => Date.now();

function split(stored: string): { readonly revision: number; readonly json: unknown } {
  const at = stored.indexOf('|');
  return { revision: Number(stored.slice(0, at)), json: JSON.parse(stored.slice(at + 1)) };
}

const serviceOf = (stored: string): Versioned<ServicePolicy> => {
  const { revision, json } = split(stored);
  return { document: storedServiceSchema.parse(json), revision };
};

const routeOf = (stored: string): Versioned<TrafficRoute> => {
  const { revision, json } = split(stored);
  return { document: storedRouteSchema.parse(json), revision };
};

const pairs = (flat: readonly string[]): [string, string][] =>
  Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? '']);

const eventTail = (event: NewEvent, source: string): string =>
  JSON.stringify({ specversion: '1.0', source, type: event.type, subject: event.subject, data: event.data });

function changeOf(commit: Commit, fence: Fence | undefined): string {
  const { deadline } = commit;
  const ttl = deadline === undefined ? '' : 'ttlMs' in deadline ? String(deadline.ttlMs) : '-';
  return JSON.stringify({
    expect: commit.expect.map(({ kind, key, revision }) => [kind, key, String(revision)]),
    writes: commit.writes.map(({ kind, key, document }) => [
      kind,
      key,
      document === null ? '' : kind === 'instance' ? packInstance(document) : JSON.stringify(document),
    ]),
    service: commit.service ?? '',
    member: deadline?.member ?? '',
    ttl,
    unlessAfter: deadline && 'remove' in deadline ? String(deadline.unlessAfterMs ?? '') : '',
    token: fence === undefined ? '' : String(fence.token),
    grant: commit.grant === true ? '1' : '',
  });
}

/** The catalog on `redis`, a `commands` connection. `source` names this process in the events it writes. */
export function createCatalogStore(redis: Redis, source: string): CatalogStore {
  const readDocument = async <T>(
    hash: string,
    field: string,
    decode: (stored: string) => T,
  ): Promise<T | undefined> => {
    const stored = await redis.hget(hash, field);
    return stored === null ? undefined : decode(stored);
  };

  return {
    async commit(commit, fence) {
      const reply = (await commitScript.run(
        redis,
        [
          keys.catalogMeta,
          keys.instances,
          keys.services,
          keys.routes,
          keys.serviceRevisions,
          keys.events,
          keys.deadlines,
          keys.ttls,
          keys.fence(fence?.lease ?? 'none'),
        ],
        [
          changeOf(commit, fence),
          eventTail(commit.event, source),
          channels.events,
          LONGEST_STREAM,
          undoTextOf(commit),
          ...packEvent(commit.event, source),
        ],
      )) as [string, number | string, number, number];
      const outcomes: Record<string, () => CommitOutcome> = {
        committed: () => ({
          type: 'committed',
          cursor: { epoch: Number(reply[1]), revision: reply[2] },
          token: reply[3],
        }),
        conflict: () => ({ type: 'conflict', key: String(reply[1]) }),
        fenced: () => ({ type: 'fenced' }),
        unclaimed: () => ({ type: 'unclaimed' }),
      };
      const outcome = outcomes[reply[0]];
      if (!outcome) throw new Error(`commit.lua answered ${JSON.stringify(reply)}`);
      return outcome();
    },
    readInstance(service, id) {
      const member = memberOf(service, id);
      return readDocument(keys.instances, member, (stored) => storedInstance(member, stored));
    },
    readService: (name) => readDocument(keys.services, name, serviceOf),
    readRoute: (name) => readDocument(keys.routes, name, routeOf),
    async snapshot() {
      const [epoch, revision, instances, services, routes, claimed] = (await snapshotScript.run(
        redis,
        [keys.catalogMeta, keys.instances, keys.services, keys.routes],
        [],
      )) as [number, number, string[], string[], string[], number];
      return {
        epoch,
        revision,
        instances: pairs(instances).map(([member, stored]) => storedInstance(member, stored)),
        services: Object.fromEntries(pairs(services).map(([name, stored]) => [name, serviceOf(stored)])),
        routes: Object.fromEntries(pairs(routes).map(([name, stored]) => [name, routeOf(stored)])),
        claimed: claimed === 1,
      };
    },
    async tail(after, limit): Promise<Tail> {
      const [epoch, revision, entries, claimed] = (await tailScript.run(
        redis,
        [keys.catalogMeta, keys.events],
        [after.revision, limit],
      )) as [number, number, [string, string[]][], number];
      if (claimed !== 1) return { type: 'unclaimed' };
      const cursor: Cursor = { epoch, revision };
      const events = entries.map((entry) => eventOf(streamEntry(entry))).filter((event) => event !== undefined);
      const complete = revision === after.revision || events[0]?.revision === after.revision + 1;
      const understood = events.length === entries.length;
      if (epoch !== after.epoch || !complete || !understood) return { type: 'gap', cursor };
      return { type: 'events', cursor, events };
    },
    async history(before, limit) {
      const entries = await redis.xrevrange(
        keys.events,
        before === undefined ? '+' : `(${before}-0`,
        '-',
        'COUNT',
        limit,
      );
      const events = entries.map((entry) => eventOf(streamEntry(entry))).filter((event) => event !== undefined);
      const last = entries.length === limit ? entries.at(-1)?.[0] : undefined;
      return { events, next: last === undefined ? null : Number.parseInt(last, 10) };
    },
    async past(before, limit) {
      const entries = await redis.xrevrange(
        keys.events,
        before === undefined ? '+' : `(${before}-0`,
        '-',
        'COUNT',
        limit,
      );
      const changes = entries.map((entry) => pastChangeOf(streamEntry(entry)));
      return { changes, next: entries.length === limit ? (changes.at(-1)?.revision ?? null) : null };
    },
    async changeAt(revision) {
      const [found] = await redis.xrange(keys.events, `${revision}-0`, `${revision}-0`);
      const entry = found && streamEntry(found);
      return entry && { event: eventOf(entry), change: pastChangeOf(entry) };
    },
    async deadlineOf(service, id) {
      const [[seconds, micros], deadlineMs] = await Promise.all([
        redis.time(),
        redis.zscore(keys.deadlines, memberOf(service, id)),
      ]);
      if (deadlineMs === null) return undefined;
      return { deadlineMs: Number(deadlineMs), nowMs: Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000) };
    },
    async raiseEpoch(seen, known) {
      const event = {
        specversion: '1.0',
        source,
        type: 'catalog.reset',
        subject: 'catalog',
        data: {
          reason: known?.reason ?? '',
          previousEpoch: '@epoch@',
          previousRevision: '@revision@',
          writtenBack: '@writtenBack@',
        },
      };
      const tail = JSON.stringify(event).replaceAll(/"(@\w+@)"/g, '$1');
      const [outcome, epoch, revision, writtenBack] = (await raiseEpochScript.run(
        redis,
        [
          keys.catalogMeta,
          keys.events,
          keys.instances,
          keys.services,
          keys.routes,
          keys.deadlines,
          keys.ttls,
          keys.seeded,
        ],
        [
          seen.epoch,
          seen.revision,
          EPOCH_STEP,
          tail,
          channels.events,
          LONGEST_STREAM,
          firstEpoch(),
          known === undefined ? '' : rememberedOf(known.snapshot),
        ],
      )) as ['raised' | 'needed' | 'fine', number, number, number];
      return outcome === 'raised' ? { type: outcome, cursor: { epoch, revision }, writtenBack } : { type: outcome };
    },
  };
}

/** A registration of somebody new says by itself how it is taken back. */
function undoTextOf(commit: Commit): string {
  const steps = undoOf(commit);
  const isNew = commit.event.type === 'instance.registered' && steps?.length === 1 && steps[0]?.revision === 0;
  if (steps === undefined || isNew) return '';
  return JSON.stringify(
    steps.map(({ kind, key, revision, patch }) => [kind, key, revision, ...(patch ? [patch] : [])]),
  );
}

function pastChangeOf({ revision, event, undo: kept }: StreamEntry): PastChange {
  const at = { epoch: event.epoch, revision, timeMs: Date.parse(event.time) };
  if (kept !== undefined) {
    const stored = JSON.parse(kept) as [DocumentKind, string, number, UndoStep['patch']?][];
    const undo = stored.map(([kind, key, was, patch]) => ({ kind, key, revision: was, ...(patch ? { patch } : {}) }));
    return { ...at, undo };
  }
  // an earlier version kept no undo
  const isNew =
    event.type === 'instance.registered' && (event.data as { instance: Instance }).instance.incarnation === 1;
  return { ...at, undo: isNew ? [{ kind: 'instance', key: event.subject, revision: 0 }] : undefined };
}

/** What a reader knows, as raise-epoch.lua takes it. The dead have no deadline. */
function rememberedOf({ instances, services, routes }: CatalogSnapshot): string {
  const settings = (documents: Readonly<Record<string, Versioned<object>>>): string[][] =>
    Object.entries(documents).map(([name, { document, revision }]) => [
      name,
      String(revision),
      JSON.stringify(document),
    ]);
  const instance = instances.map(({ revision, ...stored }) => [
    memberOf(stored.service, stored.id),
    String(revision),
    packInstance(stored),
    stored.liveness === 'dead' ? '' : String(stored.ttlMs),
  ]);
  return JSON.stringify({ instance, service: settings(services), route: settings(routes) });
}
