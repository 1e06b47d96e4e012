import { redisFailoverSchema, type RedisFailover } from '@switchyard/protocol';
import * as fc from 'fast-check';
import { settleMs, step, type FollowerInput } from './failover-follower.ts';
import { followerState, mostEvidence, type FollowerState } from './failover-state.ts';
import { parseSentinelEvent } from './sentinel-parser.ts';
import type { NodeSighting, Sighting } from './sighting.ts';

const host = '127.0.0.1';
const ports = [4731, 4732, 4733] as const;

/** A quiet group: this port is primary by the majority and by itself, the others follow. */
const quiet = (primary: number, epoch: number): Sighting => ({
  named: { host, port: primary },
  epoch,
  nodes: ports.map((port) => ({
    name: `r${String(port - 4730)}`,
    host,
    port,
    seen: true,
    seenAtMs: null,
    failure: null,
    role: port === primary ? 'primary' : 'replica',
    offset: 100,
    lineage: `L${String(epoch)}`,
    previousLineage: null,
    sharedOffset: null,
    follows: port === primary ? null : { host, port: primary },
    link: port === primary ? null : 'up',
  })),
});

interface Run {
  state: FollowerState;
  nowMs: number;
  entries: RedisFailover[];
}
const feed = (run: Run, input: FollowerInput, afterMs: number): void => {
  run.nowMs += afterMs;
  const result = step(run.state, input, run.nowMs);
  run.state = result.state;
  if (result.finished !== undefined) run.entries.push(result.finished);
};
const sighting = (of: Sighting): FollowerInput => ({ type: 'sighting', sighting: of });
const start = (known: FollowerState['known'] = null): Run => ({
  state: followerState('main', known),
  nowMs: 1_000,
  entries: [],
});
const event = (channel: string, message: string): FollowerInput => ({
  type: 'event',
  sentinel: 's1',
  event: parseSentinelEvent(channel, message),
});

