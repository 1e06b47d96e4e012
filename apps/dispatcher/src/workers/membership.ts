// What is a worker to itself? A dispatcher like any other that hears its supervisor instead of signals, says four times a
// second that it lives, and answers for all workers when somebody asks for metrics, readiness or the story of a request.
import cluster from 'node:cluster';
import { EventEmitter } from 'node:events';
import type { Component, Health, Metrics, RunServiceOptions, ServiceProcess } from '@switchyard/runtime';
import type { RequestLog } from '../request-log.ts';
import { outcomeView, type OutcomeView } from '../request-view.ts';
import type { TableKeeper } from '../table-keeper.ts';
import type { Answer, Question, SupervisorMessage, WorkerMessage, WorkerView } from './messages.ts';

/** Where outcomes of requests are looked up: in one process, or in all workers. */
export interface OutcomeReader {
  find(requestId: string): Promise<OutcomeView | undefined>;
  /** Newest first. */
  latest(limit: number): Promise<readonly OutcomeView[]>;
  readonly capacity: number;
}

/** Those of this process alone; `id` is the dispatcher's. */
export function ownOutcomes(log: RequestLog, id: string): OutcomeReader {
  return {
    capacity: log.capacity,
    find(requestId) {
      const found = log.find(requestId);
      return Promise.resolve(found && outcomeView(found, id));
    },
    latest: (limit) => Promise.resolve(log.latest(limit).map((outcome) => outcomeView(outcome, id))),
  };
}

/** A worker's place among the others. */
export interface Membership {
  /** For runService: signals of a terminal go to all processes at once, but the supervisor alone decides. */
  readonly service: RunServiceOptions;
  /** Ready when any worker is. */
  health(own: Health): Health;
  /** Of all workers. */
  metrics(own: Metrics): Metrics;
  /** Of all workers. */
  outcomes(own: OutcomeReader): OutcomeReader;
  /** Lets listeners start when there is a table, unless no worker has one. */
  gate(keeper: Pick<TableKeeper, 'current'>): Component;
}

const pulseEveryMs = 250;
/** A little longer than the supervisor waits for the others. */
const answerMs = 600;
const farewellMs = 500;
/** The table of an earlier run is old: for so long the one in Redis is waited for. */
const diskTableAfterMs = 2_000;
const lookEveryMs = 20;

/** The place of this process. A worker begins to listen to its supervisor at once; who works alone speaks for itself. */
export function joinWorkers(): Membership {
  return cluster.isWorker ? createMembership(process) : alone;
}

const alone: Membership = Object.freeze({
  service: {},
  health: (own: Health) => own,
  metrics: (own: Metrics) => own,
  outcomes: (own: OutcomeReader) => own,
  gate: () => ({ name: 'first-table' }),
});

