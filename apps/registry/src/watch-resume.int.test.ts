import { announce } from '@switchyard/catalog';
import { createCatalogStore, createRedis } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, seededRandom, startRedis } from '@switchyard/testing';
import { createEventSource, startStreams } from './watch-fixture.ts';

const SERVICES = 10;
const WATCHERS = 1_000;
/** each watcher loses its connection this often while the catalog changes, and some time at the end */
const CUTS = 2_000;
const CHURN_MS = 8_000;

describe('a thousand watchers that lose their connections at random under churn', () => {
  it('see every event of theirs exactly once, from memory and from Redis, on either of two registries', async () => {
    const seed = Date.now() % 100_000;
    const random = seededRandom(seed);
    const redis = await startRedis();
    const logger = createLogger('test', { level: 'silent' });
    const connections = createRedis(
      { kind: 'single', endpoint: { host: redis.host, port: redis.port }, group: 'main' },
      { logger, name: 'test' },
    );
    const writer = createCatalogStore(connections.connect('commands'), 'writer');
    const roomy = await startStreams(redis.port, { keepAliveMs: 200 });
    // it must ask Redis for nearly everything that was missed
    const narrow = await startStreams(redis.port, { ring: { maxEvents: 4, maxBytes: 4_096 }, keepAliveMs: 200 });
    const ports = [roomy.port, narrow.port];
    const anyPort = (): number => ports[Math.floor(random() * ports.length)] ?? roomy.port;
    try {
      const watchers = Array.from({ length: WATCHERS }, (_, n) => {
        const service = n % 5 === 0 ? undefined : `s${n % SERVICES}`;
        const seen: string[] = [];
        const begun: string[] = [];
        const other: string[] = [];
        const source = createEventSource(`/v1/stream${service ? `?service=${service}` : ''}`, ({ id, event }) => {
          if (event === 'start') begun.push(id ?? '');
          else if (event?.startsWith('instance.')) seen.push(id ?? '');
          else if (event !== undefined) other.push(event);
        });
        return { service, seen, begun, other, source };
      });
      for (const { source } of watchers) source.open(anyPort());
      await eventually(() => expect(watchers.every(({ begun }) => begun.length === 1)).toBe(true), {
        timeoutMs: 10_000,
      });

      const written: { id: string; service: string }[] = [];
      let cuts = 0;
      const startMs = performance.now();
      while (performance.now() - startMs < CHURN_MS) {
        const service = `s${Math.floor(random() * SERVICES)}`;
        const reason = 'x'.repeat(Math.floor(random() * 300));
        const outcome = await writer.commit(
          announce({ type: 'instance.reaped', subject: `${service}/a`, data: { service, id: 'a', reason } }),
        );
        if (outcome.type !== 'committed') throw new Error(outcome.type);
        written.push({ id: `${outcome.cursor.epoch}.${outcome.cursor.revision}`, service });
        const due = (CUTS * (performance.now() - startMs)) / CHURN_MS;
        for (; cuts < due; cuts += 1) {
          const { source } = watchers[Math.floor(random() * WATCHERS)] ?? watchers[0] ?? { source: undefined };
          source?.cut();
          setTimeout(() => source?.open(anyPort()), random() * 1_000);
        }
        await new Promise((resolve) => setTimeout(resolve, random() * 50));
      }
      expect(cuts).toBeGreaterThanOrEqual(1_000);

      const expected = ({ service }: { service: string | undefined }): string[] =>
        written.filter((each) => service === undefined || each.service === service).map(({ id }) => id);
      const all = watchers.map(expected);
      await eventually(() => expect(watchers.every(({ seen }, n) => seen.length >= (all[n]?.length ?? 0))).toBe(true), {
        timeoutMs: 10_000,
      });
      const wrong = watchers.filter(({ seen }, n) => seen.join() !== all[n]?.join());
      expect({ seed, wrong: wrong.length, lost: wrong[0]?.seen }).toEqual({ seed, wrong: 0, lost: undefined });
      expect(watchers.flatMap(({ other }) => other)).toEqual([]);
      expect(written.length).toBeGreaterThan(100);
      for (const { source } of watchers) source.cut();
    } finally {
      await roomy.stop();
      await narrow.stop();
      await connections.stop();
      await redis.stop();
    }
  }, 60_000);
});
