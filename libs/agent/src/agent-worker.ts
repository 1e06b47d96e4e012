// How does an app whose event loop is busy stay in the catalog? Its agent runs here, on a thread of its own. It sees by a counter in
// shared memory whether the app's thread still runs: late is a warning; stuck for long, and this falls silent too, because a process
// that hangs for good is dead.
import { parentPort, workerData } from 'node:worker_threads';
import type { LoadReport } from '@switchyard/protocol';
import { createLogger, logLevels, systemClock } from '@switchyard/runtime';
import { createAgent } from './agent.ts';
import { createHttpRegistrar } from './http-registrar.ts';
import { createLivenessLink } from './liveness-link.ts';
import { inTurn } from './registrar.ts';
import type { Registrar } from './registrar.ts';
import { shared, tickMs } from './worker-messages.ts';
import type { FallbackAnswer, FallbackCall, FromWorker, ToWorker, WorkerAgentData } from './worker-messages.ts';

/** Later than this is told as lag; ticks come when the event loop finds the time. */
const lateMs = 3 * tickMs;
const mostCalls = 64;
/** The same load is said again after so long; one that was said in vain too. */
const repeatMs = 10_000;
/** Of the utilization. */
const smallMove = 0.05;
const defaultCallMs = 2_000;

/** Whether the app's thread runs, as its ticks tell. */
function watchApp(
  memory: Int32Array,
  events: { readonly back: (lagMs: number) => void; readonly stuck: () => void; readonly limitMs: number },
) {
  let tick = Atomics.load(memory, shared.tick);
  let lookedAtMs = performance.now();
  let stillMs = 0;
  let worstMs = 0;
  let hung = false;
  const look = (): void => {
    const nowMs = performance.now();
    // while this thread did not run either, it was not the app's fault: the whole process was stopped
    const sawMs = Math.min(nowMs - lookedAtMs, 2 * tickMs);
    lookedAtMs = nowMs;
    const now = Atomics.load(memory, shared.tick);
    if (now === tick) {
      stillMs += sawMs;
      if (stillMs > events.limitMs && !hung) {
        hung = true;
        events.stuck();
      }
      return;
    }
    tick = now;
    const lagMs = stillMs;
    stillMs = 0;
    hung = false;
    if (lagMs <= lateMs) return;
    worstMs = Math.max(worstMs, lagMs);
    events.back(Math.round(lagMs));
  };
  setInterval(look, tickMs);
  return {
    hungForMs: (): number | undefined => (hung ? stillMs : undefined),
    /** The longest lag since the last call. */
    takeLagMs: (): number => {
      const lagMs = Math.max(worstMs, stillMs > lateMs ? stillMs : 0);
      worstMs = 0;
      return Math.round(lagMs);
    },
  };
}

/** The registrar of the app's thread, asked by messages. While that thread is busy, calls end at their deadline. */
function remoteRegistrar(post: (message: FromWorker) => void) {
  const open = new Map<number, (answer: FallbackAnswer) => void>();
  let calls = 0;
  const ask = <T>(what: FallbackCall, signal: AbortSignal): Promise<T> =>
    new Promise((resolve, reject) => {
      if (open.size >= mostCalls) {
        reject(new Error('the app does not answer'));
        return;
      }
      const call = (calls += 1);
      signal.addEventListener(
        'abort',
        () => {
          open.delete(call);
          reject(signal.reason as Error);
        },
        { once: true },
      );
      open.set(call, (answer) => {
        open.delete(call);
        if (answer.ok) resolve(answer.value as T);
        else reject(new Error(answer.fault));
      });
      post({ type: 'ask', call, what });
    });
  const registrar: Registrar = {
    register: (signal) => ask({ method: 'register' }, signal),
    beat: (signal, load) => ask({ method: 'beat', ...(load && { load }) }, signal),
    drain: (reason, signal) => ask({ method: 'drain', reason }, signal),
    drained: (signal) => ask({ method: 'drained' }, signal),
    deregister: (reason, signal) => ask({ method: 'deregister', reason }, signal),
  };
  return { registrar, answered: (call: number, answer: FallbackAnswer) => open.get(call)?.(answer) };
}

