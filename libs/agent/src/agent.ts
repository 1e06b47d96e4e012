// How does an instance get into the catalog, stay there while it lives, and leave without losing a request?
//
//   IDLE --start--> REGISTERING --registered--> BEATING --drain--> DRAINING --deregistered--> LEFT
//                        ^------- unknown ---------'
//
// DRAINING waits until every live dispatcher has said that it does not pick the instance any more and has nothing under way
// there (let-go.ts); where nobody can be asked, for a fixed time.
//
// REGISTERING repeats for ever with back-off, and never keeps the instance from serving. A beat that fails changes nothing:
// the deadline in Redis decides, and whoever doubts asks the instance itself.
import { OWN_DRAIN_REASON } from '@switchyard/protocol';
import type { LoadReport, Result } from '@switchyard/protocol';
import { backoff, withDeadline } from '@switchyard/runtime';
import type { Clock, Component, Health, Logger } from '@switchyard/runtime';
import { waitUntilLetGo } from './let-go.ts';
import type { HeldRole, LivenessLink } from './liveness-link.ts';
import type { Registrar } from './registrar.ts';

export interface AgentOptions {
  readonly service: string;
  readonly id: string;
  readonly registrar: Registrar;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ms of silence after which the instance is suspected, as registered. */
  readonly ttlMs: number;
  /** Carries the beats while it is open; the registrar's otherwise. */
  readonly liveness?: LivenessLink;
  /** Asked at each beat: how busy the instance is. */
  readonly load?: () => LoadReport | undefined;
  /** What the instance is now in an active/standby service; told over `liveness` at each change and each new connection. */
  readonly onRole?: (held: HeldRole) => void;
  /** Ms between two beats, at least 100; a third of `ttlMs`, so that two may be lost. */
  readonly beatEveryMs?: number;
  /**
   * Ms between the announcement and the deregistration when it cannot be learned who has let go; 1000. Upgraded connections are
   * not waited for any longer.
   */
  readonly drainDelayMs?: number;
  /**
   * Ms that dispatchers get to finish what they have under way here; 3500, which fits into the 9 s that a service has to stop.
   * Work that takes longer is finished after the deregistration, if the listener waits for it.
   */
  readonly drainDeadlineMs?: number;
  /** Ms that one call to the registrar may take; 2000. */
  readonly callDeadlineMs?: number;
  /** Gets (and logs) the check `registration`, which does not make the service unready: it serves all the same. */
  readonly health?: Pick<Health, 'set'>;
  /** A reason to give no sign of life now; undefined to go on. */
  readonly silence?: () => string | undefined;
  /** The catalog had forgotten the instance; it registers again. */
  readonly onUnknown?: () => void;
  /** 0..1 (exclusive), Math.random unless given. */
  readonly random?: () => number;
}

export type AgentPhase = 'IDLE' | 'REGISTERING' | 'BEATING' | 'DRAINING' | 'LEFT';

/** What an agent knows about itself, for /readyz?verbose and for tests. */
export interface AgentState {
  readonly phase: AgentPhase;
  /** How often it registered: above 1, the catalog had forgotten it. */
  readonly registrations: number;
  readonly beats: number;
  /** Ms since the last beat that was known; null before the first one. */
  readonly lastBeatAgoMs: number | null;
  /** Ms by which the latest beat left too late, because the event loop was busy or the process was stopped. */
  readonly lagMs: number;
  readonly worstLagMs: number;
  /** Why the last call failed; null while all is well. */
  readonly problem: string | null;
}

export interface Agent extends Component {
  state(): AgentState;
  start(): Promise<void>;
  drain(): Promise<void>;
  stop(): Promise<void>;
  /** Beats now, in place of when the next one is due: the process was stopped for a while, say. */
  wake(): void;
}

const shortestBeatMs = 100;
const firstRetryMs = 100;
const longestRetryMs = 5_000;
/** Announcement and deregistration share the stop of the whole process, so they get less than other calls. */
const leaveDeadlineMs = 1_500;
/** Each wait is shortened at random by up to this part, so that agents that started together spread. */
const jitterRatio = 0.1;

