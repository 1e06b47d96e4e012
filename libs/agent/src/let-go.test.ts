import { ok, refuse } from '@switchyard/protocol';
import type { DrainView } from '@switchyard/protocol';
import { createLogger } from '@switchyard/runtime';
import { manualClock } from '@switchyard/testing';
import { createAgent } from './agent.ts';
import type { Registrar } from './registrar.ts';

type Seen = DrainView['dispatchers'][number];

const dispatcher = (id: string, more: Partial<Seen> = {}): Seen => ({
  id,
  live: true,
  ageMs: 100,
  acknowledged: true,
  revision: 7,
  inFlight: 0,
  tunnels: 0,
  ...more,
});
const viewOf = (...dispatchers: Seen[]): DrainView => {
  const live = dispatchers.filter((one) => one.live);
  return {
    service: 'shop',
    id: 'a',
    intent: 'draining',
    revision: 7,
    done: live.length > 0 && live.every((one) => one.acknowledged && one.inFlight === 0),
    inFlight: dispatchers.reduce((sum, one) => sum + (one.inFlight ?? 0), 0),
    tunnels: dispatchers.reduce((sum, one) => sum + (one.tunnels ?? 0), 0),
    direct: false,
    dispatchers,
    problems: live.length > 0 ? [] : ['no dispatcher was heard lately'],
  };
};

/** An agent that has registered and begins to leave; `view` is what it is told about who has let go. */
async function leaving(drained: Registrar['drained'] | undefined, drain = () => Promise.resolve(ok(null))) {
  const clock = manualClock();
  const lines: { msg: string; letGo?: string }[] = [];
  const logger = createLogger('test', {
    level: 'info',
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  let leftAtMs: number | undefined;
  const registrar: Registrar = {
    register: () => Promise.resolve(ok(null)),
    beat: () => Promise.resolve('known'),
    drain,
    ...(drained && { drained }),
    deregister: () => {
      leftAtMs = clock.monotonicMs();
      return Promise.resolve(ok(null));
    },
  };
  const more = { drainDelayMs: 1_000, drainDeadlineMs: 3_000, random: () => 0 };
  const agent = createAgent({ service: 'shop', id: 'a', registrar, clock, logger, ttlMs: 3_000, ...more });
  await agent.start();
  await clock.advance(0);
  const gone = agent.drain();
  return {
    clock,
    leftAtMs: () => leftAtMs,
    letGo: () => lines.find(({ msg }) => msg === 'agent.left')?.letGo,
    end: async () => {
      await clock.advance(10_000);
      await gone;
      await agent.stop();
    },
  };
}

describe('an instance that has announced its end', () => {
  it('leaves at once when every dispatcher has let go already', async () => {
    const { clock, leftAtMs, letGo, end } = await leaving(() =>
      Promise.resolve(ok(viewOf(dispatcher('d1'), dispatcher('d2')))),
    );

    await clock.advance(0);

    expect(leftAtMs()).toBe(0);
    await end();
    expect(letGo()).toBe('by 2 dispatchers');
  });

  it('waits for the dispatcher that has not said so, and for the last request that is under way', async () => {
    let view = viewOf(dispatcher('d1'), dispatcher('d2', { acknowledged: false, revision: null, inFlight: null }));
    const { clock, leftAtMs, end } = await leaving(() => Promise.resolve(ok(view)));

    await clock.advance(1_500);
    view = viewOf(dispatcher('d1'), dispatcher('d2', { inFlight: 3 }));
    await clock.advance(500);
    expect(leftAtMs()).toBeUndefined();
    view = viewOf(dispatcher('d1'), dispatcher('d2'));
    await clock.advance(200);

    expect(leftAtMs()).toBeLessThanOrEqual(2_200);
    await end();
  });

  it('leaves at its deadline and says who has not let go', async () => {
    const { leftAtMs, letGo, end } = await leaving(() =>
      Promise.resolve(
        ok(viewOf(dispatcher('d1', { inFlight: 2 }), dispatcher('d2', { acknowledged: false }), dispatcher('d3'))),
      ),
    );

    await end();

    expect(leftAtMs()).toBe(3_000);
    expect(letGo()).toBe('not by d1 (2 requests under way), d2 (it may still send some)');
  });

  it('waits the fixed time for upgraded connections, for redirected clients, and for a dispatcher that is silent but may be there', async () => {
    const tunnels = await leaving(() => Promise.resolve(ok(viewOf(dispatcher('d1', { tunnels: 4 })))));
    await tunnels.end();
    expect(tunnels.leftAtMs()).toBe(1_000);

    const redirected = await leaving(() => Promise.resolve(ok({ ...viewOf(dispatcher('d1')), direct: true })));
    await redirected.end();
    expect(redirected.leftAtMs()).toBe(1_000);

    const silent = dispatcher('d2', { live: false, ageMs: 4_000, acknowledged: false });
    const cut = await leaving(() => Promise.resolve(ok(viewOf(dispatcher('d1'), silent))));
    await cut.end();
    expect(cut.leftAtMs()).toBe(1_000);
    expect(cut.letGo()).toBe('by 1 dispatchers');
  });

  it.each<[string, Registrar['drained'] | undefined, string]>([
    ['nobody can be asked', undefined, 'not known: who has let go cannot be asked'],
    ['Redis is away', () => Promise.reject(new Error('connect ECONNREFUSED')), 'not known: connect ECONNREFUSED'],
    [
      'the registry is of an earlier version',
      () => Promise.resolve(refuse('not_found', 'nothing is served there')),
      'not known: nothing is served there',
    ],
    ['no dispatcher is known', () => Promise.resolve(ok(viewOf())), 'not known: no dispatcher was heard lately'],
  ])('waits the fixed time when %s', async (_what, drained, words) => {
    const { leftAtMs, letGo, end } = await leaving(drained);

    await end();

    expect(leftAtMs()).toBe(1_000);
    expect(letGo()).toBe(words);
  });

  it('waits the fixed time, whatever is said, when its announcement was not taken', async () => {
    const { leftAtMs, end } = await leaving(
      () => Promise.resolve(ok(viewOf(dispatcher('d1', { acknowledged: false })))),
      () => Promise.reject(new Error('connect ECONNREFUSED')),
    );

    await end();

    expect(leftAtMs()).toBe(1_000);
  });
});