function createMembership(host: NodeJS.Process): Membership {
  const signals = new EventEmitter();
  const waiting = new Map<number, (answer: Answer | undefined) => void>();
  let siblings: readonly WorkerView[] = [];
  let leaving = false;
  let heardUnixMs = Date.now();
  let asked = 0;
  let ownHealth: Health | undefined;
  let ownMetrics: Metrics | undefined;
  let outcomes: OutcomeReader | undefined;

  const say = (message: WorkerMessage, then?: () => void): void => {
    if (host.connected) host.send?.(message, undefined, undefined, () => then?.());
    else then?.();
  };
  const answerTo = async (question: Question): Promise<Answer> => {
    if (question.about === 'metrics') return (await ownMetrics?.text()) ?? '';
    if (question.about === 'requests') return (await outcomes?.latest(question.limit)) ?? [];
    const found = await outcomes?.find(question.requestId);
    return found ? [found] : [];
  };
  /** What all say; what this one says when the supervisor does not answer. */
  const askAll = async (question: Question): Promise<Answer> => {
    const own = await answerTo(question);
    if (!host.connected) return own;
    asked += 1;
    const id = asked;
    const answer = await new Promise<Answer | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), answerMs);
      waiting.set(id, (given) => {
        clearTimeout(timer);
        resolve(given);
      });
      say({ type: 'ask', id, question, own });
    });
    waiting.delete(id);
    return answer ?? own;
  };
  const askForOutcomes = async (question: Question): Promise<readonly OutcomeView[]> => {
    const answer = await askAll(question);
    return typeof answer === 'string' ? [] : answer;
  };

  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (!stopping) signals.emit(signal, signal);
    stopping = true;
  };
  const hear = (message: SupervisorMessage): void => {
    if (message.type === 'stop') stop('SIGTERM');
    else if (message.type === 'result') waiting.get(message.id)?.(message.answer);
    else if (message.type === 'group') {
      // Sent when it changes, and only then.
      ({ workers: siblings, leaving } = message);
      heardUnixMs = Date.now();
    } else if (message.type === 'question')
      void answerTo(message.question).then((answer) => say({ type: 'answer', id: message.id, answer }));
  };

  const pulse = (): void => {
    const report = ownHealth?.report();
    say({ type: 'pulse', ready: report?.ready ?? false, why: report?.why.join('; ') ?? 'it starts' });
  };
  const leave = async (code: number): Promise<void> => {
    setTimeout(() => host.exit(code), farewellMs);
    const metrics = (await ownMetrics?.text()) ?? '';
    const kept = (await outcomes?.latest(outcomes.capacity)) ?? [];
    say({ type: 'farewell', metrics, outcomes: kept }, () => host.exit(code));
  };

  host.on('message', hear);
  host.on('SIGTERM', () => stop('SIGTERM'));
  for (const ofTerminals of ['SIGINT', 'SIGHUP', 'SIGUSR2'] as const) host.on(ofTerminals, () => undefined);
  // Without its supervisor it finishes what it has and ends. Node would end it at once, were this not said.
  cluster.worker?.once('disconnect', () => {
    Object.assign(cluster.worker ?? {}, { exitedAfterDisconnect: true });
    stop('SIGTERM');
  });
  setInterval(pulse, pulseEveryMs).unref();

  const target = (event: string): EventEmitter => (event.startsWith('SIG') ? signals : host);
  const serviceProcess: ServiceProcess = {
    env: host.env,
    on(event: string, listener: (...given: unknown[]) => void) {
      target(event).on(event, listener);
      return signals;
    },
    removeListener(event: string, listener: (...given: unknown[]) => void) {
      target(event).removeListener(event, listener);
      return signals;
    },
    // After a defect nothing is said any more.
    exit: (code) => void (code === 0 || code === 3 ? leave(code) : host.exit(code)),
  };

  return {
    service: { process: serviceProcess },
    health(own) {
      ownHealth = own;
      return { ...own, report: () => groupReport(own, { workers: siblings, leaving, sinceUnixMs: heardUnixMs }) };
    },
    metrics(own) {
      ownMetrics = own;
      const text = async (): Promise<string> => {
        const answer = await askAll({ about: 'metrics' });
        return typeof answer === 'string' ? answer : '';
      };
      return { ...own, contentType: own.contentType, text };
    },
    outcomes(own) {
      outcomes = own;
      return {
        capacity: own.capacity,
        find: async (requestId) => (await askForOutcomes({ about: 'request', requestId }))[0],
        latest: (limit) => askForOutcomes({ about: 'requests', limit }),
      };
    },
    gate: (keeper) => ({
      name: 'first-table',
      start: (signal) =>
        new Promise((resolve, reject) => {
          const beganMs = performance.now();
          const look = (): void => {
            const source = keeper.current()?.source;
            const isLate = performance.now() - beganMs > diskTableAfterMs;
            const isAlone = !siblings.some(({ phase }) => phase === 'READY');
            if (signal.aborted) end(() => reject(new Error('it was told to stop before it had a table')));
            else if (source === 'redis' || (isLate && (source === 'disk' || isAlone))) end(resolve);
          };
          const timer = setInterval(look, lookEveryMs);
          const end = (settle: () => void): void => {
            clearInterval(timer);
            settle();
          };
        }),
    }),
  };
}

/** Of the whole group: ready while one worker is, and every worker that is not says why. */
export function groupReport(
  own: Health,
  group: { readonly workers: readonly WorkerView[]; readonly leaving: boolean; readonly sinceUnixMs: number },
): ReturnType<Health['report']> {
  const { workers, leaving, sinceUnixMs } = group;
  const report = own.report();
  const ready = workers.filter(({ phase, why }) => phase === 'READY' && why === '');
  const others = workers.filter((one) => !ready.includes(one)).map(({ number, why }) => `worker ${number}: ${why}`);
  const detail = [`${ready.length} of ${workers.length} worker processes are ready`, ...others].join('; ');
  const check = { ok: others.length === 0 && !leaving, critical: false, detail, sinceUnixMs };
  const checks = { ...report.checks, workers: check };
  if (leaving) return { ready: false, phase: 'DRAINING', checks, why: ['the dispatcher stops'] };
  if (ready.length === 0) return { ...report, checks };
  return { ready: true, phase: 'RUNNING', checks, why: [] };
}
