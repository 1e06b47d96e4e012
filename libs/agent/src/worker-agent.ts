// How does an app get its agent onto a thread of its own, and what when that cannot be? Same face as an agent on the app's thread,
// which takes over, loudly, when the worker cannot start or dies.
import { Worker } from 'node:worker_threads';
import { OWN_DRAIN_REASON, parseDurationMs } from '@switchyard/protocol';
import type { InstanceInput, LoadReport } from '@switchyard/protocol';
import { withDeadline } from '@switchyard/runtime';
import type { Clock, Health, Logger } from '@switchyard/runtime';
import { createAgent } from './agent.ts';
import type { Agent, AgentState } from './agent.ts';
import { createHttpRegistrar } from './http-registrar.ts';
import { createLivenessLink } from './liveness-link.ts';
import type { HeldRole } from './liveness-link.ts';
import { inTurn } from './registrar.ts';
import type { Registrar } from './registrar.ts';
import { shared, tickMs } from './worker-messages.ts';
import type {
  FallbackAnswer,
  FallbackCall,
  FallbackValue,
  FromWorker,
  ToWorker,
  WorkerAgentData,
} from './worker-messages.ts';

export interface WorkerAgentOptions {
  readonly registryUrls: readonly string[];
  readonly service: string;
  readonly id: string;
  /** What to register; its `ttl` says how often to beat. */
  readonly input: InstanceInput;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Gets the check `registration`, as an agent gives it. */
  readonly health?: Pick<Health, 'set'>;
  /** A second way to the catalog on the app's thread, for when no registry can be reached. */
  readonly fallback?: Registrar;
  /** Asked ten times a second: how busy the app is. The lag of its event loop is measured here. */
  readonly load?: () => Pick<LoadReport, 'inflight' | 'utilization'>;
  readonly onRole?: (held: HeldRole) => void;
  readonly onUnknown?: () => void;
  /** The event loop was late by so many ms, and runs again: requests have waited for as long. */
  readonly onBusy?: (lagMs: number) => void;
  /** Ms that the event loop may stand still before the instance counts as hung and gives no sign of life any more; 30000. */
  readonly busyLimitMs?: number;
  readonly drainDelayMs?: number;
  readonly drainDeadlineMs?: number;
  readonly callDeadlineMs?: number;
  /** The worker's file, for bundlers that move it; the one beside this file unless given. */
  readonly workerUrl?: URL;
}

/** A machine that is busy starts threads late; there is nothing that the app's thread could do better then. */
const startMs = 15_000;
const stopMs = 1_000;
const leaveMs = 1_500;
const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
const idle: AgentState = {
  phase: 'IDLE',
  registrations: 0,
  beats: 0,
  lastBeatAgoMs: null,
  lagMs: 0,
  worstLagMs: 0,
  problem: null,
};