describe('the follower', () => {
  describe('of a promotion that is written to before anybody names it', () => {
    const ack = (port: number): FollowerInput => ({ type: 'probe', at: { host, port }, outcome: 'acked', detail: '' });
    const master = `master main ${host} 4731`;
    /** The primary is gone; the replica at `selected` was promoted and takes writes. */
    const promoted = (selected: number): Run => {
      const run = start();
      feed(run, sighting(quiet(4731, 4)), 0);
      feed(run, ack(4731), 100);
      feed(run, event('+sdown', master), 1_000);
      feed(run, event('+elected-leader', master), 100);
      feed(run, event('+selected-slave', `slave x ${host} ${String(selected)} @ main ${host} 4731`), 50);
      const nodes = quiet(selected, 4).nodes.filter(({ port }) => port !== 4731);
      feed(run, sighting({ named: { host, port: 4731 }, epoch: 4, nodes }), 100);
      feed(run, ack(selected), 50);
      return run;
    };

    it('counts the time without writes until then', () => {
      const run = promoted(4732);
      feed(run, sighting(quiet(4732, 5)), 900);
      feed(run, ack(4732), 50);
      expect(run.entries).toMatchObject([{ to: { port: 4732 }, writesUnavailableMs: 1_300 }]);
      const at = (name: string) => run.entries[0]?.phases.find((phase) => phase.name === name)?.atMs ?? -1;
      expect(at('first-write')).toBeLessThan(at('switched'));
    });

    it('counts on when another one is named in the end', () => {
      const run = promoted(4732);
      feed(run, sighting(quiet(4733, 5)), 900);
      expect(run.entries).toEqual([]);
      feed(run, ack(4733), 50);
      expect(run.entries).toMatchObject([{ to: { port: 4733 }, writesUnavailableMs: 2_250 }]);
    });

    it('counts on when the failover is aborted and tried again', () => {
      const run = promoted(4732);
      feed(run, event('-failover-abort-slave-timeout', master), 900);
      feed(run, sighting(quiet(4733, 6)), 1_000);
      feed(run, ack(4733), 50);
      expect(run.entries).toMatchObject([{ to: { port: 4733 }, writesUnavailableMs: 3_250 }]);
    });
  });

  it('takes what the journal knew as its past: a failover during its absence becomes an entry', () => {
    const run = start({ epoch: 4, primary: { name: 'r1', host, port: 4731 } });
    feed(run, sighting(quiet(4732, 5)), 10);
    feed(run, { type: 'probe', at: { host, port: 4732 }, outcome: 'acked', detail: '' }, 10);
    expect(run.entries).toMatchObject([
      { id: 'main-5', kind: 'failover', from: { name: 'r1' }, to: { name: 'r2' }, dataLoss: { verdict: 'unknown' } },
    ]);
  });

  it('makes no entry of the first thing that it sees', () => {
    const run = start();
    feed(run, sighting(quiet(4732, 5)), 10);
    feed(run, sighting(quiet(4732, 5)), settleMs + 1);
    expect(run.entries).toEqual([]);
  });

  it('waits no longer than its patience for a first write that never comes', () => {
    const run = start();
    feed(run, sighting(quiet(4731, 1)), 0);
    feed(run, sighting(quiet(4732, 2)), 100);
    feed(run, sighting(quiet(4732, 2)), settleMs - 1);
    expect(run.entries).toEqual([]);
    feed(run, sighting(quiet(4732, 2)), 1);
    expect(run.entries).toMatchObject([{ id: 'main-2', writesUnavailableMs: null }]);
    expect(run.entries[0]?.evidence.at(-1)).toContain('first-write');
  });

  it('keeps one entry for an epoch when restarted Sentinels name the old primary for a while', () => {
    const run = start();
    for (const [port, epoch] of [
      [4731, 1],
      [4732, 2],
      [4731, 1],
      [4732, 2],
      [4732, 2],
    ] as const) {
      feed(run, sighting(quiet(port, epoch)), settleMs);
    }
    expect(run.entries.map(({ id }) => id)).toEqual(['main-2']);
  });

  it('accepts an earlier epoch that stays, because then the Sentinels were set up anew', () => {
    const run = start();
    feed(run, sighting(quiet(4732, 9)), 0);
    for (let seconds = 0; seconds <= 70; seconds += 1) feed(run, sighting(quiet(4731, 0)), 1_000);
    expect(run.state.known).toMatchObject({ epoch: 0, primary: { name: 'r1' } });
    expect(run.entries).toEqual([]);
  });

  it('forgets what the journal knew when the Sentinels begin anew, so that their next failover counts', () => {
    const run = start({ epoch: 40, primary: { name: 'r1', host, port: 4731 } });
    feed(run, sighting(quiet(4731, 0)), 10);
    feed(run, sighting(quiet(4732, 1)), 10);
    feed(run, sighting(quiet(4732, 1)), settleMs);
    expect(run.entries.map(({ id }) => id)).toEqual(['main-1']);
  });

  it('ignores what Sentinels say about other groups', () => {
    const run = start();
    feed(run, sighting(quiet(4731, 1)), 0);
    feed(run, event('+sdown', `master other ${host} 4731`), 10);
    expect(run.state.attempt).toBeNull();
  });

  it('keeps its evidence within bounds, however long the trouble lasts', () => {
    const run = start();
    feed(run, sighting(quiet(4731, 1)), 0);
    for (let times = 0; times < 5_000; times += 1) {
      feed(run, event('+sdown', `master main ${host} 4731`), 1);
      feed(run, event('+try-failover', `master main ${host} 4731`), 1);
    }
    feed(run, sighting(quiet(4732, 2)), 10);
    feed(run, { type: 'probe', at: { host, port: 4732 }, outcome: 'acked', detail: '' }, 10);
    expect(run.entries).toHaveLength(1);
    expect(run.entries[0]?.evidence.length).toBeLessThanOrEqual(mostEvidence + 2);
  });
});

