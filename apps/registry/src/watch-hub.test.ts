import { createCatalogView, emptySnapshot } from '@switchyard/catalog';
import type { SseChunk, SseStream } from '@switchyard/http';
import type { SwitchyardEvent } from '@switchyard/protocol';
import type { CatalogFeed, FeedNews } from '@switchyard/redis';
import { createLogger, createMetrics } from '@switchyard/runtime';
import { manualClock } from '@switchyard/testing';
import type { WatchFilter } from './watch-groups.ts';
import { createWatchHub } from './watch-hub.ts';

const EPOCH = 7;
const all: WatchFilter = { topics: undefined, services: undefined, snapshot: false };
const of = (...services: string[]): WatchFilter => ({ ...all, services });

const eventAt = (revision: number, service = 'shop', epoch = EPOCH): SwitchyardEvent => ({
  specversion: '1.0',
  id: `${epoch}.${revision}`,
  epoch,
  revision,
  source: 'test',
  time: '',
  type: 'service.updated',
  subject: service,
  data: { name: service, policy: {} as never },
});

/** A stream that keeps what is written to it. */
function stream() {
  const over = new AbortController();
  const writes: string[] = [];
  const fake: SseStream = {
    write({ bytes }: SseChunk) {
      writes.push(bytes.toString());
      return true;
    },
    send({ id, event }) {
      writes.push(`id: ${id}\nevent: ${event}\n\n`);
      return true;
    },
    unreadBytes: () => 0,
    close: () => over.abort(),
    closed: over.signal,
  };
  return { ...fake, writes, ids: () => [...writes.join('').matchAll(/^id: (.*)$/gm)].map(([, id]) => id) };
}

async function hubAt(revision: number) {
  let listener: (news: FeedNews) => void = () => undefined;
  let view = createCatalogView({ ...emptySnapshot, epoch: EPOCH, revision });
  const feed = {
    get view() {
      return view;
    },
    listen: (added: typeof listener) => {
      listener = added;
      return () => undefined;
    },
  } as unknown as CatalogFeed;
  const clock = manualClock();
  const metrics = createMetrics();
  const logger = createLogger('test', { level: 'silent' });
  const hub = createWatchHub({ feed, clock, logger, metrics, keepAliveMs: 15_000, mostWaiters: 3 });
  await hub.start?.(new AbortController().signal);
  const tell = (...events: SwitchyardEvent[]): void => {
    for (const event of events) {
      const outcome = view.apply(event);
      if (outcome.type !== 'applied') throw new Error(outcome.type);
      listener({ type: 'event', view, event, change: outcome.change });
    }
  };
  const reset = (epoch: number, at: number): void => {
    view = createCatalogView({ ...emptySnapshot, epoch, revision: at });
    listener({ type: 'reset', view });
  };
  reset(EPOCH, revision);
  const settled = async (): Promise<void> => await Promise.resolve();
  return { hub, tell, reset, clock, metrics, settled, at: (n: number) => ({ epoch: EPOCH, revision: n }) };
}