/**
 * An agent. `start` returns at once; `drain` announces, keeps beating until it is let go, deregisters; `stop` ends the loop.
 * Give the listener no `drain` of its own: all parts drain at the same time, and it has to accept until the agent has left.
 */
export const createAgent = (options: AgentOptions): Agent => {
  const { service, id, registrar, liveness, clock, logger, ttlMs, health, random = Math.random } = options;
  const beatEveryMs = Math.max(shortestBeatMs, options.beatEveryMs ?? ttlMs / 3);
  const { drainDelayMs = 1_000, callDeadlineMs = 2_000 } = options;
  const drainDeadlineMs = Math.max(drainDelayMs, options.drainDeadlineMs ?? 3_500);
  const target = `${service}/${id}`;
  const retry = backoff({ baseMs: firstRetryMs, maxMs: longestRetryMs, random });
  const stopped = new AbortController();
  let phase: AgentPhase = 'IDLE';
  let registrations = 0;
  let beats = 0;
  let lastBeatMs: number | null = null;
  let lagMs = 0;
  let worstLagMs = 0;
  let problem: string | null = null;
  let nap = new AbortController();
  let woken = false;
  let loop: Promise<void> | undefined;
  /** The registration under way or the latest one. */
  let attempt: Promise<boolean> | undefined;

  const tell = (next: string | null): void => {
    const changed = next !== problem;
    problem = next;
    const ok = problem === null && (phase === 'BEATING' || phase === 'DRAINING');
    const detail = problem ?? (phase === 'BEATING' ? `registered as ${target}` : phase.toLowerCase());
    // Health logs its own changes; without it, one line when it begins to fail or fails otherwise, one when it is over.
    if (health) health.set('registration', { ok, critical: false, detail });
    else if (changed && problem !== null) logger.warn({ target, phase, fault: problem }, 'agent.failing');
    else if (changed) logger.info({ target, phase }, 'agent.recovered');
  };

  const call = async <T>(
    what: string,
    ms: number,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> => {
    try {
      return await withDeadline(work, ms, { what: `${what} of ${target}`, signal: stopped.signal });
    } catch (error) {
      if (!stopped.signal.aborted) tell(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
  const accepted = (outcome: Result<unknown> | undefined): boolean => {
    if (outcome?.ok === false) tell(`refused: ${[outcome.error.detail, ...(outcome.error.why ?? [])].join('; ')}`);
    return outcome?.ok === true;
  };

  const register = async (): Promise<boolean> => {
    if (!accepted(await call('registration', callDeadlineMs, (signal) => registrar.register(signal)))) return false;
    registrations += 1;
    retry.reset();
    lastBeatMs = clock.monotonicMs();
    // it is a sign of life, as good as the beat that somebody wanted
    woken = false;
    // A drain that began in the meantime goes on; it deregisters afterwards.
    if (phase === 'REGISTERING') phase = 'BEATING';
    tell(null);
    logger.info({ target, registrations }, 'agent.registered');
    liveness?.start({ beatNow: wake, unknown: forgotten, role: (held) => options.onRole?.(held) });
    return true;
  };

  const wake = (): void => {
    woken = true;
    nap.abort();
  };
  const forgotten = (): void => {
    if (phase !== 'BEATING') return;
    phase = 'REGISTERING';
    logger.warn({ target }, 'agent.unknown');
    options.onUnknown?.();
    wake();
  };
  const beatBy = async (signal: AbortSignal): Promise<'known' | 'unknown'> => {
    const load = options.load?.();
    try {
      if (liveness?.open() === true) return await liveness.beat(load);
    } catch {
      // it broke, or Redis is away: the other way tells what is the matter
      signal.throwIfAborted();
    }
    return await registrar.beat(signal, load);
  };
  const beat = async (): Promise<void> => {
    const startedMs = clock.monotonicMs();
    const outcome = await call('heartbeat', callDeadlineMs, beatBy);
    if (outcome === undefined) {
      // not the call took so long: the process did not run, and its deadline may pass any moment
      if (clock.monotonicMs() - startedMs > callDeadlineMs + beatEveryMs) woken = true;
    } else if (outcome === 'known') {
      beats += 1;
      lastBeatMs = clock.monotonicMs();
      tell(null);
    } else forgotten();
  };

  /** Waits and notes how late it woke; false when the agent stops. */
  const rest = async (ms: number, until: AbortSignal = stopped.signal): Promise<boolean> => {
    const dueMs = clock.monotonicMs() + ms;
    try {
      await clock.sleep(ms, until);
    } catch (error) {
      if (stopped.signal.aborted) return false;
      if (until.aborted) return true;
      throw error;
    }
    lagMs = Math.max(0, Math.round(clock.monotonicMs() - dueMs));
    worstLagMs = Math.max(worstLagMs, lagMs);
    if (lagMs >= beatEveryMs) logger.warn({ target, lagMs, ttlMs }, 'agent.stalled');
    return true;
  };

  /** As `rest`, but over at once when somebody calls `wake`, or has called it since the last time. */
  const nod = async (ms: number): Promise<boolean> => {
    if (!woken) {
      nap = new AbortController();
      if (!(await rest(ms, AbortSignal.any([nap.signal, stopped.signal])))) return false;
    }
    woken = false;
    return true;
  };
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const reason = options.silence?.();
      if (reason !== undefined) {
        tell(reason);
        if (!(await nod(beatEveryMs))) return;
      } else if (phase === 'REGISTERING') {
        attempt = register();
        if (!(await attempt) && !(await nod(retry.next()))) return;
      } else if (await nod(beatEveryMs * (1 - jitterRatio * random()))) {
        await beat();
      }
    }
  };

  const leave = async (): Promise<void> => {
    phase = 'DRAINING';
    const endMs = clock.monotonicMs() + drainDeadlineMs;
    let letGo = 'was not registered';
    // A registration that lands after the deregistration would leave a ghost behind.
    await attempt;
    const reason = OWN_DRAIN_REASON;
    if (registrations > 0) {
      logger.info({ target, drainDelayMs, drainDeadlineMs }, 'agent.draining');
      const heard = accepted(await call('drain', leaveDeadlineMs, (signal) => registrar.drain(reason, signal)));
      const { drained } = registrar;
      // nobody lets go of an instance that nobody knows to be draining
      const look = heard && drained ? (signal: AbortSignal) => drained(signal) : undefined;
      letGo = await waitUntilLetGo({ look, rest, delayMs: drainDelayMs, endMs, clock, signal: stopped.signal });
    }
    await liveness?.leave();
    // Also when no registration was confirmed: one whose answer was lost may be in the catalog.
    const left = accepted(
      await call('deregistration', leaveDeadlineMs, (signal) => registrar.deregister(reason, signal)),
    );
    logger.info({ target, left, letGo }, 'agent.left');
  };

  return {
    name: 'agent',
    stopDeadlineMs: callDeadlineMs + drainDeadlineMs + 2 * leaveDeadlineMs,
    start: () => {
      if (!loop) {
        phase = 'REGISTERING';
        loop = run();
      }
      return Promise.resolve();
    },
    drain: async () => {
      if (phase === 'IDLE' || phase === 'DRAINING' || phase === 'LEFT') return;
      await leave();
      // A beat after this would only be told "unknown".
      phase = 'LEFT';
      stopped.abort(new Error('the agent has left'));
    },
    stop: async () => {
      stopped.abort(new Error('the agent stops'));
      await liveness?.stop();
      await loop;
    },
    wake,
    state: () => ({
      phase,
      registrations,
      beats,
      lastBeatAgoMs: lastBeatMs === null ? null : Math.round(clock.monotonicMs() - lastBeatMs),
      lagMs,
      worstLagMs,
      problem,
    }),
  };
};