/** An agent that beats from a worker thread. The thread keeps no process alive; `stop` ends it. */
export const createWorkerAgent = (options: WorkerAgentOptions): Agent => {
  const { registryUrls, service, id, input, clock, logger, health, fallback, busyLimitMs = 30_000 } = options;
  const ttlMs = parseDurationMs(input.ttl) ?? 3_000;
  const timings = {
    ...(options.drainDelayMs === undefined ? {} : { drainDelayMs: options.drainDelayMs }),
    ...(options.drainDeadlineMs === undefined ? {} : { drainDeadlineMs: options.drainDeadlineMs }),
    ...(options.callDeadlineMs === undefined ? {} : { callDeadlineMs: options.callDeadlineMs }),
  };
  const overHttp = createHttpRegistrar({ registryUrls, service, id, input });
  const registrar = fallback ? inTurn(overHttp, fallback) : overHttp;
  const buffer = new SharedArrayBuffer(shared.bytes);
  const memory = new Int32Array(buffer);
  const target = `${service}/${id}`;
  let worker: Worker | undefined;
  /** On this thread, in place of the worker. */
  let local: Agent | undefined;
  let ticks: NodeJS.Timeout | undefined;
  let startTimer: NodeJS.Timeout | undefined;
  let told = idle;
  let toldAtMs = 0;
  let lagMs = 0;
  let worstLagMs = 0;
  let stopping = false;
  let leaving: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  const post = (message: ToWorker): void => worker?.postMessage(message);
  const tick = (): void => {
    Atomics.add(memory, shared.tick, 1);
    const load = options.load?.();
    Atomics.store(memory, shared.inflight, Math.round(load?.inflight ?? 0));
    Atomics.store(
      memory,
      shared.utilization,
      load?.utilization === undefined ? -1 : Math.round(load.utilization * 1_000),
    );
  };
  const fallBack = (reason: string): void => {
    if (local || stopping) return;
    logger.warn({ target, reason, next: 'a busy event loop may cost this instance its traffic' }, 'agent.worker_lost');
    clearTimeout(startTimer);
    const lost = worker;
    worker = undefined;
    void lost?.terminate();
    const optional = {
      ...(health && { health }),
      ...(options.load && { load: options.load }),
      ...(options.onRole && { onRole: options.onRole }),
      ...(options.onUnknown && { onUnknown: options.onUnknown }),
    };
    const liveness = createLivenessLink({ registryUrls, service, id, clock, logger });
    local = createAgent({ service, id, registrar, liveness, clock, logger, ttlMs, ...timings, ...optional });
    void local.start();
    if (leaving) void local.drain().finally(leaving.resolve);
  };

  const serve = async (what: FallbackCall, signal: AbortSignal): Promise<FallbackValue> => {
    if (!fallback) throw new Error('there is no other way');
    switch (what.method) {
      case 'register':
        return await fallback.register(signal);
      case 'beat':
        return await fallback.beat(signal, what.load);
      case 'drained':
        if (!fallback.drained) throw new Error('this way does not tell who has let go');
        return await fallback.drained(signal);
      case 'drain':
      case 'deregister':
        return await fallback[what.method](what.reason, signal);
    }
  };
  const answer = async (what: FallbackCall): Promise<FallbackAnswer> => {
    try {
      const deadlineMs = options.callDeadlineMs ?? 2_000;
      const value = await withDeadline((signal) => serve(what, signal), deadlineMs, `${what.method} of ${target}`);
      return { ok: true, value };
    } catch (error) {
      return { ok: false, fault: error instanceof Error ? error.message : String(error) };
    }
  };
  const log = (line: string): void => {
    const { level, msg, service: _service, time: _time, ...fields } = JSON.parse(line) as Record<string, unknown>;
    const known = levels.find((one) => one === level) ?? 'info';
    logger[known](fields, String(msg));
  };
  const take = (message: FromWorker): void => {
    switch (message.type) {
      case 'state':
        told = message.state;
        toldAtMs = clock.monotonicMs();
        return;
      case 'health':
        health?.set('registration', { ok: message.ok, critical: false, detail: message.detail });
        return;
      case 'log':
        return log(message.line);
      case 'role':
        return options.onRole?.(message.held);
      case 'unknown':
        return options.onUnknown?.();
      case 'busy':
        ({ lagMs } = message);
        worstLagMs = Math.max(worstLagMs, lagMs);
        logger.warn({ target, lagMs }, 'agent.app_busy');
        return options.onBusy?.(lagMs);
      case 'ask':
        void answer(message.what).then((given) => post({ type: 'answer', call: message.call, answer: given }));
        return;
      case 'drained':
        leaving?.resolve();
    }
  };

  const startWorker = (): void => {
    const workerData: WorkerAgentData = {
      memory: buffer,
      registryUrls,
      service,
      id,
      input,
      ttlMs,
      busyLimitMs,
      timings,
      hasFallback: fallback !== undefined,
      hasHealth: health !== undefined,
      logLevel: logger.level,
    };
    const started = new Worker(options.workerUrl ?? new URL('./agent-worker.ts', import.meta.url), {
      workerData,
      name: 'switchyard-agent',
      // what the app's own flags load is of no use there
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 64 },
    });
    worker = started;
    started.on('message', (message: FromWorker) => {
      if (worker === started) take(message);
    });
    started.on('error', (error) => fallBack(error.message));
    started.on('exit', (code) => {
      if (worker === started) fallBack(`it ended with code ${code}`);
    });
    started.unref();
    // asked in shared memory: a message would wait behind whatever keeps this thread busy at its start
    startTimer = setTimeout(() => {
      if (Atomics.load(memory, shared.ready) === 0) fallBack(`it did not start within ${startMs} ms`);
    }, startMs).unref();
  };

  const agent: Agent = {
    name: 'agent',
    stopDeadlineMs:
      (options.callDeadlineMs ?? 2_000) +
      Math.max(options.drainDelayMs ?? 1_000, options.drainDeadlineMs ?? 3_500) +
      3_500,
    start: () => {
      if (ticks) return Promise.resolve();
      health?.set('registration', { ok: false, critical: false, detail: 'registering' });
      ticks = setInterval(tick, tickMs).unref();
      tick();
      try {
        startWorker();
      } catch (error) {
        fallBack(error instanceof Error ? error.message : String(error));
      }
      return Promise.resolve();
    },
    drain: async () => {
      if (!ticks || leaving) return leaving?.promise;
      const { promise, resolve } = Promise.withResolvers<void>();
      leaving = { promise, resolve };
      if (local) void local.drain().finally(resolve);
      else {
        worker?.ref();
        post({ type: 'drain' });
      }
      try {
        await withDeadline(promise, agent.stopDeadlineMs ?? stopMs, `the leaving of ${target}`);
      } catch (error) {
        logger.warn({ target, err: error }, 'agent.worker_silent');
        const out = withDeadline((signal) => registrar.deregister(OWN_DRAIN_REASON, signal), leaveMs, 'deregistration');
        await out.catch(() => undefined);
      }
    },
    stop: async () => {
      if (stopping) return;
      stopping = true;
      clearInterval(ticks);
      clearTimeout(startTimer);
      const ending = worker;
      if (ending) {
        const ended = new Promise<void>((resolve) => ending.once('exit', () => resolve()));
        post({ type: 'stop' });
        ending.ref();
        await withDeadline(ended, stopMs, 'the end of the worker').catch(() => ending.terminate());
      }
      await local?.stop();
    },
    wake: () => local?.wake(),
    state: () => {
      if (local) return local.state();
      const { lastBeatAgoMs } = told;
      const sinceMs = Math.round(clock.monotonicMs() - toldAtMs);
      return { ...told, lastBeatAgoMs: lastBeatAgoMs === null ? null : lastBeatAgoMs + sinceMs, lagMs, worstLagMs };
    },
  };
  return agent;
};