function run(data: WorkerAgentData, port: NonNullable<typeof parentPort>): void {
  const { registryUrls, service, id, input, ttlMs, busyLimitMs, timings } = data;
  const memory = new Int32Array(data.memory);
  const post = (message: FromWorker): void => port.postMessage(message);
  const level = logLevels.find((known) => known === data.logLevel) ?? 'info';
  const logger = createLogger('agent', { level, destination: { write: (line) => post({ type: 'log', line }) } });
  const remote = remoteRegistrar(post);
  // silent registries together must leave time for the second way
  const timeoutMs = Math.ceil((timings.callDeadlineMs ?? defaultCallMs) / (registryUrls.length + 1));
  const overHttp = createHttpRegistrar({ registryUrls, service, id, input, timeoutMs });

  const app = watchApp(memory, {
    limitMs: busyLimitMs,
    stuck: () => {
      logger.error({ busyLimitMs }, 'agent.app_hangs');
      liveness.drop();
    },
    back: (lagMs) => {
      post({ type: 'busy', lagMs });
      agent.wake();
    },
  });
  const liveness = createLivenessLink({
    registryUrls,
    service,
    id,
    clock: systemClock,
    logger,
    quiet: () => app.hungForMs() !== undefined,
  });
  let said: LoadReport = {};
  let saidAtMs = -Infinity;
  /** What has changed since it was said, or was not said for long: most beats carry nothing. */
  const load = (): LoadReport | undefined => {
    const thousandths = Atomics.load(memory, shared.utilization);
    const utilization = thousandths < 0 ? undefined : Math.min(1, thousandths / 1_000);
    const inflight = Math.max(0, Atomics.load(memory, shared.inflight));
    const lagMs = app.takeLagMs();
    const moved = Math.abs((utilization ?? 0) - (said.utilization ?? 0)) > smallMove;
    const nowMs = performance.now();
    if (inflight === said.inflight && lagMs === said.lagMs && !moved && nowMs - saidAtMs < repeatMs) return undefined;
    said = { inflight, ...(utilization !== undefined && { utilization }), lagMs };
    saidAtMs = nowMs;
    return said;
  };
  const agent = createAgent({
    service,
    id,
    registrar: data.hasFallback ? inTurn(overHttp, remote.registrar) : overHttp,
    liveness,
    load,
    silence: () => {
      const hungMs = app.hungForMs();
      return hungMs === undefined ? undefined : `the app has not run for ${Math.round(hungMs / 1_000)} s: no beats`;
    },
    clock: systemClock,
    logger,
    ttlMs,
    ...timings,
    ...(data.hasHealth && {
      health: { set: (_name, { ok, detail }) => post({ type: 'health', ok, detail: detail ?? '' }) },
    }),
    onRole: (held) => post({ type: 'role', held }),
    onUnknown: () => post({ type: 'unknown' }),
  });

  let told = '';
  setInterval(() => {
    const state = agent.state();
    const { phase, registrations, beats, problem } = state;
    const text = JSON.stringify([phase, registrations, beats, problem]);
    if (text === told) return;
    told = text;
    post({ type: 'state', state });
  }, tickMs);
  port.on('message', (message: ToWorker) => {
    if (message.type === 'answer') remote.answered(message.call, message.answer);
    else if (message.type === 'drain') {
      void agent.drain().finally(() => {
        post({ type: 'state', state: agent.state() });
        post({ type: 'drained' });
      });
    } else {
      // the app's thread waits for the end of this one
      void agent.stop().finally(() => process.exit(0));
    }
  });
  void agent.start();
  Atomics.store(memory, shared.ready, 1);
}

if (parentPort) run(workerData as WorkerAgentData, parentPort);
