import { ok, refuse } from '@switchyard/protocol';
import type { Result } from '@switchyard/protocol';
import { createHealth, createLogger } from '@switchyard/runtime';
import { eventually, manualClock } from '@switchyard/testing';
import { createAgent } from './agent.ts';
import type { AgentOptions } from './agent.ts';
import type { LivenessLink, LivenessNews } from './liveness-link.ts';
import type { Registrar } from './registrar.ts';

/** A catalog that knows one instance or not, and can be away. */
function fakeCatalog() {
  const calls: string[] = [];
  const catalog = {
    calls,
    known: false,
    away: false,
    refusal: undefined as Result<unknown> | undefined,
    registrar: {} as Registrar,
  };
  const reach = (call: string): void => {
    calls.push(call);
    if (catalog.away) throw new Error('connect ECONNREFUSED');
  };
  catalog.registrar = {
    register: async () => {
      reach('register');
      if (catalog.refusal) return catalog.refusal;
      catalog.known = true;
      return ok(null);
    },
    beat: async () => {
      reach('beat');
      return catalog.known ? 'known' : 'unknown';
    },
    drain: async () => {
      reach('drain');
      return ok(null);
    },
    deregister: async () => {
      reach('deregister');
      catalog.known = false;
      return ok(null);
    },
  };
  return catalog;
}

