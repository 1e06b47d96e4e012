// How is the catalog kept in Redis? Reads are single commands or scripts; every write is `commit.lua`.
import type { Redis } from 'ioredis';
import {
  channels,
  eventSchema,
  keys,
  memberOf,
  storedInstanceSchema,
  storedRouteSchema,
  storedServiceSchema,
} from '@switchyard/protocol';
import type { Instance, NewEvent, ServicePolicy, SwitchyardEvent, TrafficRoute } from '@switchyard/protocol';
import type {
  CatalogSnapshot,
  CatalogStore,
  Commit,
  CommitOutcome,
  Cursor,
  Fence,
  Tail,
  Versioned,
} from '@switchyard/catalog';
import { loadScript } from './script.ts';

/** Events kept for readers that were away; about 500 bytes each. */
const LONGEST_STREAM = 100_000;
/** After an epoch change no revision that anybody may have seen is given out again. */
const EPOCH_STEP = 2 ** 20;

const commitScript = loadScript('commit');
const snapshotScript = loadScript('snapshot');
const tailScript = loadScript('tail');
const raiseEpochScript = loadScript('raise-epoch');

/** The first epoch of an empty Redis is the time, so that it lies above the epochs that a wiped one had given out. */
const firstEpoch = (): number => Math.floor(Date.now() / 1000);

function split(stored: string): { readonly revision: number; readonly json: unknown } {
  const at = stored.indexOf('|');
  return { revision: Number(stored.slice(0, at)), json: JSON.parse(stored.slice(at + 1)) };
}

function instanceOf(stored: string): Instance {
  const { revision, json } = split(stored);
  return { ...storedInstanceSchema.parse(json), revision };
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

const eventOf = (text: string): SwitchyardEvent => eventSchema.parse(JSON.parse(text));

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
      document === null ? '' : JSON.stringify(document),
    ]),
    service: commit.service ?? '',
    member: deadline?.member ?? '',
    ttl,
    token: fence === undefined ? '' : String(fence.token),
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
        [changeOf(commit, fence), eventTail(commit.event, source), channels.events, LONGEST_STREAM, firstEpoch()],
      )) as [string, number | string, number];
      const outcomes: Record<string, () => CommitOutcome> = {
        committed: () => ({ type: 'committed', cursor: { epoch: Number(reply[1]), revision: reply[2] } }),
        conflict: () => ({ type: 'conflict', key: String(reply[1]) }),
        fenced: () => ({ type: 'fenced' }),
      };
      const outcome = outcomes[reply[0]];
      if (!outcome) throw new Error(`commit.lua answered ${JSON.stringify(reply)}`);
      return outcome();
    },
    readInstance: (service, id) => readDocument(keys.instances, memberOf(service, id), instanceOf),
    readService: (name) => readDocument(keys.services, name, serviceOf),
    readRoute: (name) => readDocument(keys.routes, name, routeOf),
    async snapshot(): Promise<CatalogSnapshot> {
      const [epoch, revision, instances, services, routes] = (await snapshotScript.run(
        redis,
        [keys.catalogMeta, keys.instances, keys.services, keys.routes],
        [],
      )) as [number, number, string[], string[], string[]];
      return {
        epoch,
        revision,
        instances: pairs(instances).map(([, stored]) => instanceOf(stored)),
        services: Object.fromEntries(pairs(services).map(([name, stored]) => [name, serviceOf(stored)])),
        routes: Object.fromEntries(pairs(routes).map(([name, stored]) => [name, routeOf(stored)])),
      };
    },
    async tail(after, limit): Promise<Tail> {
      const [epoch, revision, texts] = (await tailScript.run(
        redis,
        [keys.catalogMeta, keys.events],
        [after.revision, limit],
      )) as [number, number, string[]];
      const cursor: Cursor = { epoch, revision };
      const events = texts.map(eventOf);
      const first = events[0]?.revision;
      const complete = revision === after.revision || first === after.revision + 1;
      if (epoch !== after.epoch || !complete) return { type: 'gap', cursor };
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
      return entries.map(([, fields]) => eventOf(fields[1] ?? ''));
    },
    async raiseEpoch(seen, reason) {
      const info = await redis.info('server');
      const runId = /^run_id:(\w+)/m.exec(info)?.[1] ?? 'unknown';
      const event = {
        specversion: '1.0',
        source,
        type: 'catalog.reset',
        subject: 'catalog',
        data: { reason, previousEpoch: '@epoch@', previousRevision: '@revision@' },
      };
      const tail = JSON.stringify(event).replace('"@epoch@"', '@epoch@').replace('"@revision@"', '@revision@');
      const [raised] = (await raiseEpochScript.run(
        redis,
        [keys.catalogMeta, keys.events],
        [runId, seen.epoch, seen.revision, EPOCH_STEP, tail, channels.events, LONGEST_STREAM, firstEpoch()],
      )) as [number, number, number];
      return raised === 1;
    },
  };
}