describe('whatever happens, the follower', () => {
  const port = fc.constantFrom(...ports);
  const offset = fc.option(fc.integer({ min: 0, max: 1_000_000 }));
  const lineage = fc.option(fc.constantFrom('L1', 'L2', 'L3'));
  const node = (at: number): fc.Arbitrary<NodeSighting> =>
    fc.record({
      name: fc.constant(`r${String(at - 4730)}`),
      host: fc.constant(host),
      port: fc.constant(at),
      seen: fc.boolean(),
      seenAtMs: fc.option(fc.integer({ min: 0, max: 60_000 })),
      failure: fc.option(fc.string()),
      role: fc.constantFrom('primary' as const, 'replica' as const, null),
      offset,
      lineage,
      previousLineage: lineage,
      sharedOffset: offset,
      follows: fc.option(port.map((to) => ({ host, port: to }))),
      link: fc.constantFrom('up' as const, 'down' as const, null),
    });
  // An epoch has one primary: that much Sentinel's election guarantees.
  const seen = fc
    .tuple(fc.option(fc.integer({ min: 0, max: 12 })), ...ports.map(node))
    .map(([epoch, ...nodes]): FollowerInput => {
      const primary = epoch === null ? null : (ports[epoch % ports.length] ?? 4731);
      return sighting({ named: primary === null ? null : { host, port: primary }, epoch, nodes });
    });
  const channels =
    '+sdown -sdown +odown -odown +try-failover +elected-leader +selected-slave +promoted-slave +switch-master ' +
    '-failover-abort-no-good-slave +failover-end +reboot +tilt +nonsense';
  const said = fc
    .tuple(fc.constantFrom(...channels.split(' ')), port, port)
    .map(([channel, one, other]): FollowerInput => {
      if (channel === '+switch-master') return event(channel, `main ${host} ${String(one)} ${host} ${String(other)}`);
      return channel.includes('slave')
        ? event(channel, `slave ${host}:${String(one)} ${host} ${String(one)} @ main ${host} ${String(other)}`)
        : event(channel, `master main ${host} ${String(one)}`);
    });
  const wrote = fc
    .tuple(port, fc.constantFrom('acked' as const, 'gone' as const, 'silent' as const, 'refused' as const), fc.string())
    .map(([at, outcome, detail]): FollowerInput => ({ type: 'probe', at: { host, port: at }, outcome, detail }));
  const steps = fc.array(fc.tuple(fc.oneof(seen, said, wrote), fc.integer({ min: 0, max: 900 })), { maxLength: 60 });

  it('never throws, gives entries that the contract knows, and one for each later epoch that it saw', () => {
    fc.assert(
      fc.property(steps, (inputs) => {
        const run = start();
        const later: number[] = [];
        let highest: number | null = null;
        for (const [input, afterMs] of inputs) {
          const epoch = input.type === 'sighting' ? input.sighting.epoch : null;
          if (epoch !== null && (highest === null || epoch > highest)) {
            if (highest !== null) later.push(epoch);
            highest = epoch;
          }
          feed(run, input, afterMs);
        }
        // The end is quiet: what is under way settles.
        for (let times = 0; times < 3; times += 1) {
          if (highest !== null) feed(run, sighting(quiet(ports[highest % ports.length] ?? 4731, highest)), settleMs);
        }
        for (const entry of run.entries) redisFailoverSchema.parse(entry);
        const told = run.entries.map(({ epoch }) => epoch);
        // The first epoch is told only when its failover was seen to begin before anything else was known.
        expect(told.slice(told.length - later.length)).toEqual(later);
        expect(told.length - later.length).toBeLessThanOrEqual(1);
        expect(new Set(run.entries.map(({ id }) => id)).size).toBe(run.entries.length);
      }),
      { numRuns: 500 },
    );
  });

  it('has phases that are never negative and in the order of their times', () => {
    fc.assert(
      fc.property(steps, (inputs) => {
        const run = start();
        for (const [input, afterMs] of inputs) feed(run, input, afterMs);
        for (const { phases } of run.entries) {
          const times = phases.map(({ atMs }) => atMs);
          expect(times).toEqual([...times].sort((a, b) => a - b));
          expect(times.every((ms) => ms >= 0)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});