function setUp(more: Partial<AgentOptions> = {}) {
  const clock = manualClock();
  const catalog = fakeCatalog();
  const lines: { msg: string }[] = [];
  const logger = createLogger('test', {
    level: 'info',
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  const agent = createAgent({
    service: 'shop',
    id: 'a',
    registrar: catalog.registrar,
    clock,
    logger,
    ttlMs: 3_000,
    random: () => 0,
    ...more,
  });
  const events = (): string[] => lines.map(({ msg }) => msg);
  return { agent, catalog, clock, events };
}

describe('createAgent', () => {
  it('registers at once, then beats three times within a time to live', async () => {
    const { agent, catalog, clock } = setUp();

    await agent.start();
    await clock.advance(3_000);

    expect(catalog.calls).toEqual(['register', 'beat', 'beat', 'beat']);
    expect(agent.state()).toMatchObject({
      phase: 'BEATING',
      registrations: 1,
      beats: 3,
      lastBeatAgoMs: 0,
      problem: null,
    });
    await agent.stop();
  });

  it('beats somewhat early at random, so that agents that started together spread', async () => {
    const { agent, catalog, clock } = setUp({ random: () => 0.5 });

    await agent.start();
    await clock.advance(949);
    expect(catalog.calls).toEqual(['register']);
    await clock.advance(1);

    expect(catalog.calls).toEqual(['register', 'beat']);
    await agent.stop();
  });

  it('starts without the catalog, tries again ever more slowly but at least every 5 s, and says so once', async () => {
    const { agent, catalog, clock, events } = setUp();
    catalog.away = true;

    await agent.start();
    await clock.advance(60_000);
    const attempts = catalog.calls.length;
    expect(attempts).toBeGreaterThan(12);
    expect(attempts).toBeLessThan(40);
    catalog.away = false;
    await clock.advance(5_000);

    expect(agent.state()).toMatchObject({ phase: 'BEATING', registrations: 1, problem: null });
    expect(events()).toEqual(['agent.failing', 'agent.recovered', 'agent.registered']);
    await agent.stop();
  });

  it('tells its health instead, without making the service unready', async () => {
    const clock = manualClock();
    const health = createHealth({ clock });
    health.setPhase('RUNNING');
    const { agent, catalog, events } = setUp({ clock, health });
    const check = () => health.report().checks['registration'];
    catalog.away = true;

    await agent.start();
    await clock.advance(300);
    expect(check()).toMatchObject({ ok: false, detail: 'connect ECONNREFUSED' });
    expect(health.report().ready).toBe(true);
    catalog.away = false;
    await clock.advance(5_000);
    expect(check()).toMatchObject({ ok: true, detail: 'registered as shop/a' });
    const drained = agent.drain();
    await clock.advance(1_000);
    await drained;

    expect(check()).toMatchObject({ ok: true });
    expect(events()).toEqual(['agent.registered', 'agent.draining', 'agent.left']);
    await agent.stop();
  });

  it('registers again when a beat says that the catalog has forgotten it', async () => {
    let forgotten = 0;
    const { agent, catalog, clock } = setUp({ onUnknown: () => (forgotten += 1) });
    await agent.start();
    await clock.advance(1_000);

    catalog.known = false;
    await clock.advance(1_000);

    expect(catalog.calls).toEqual(['register', 'beat', 'beat', 'register']);
    expect(agent.state()).toMatchObject({ phase: 'BEATING', registrations: 2 });
    expect(forgotten).toBe(1);
    await agent.stop();
  });

  it('goes on beating through an outage without registering again', async () => {
    const { agent, catalog, clock, events } = setUp();
    await agent.start();
    await clock.advance(1_000);

    catalog.away = true;
    await clock.advance(20_000);
    expect(agent.state()).toMatchObject({ phase: 'BEATING', problem: 'connect ECONNREFUSED', lastBeatAgoMs: 20_000 });
    catalog.away = false;
    await clock.advance(1_000);

    expect(catalog.calls.filter((call) => call === 'register')).toHaveLength(1);
    expect(agent.state().problem).toBeNull();
    expect(events()).toEqual(['agent.registered', 'agent.failing', 'agent.recovered']);
    await agent.stop();
  });

  it('keeps trying after a refusal and tells its reason', async () => {
    const { agent, catalog, clock } = setUp();
    catalog.refusal = refuse('invalid_input', 'the body is not valid', { why: ['weight: must be a number'] });

    await agent.start();
    await clock.advance(300);
    expect(agent.state().problem).toBe('refused: the body is not valid; weight: must be a number');
    catalog.refusal = undefined;
    await clock.advance(5_000);

    expect(agent.state()).toMatchObject({ phase: 'BEATING', problem: null });
    await agent.stop();
  });

  it('announces its end, beats on while it is let go, then deregisters', async () => {
    const { agent, catalog, clock } = setUp({ drainDelayMs: 2_500 });
    await agent.start();
    await clock.advance(0);

    const drained = agent.drain();
    await clock.advance(2_499);
    expect(catalog.calls).toEqual(['register', 'drain', 'beat', 'beat']);
    await clock.advance(1);
    await drained;
    await agent.stop();
    await clock.advance(10_000);

    expect(catalog.calls).toEqual(['register', 'drain', 'beat', 'beat', 'deregister']);
    expect(agent.state().phase).toBe('LEFT');
  });

  it('waits the drain delay and deregisters also when the announcement fails', async () => {
    const { agent, catalog, clock, events } = setUp();
    await agent.start();
    await clock.advance(0);

    catalog.away = true;
    const drained = agent.drain();
    await clock.advance(1_000);
    await drained;
    await agent.stop();

    expect(catalog.calls).toEqual(['register', 'drain', 'beat', 'deregister']);
    expect(events().at(-1)).toBe('agent.left');
  });

  it('does not wait when it was never registered', async () => {
    const { agent, catalog, clock } = setUp();
    catalog.away = true;
    await agent.start();
    await clock.advance(0);

    await agent.drain();
    await agent.stop();

    expect(catalog.calls).toEqual(['register', 'deregister']);
  });

  it('leaves no ghost behind when it is stopped while it registers', async () => {
    let land: () => void = () => undefined;
    const { agent, catalog, clock } = setUp();
    const registrar = { ...catalog.registrar };
    Object.assign(catalog.registrar, {
      register: async (signal: AbortSignal) => {
        await new Promise<void>((resolve) => {
          land = resolve;
        });
        return registrar.register(signal);
      },
    });
    await agent.start();
    await clock.advance(0);

    const drained = agent.drain();
    await clock.advance(500);
    land();
    await clock.advance(2_000);
    await drained;
    await agent.stop();

    expect(catalog.calls).toEqual(['register', 'drain', 'beat', 'deregister']);
    expect(catalog.known).toBe(false);
  });

  it('gives a call up at its deadline', async () => {
    const { agent, catalog, clock } = setUp({ callDeadlineMs: 20 });
    Object.assign(catalog.registrar, { register: () => new Promise(() => undefined) });

    await agent.start();

    await eventually(() => agent.state().problem === 'registration of shop/a did not end within 20 ms');
    await clock.advance(0);
    await agent.stop();
  });

  it('notes how late it beat and beats at once', async () => {
    const { agent, catalog, clock, events } = setUp({
      clock: {
        ...manualClock(),
        monotonicMs: () => clock.monotonicMs() + stallMs,
        sleep: (...args) => clock.sleep(...args),
      },
    });
    let stallMs = 0;
    await agent.start();
    await clock.advance(999);

    stallMs = 1_500;
    await clock.advance(1);

    expect(catalog.calls).toEqual(['register', 'beat']);
    expect(agent.state()).toMatchObject({ lagMs: 1_500, worstLagMs: 1_500 });
    expect(events()).toContain('agent.stalled');
    await agent.stop();
  });

  describe('with a liveness connection', () => {
    function link() {
      const calls: string[] = [];
      const state = {
        calls,
        open: true,
        breaks: false,
        loads: [] as unknown[],
        news: undefined as LivenessNews | undefined,
      };
      const liveness: LivenessLink = {
        start: (news) => {
          state.news = news;
        },
        open: () => state.open,
        beat: async (load) => {
          calls.push('live beat');
          state.loads.push(load);
          if (state.breaks) throw new Error('the liveness connection ended');
          return 'known';
        },
        drop: () => undefined,
        leave: async () => void calls.push('bye'),
        stop: async () => undefined,
      };
      return { state, liveness };
    }

    it('beats over it, with the load, and in the other way when it is not open or breaks', async () => {
      const { state, liveness } = link();
      const { agent, catalog, clock } = setUp({ liveness, load: () => ({ inflight: 2 }) });
      await agent.start();
      await clock.advance(1_000);
      expect([state.calls, state.loads, catalog.calls]).toEqual([['live beat'], [{ inflight: 2 }], ['register']]);

      state.breaks = true;
      await clock.advance(1_000);
      expect(catalog.calls).toEqual(['register', 'beat']);
      state.open = false;
      await clock.advance(1_000);

      expect(catalog.calls).toEqual(['register', 'beat', 'beat']);
      expect(state.calls).toHaveLength(2);
      expect(agent.state()).toMatchObject({ beats: 3, problem: null });
      await agent.stop();
    });

    it('tells the role, beats at once when it is suspected, and registers at once when the catalog has forgotten it', async () => {
      const { state, liveness } = link();
      const roles: unknown[] = [];
      const { agent, catalog, clock } = setUp({ liveness, onRole: (held) => roles.push(held) });
      await agent.start();
      await clock.advance(100);

      state.news?.role({ role: 'active', fencingToken: 7 });
      expect(roles).toEqual([{ role: 'active', fencingToken: 7 }]);
      state.news?.beatNow('suspected: silence');
      await clock.advance(0);
      expect(state.calls).toEqual(['live beat']);
      state.news?.unknown();
      await clock.advance(0);

      expect(catalog.calls).toEqual(['register', 'register']);
      expect(agent.state()).toMatchObject({ phase: 'BEATING', registrations: 2 });
      await agent.stop();
    });

    it('says goodbye before it leaves the catalog', async () => {
      const { state, liveness } = link();
      const { agent, catalog, clock } = setUp({ liveness, drainDelayMs: 0, drainDeadlineMs: 0 });
      await agent.start();
      await clock.advance(0);
      const left = agent.drain();
      await clock.advance(10);
      await left;

      expect(state.calls).toEqual(['bye']);
      expect(catalog.calls.at(-1)).toBe('deregister');
      await agent.stop();
    });
  });

  it('beats at once after it was stopped in the middle of a beat', async () => {
    const { agent, catalog, clock } = setUp({ callDeadlineMs: 20 });
    let hangs = true;
    const { beat } = catalog.registrar;
    Object.assign(catalog.registrar, {
      beat: (signal: AbortSignal) => (hangs ? new Promise(() => undefined) : beat(signal)),
    });
    await agent.start();
    await clock.advance(0);

    // the clock of the process goes on while its beat hangs: it was not running
    await clock.advance(1_000);
    await clock.advance(10_000);
    hangs = false;

    await eventually(async () => {
      await clock.advance(0);
      return catalog.calls.includes('beat');
    });
    await agent.stop();
  });
});