describe('the hub', () => {
  it('writes once to each watcher for all events of one turn, in order', async () => {
    const { hub, tell, settled, at } = await hubAt(10);
    const [one, other] = [stream(), stream()];
    for (const each of [one, other]) hub.join({ stream: each, filter: all }, at(10));

    tell(eventAt(11), eventAt(12), eventAt(13));
    await settled();

    for (const each of [one, other]) {
      expect(each.writes).toHaveLength(1);
      expect(each.ids()).toEqual(['7.11', '7.12', '7.13']);
    }
  });

  it('touches nobody who watches another service, and counts whom it touches', async () => {
    const { hub, tell, settled, metrics, at } = await hubAt(10);
    const [shop, api, both, routes] = [stream(), stream(), stream(), stream()];
    hub.join({ stream: shop, filter: of('shop') }, at(10));
    hub.join({ stream: api, filter: of('api') }, at(10));
    hub.join({ stream: both, filter: of('api', 'shop') }, at(10));
    hub.join({ stream: routes, filter: { ...all, topics: ['route'] } }, at(10));
    for (let n = 11; n <= 110; n += 1) {
      tell(eventAt(n, 'shop'));
      await settled();
    }

    expect([shop, api, both, routes].map(({ writes }) => writes.length)).toEqual([100, 0, 100, 0]);
    expect(await metrics.text()).toContain('switchyard_watch_wakeups_total{kind="stream"} 200');
  });

  it('sends nothing up to where a watcher is that knows more than this registry', async () => {
    const { hub, tell, settled, at } = await hubAt(10);
    const ahead = stream();
    hub.join({ stream: ahead, filter: all }, at(12));

    tell(eventAt(11));
    await settled();
    expect(ahead.writes).toEqual([]);
    tell(eventAt(12), eventAt(13));
    tell(eventAt(14));
    await settled();

    expect(ahead.ids()).toEqual(['7.13', '7.14']);
  });

  it('keeps a watcher of a later epoch waiting for the reset', async () => {
    const { hub, tell, reset, settled } = await hubAt(10);
    const later = stream();
    hub.join({ stream: later, filter: all }, { epoch: EPOCH + 1, revision: 3 });
    tell(eventAt(11));
    await settled();
    expect(later.writes).toEqual([]);

    reset(EPOCH + 1, 5);
    tell(eventAt(6, 'shop', EPOCH + 1));
    await settled();

    expect(later.ids()).toEqual(['8.5', '8.6']);
    expect(later.writes[0]).toContain('event: reset');
  });

  it('follows a reset with a snapshot for those who want one, and gives no id to resume from in between', async () => {
    const { hub, reset, at } = await hubAt(10);
    const [plain, whole] = [stream(), stream()];
    hub.join({ stream: plain, filter: all }, at(10));
    hub.join({ stream: whole, filter: { ...all, snapshot: true } }, at(10));

    reset(EPOCH, 50);

    expect(plain.ids()).toEqual(['7.50']);
    expect(whole.writes.map((text) => /^event: (.*)$/m.exec(text)?.[1])).toEqual(['reset', 'snapshot']);
    expect([whole.writes[0]?.includes('id: '), whole.ids()]).toEqual([false, ['7.50']]);
  });

  it('tells idle watchers from where to resume, each within the interval, and nothing to those who are ahead', async () => {
    const { hub, tell, settled, clock, at } = await hubAt(10);
    const idle = Array.from({ length: 130 }, stream);
    for (const each of idle) hub.join({ stream: each, filter: of('api') }, at(10));
    const ahead = stream();
    hub.join({ stream: ahead, filter: of('api') }, at(500));
    tell(eventAt(11), eventAt(12));
    await settled();
    expect(idle.flatMap(({ writes }) => writes)).toEqual([]);

    await clock.advance(15_300);

    for (const { writes } of idle) expect(new Set(writes)).toEqual(new Set([': keep-alive\nid: 7.12\n\n']));
    expect(new Set(ahead.writes)).toEqual(new Set([': keep-alive\n\n']));
  });

  it('forgets a watcher whose stream is over', async () => {
    const { hub, tell, settled, at } = await hubAt(10);
    const gone = stream();
    hub.join({ stream: gone, filter: all }, at(10));
    gone.close();

    tell(eventAt(11));
    await settled();

    expect(gone.writes).toEqual([]);
  });

  it('wakes only those who wait for the service that moved, or for any', async () => {
    const { hub, tell, at } = await hubAt(10);
    const { signal } = new AbortController();
    const woken: string[] = [];
    const waiting = [undefined, 'shop', 'api'].map((service) =>
      hub.newer(service, { after: at(10), waitMs: 60_000, signal }).then(() => woken.push(service ?? 'any')),
    );
    tell(eventAt(11, 'shop'));
    await Promise.all(waiting.slice(0, 2));

    expect(woken.toSorted()).toEqual(['any', 'shop']);
    expect([hub.cursor('shop'), hub.cursor('api'), hub.cursor(undefined)]).toEqual([at(11), at(10), at(11)]);
    await hub.drain?.();
    await waiting[2];
    expect(woken).toContain('api');
  });

  it('answers at once what is newer or of another epoch, and refuses to hold more than its bound', async () => {
    const { hub, tell, at } = await hubAt(10);
    tell(eventAt(11, 'shop'));
    const leaving = new AbortController();
    const ask = (service: string, after: { epoch: number; revision: number }) =>
      hub.newer(service, { after, waitMs: 60_000, signal: leaving.signal });

    expect(await ask('shop', at(10))).toBe(true);
    expect(await ask('shop', { epoch: EPOCH - 1, revision: 11 })).toBe(true);
    const held = [ask('shop', at(11)), ask('api', at(10)), ask('api', at(99))];
    expect(await ask('web', at(10))).toBe(false);
    leaving.abort();

    expect(await Promise.all(held)).toEqual([true, true, true]);
    expect(await ask('web', at(10))).toBe(true);
  });
});
