// How do workers live? The supervisor process holds the listening sockets and starts, watches, renews and ends the processes that
// accept from them (docs/adr/0007). What is next is decided by worker-plan.ts; here are the processes.
import { availableParallelism } from 'node:os';
import cluster, { type Worker } from 'node:cluster';
import type { Component, Logger, ServiceContext } from '@switchyard/runtime';
import { createGathering, type Respondent } from './gathering.ts';
import type { SupervisorMessage, WorkerMessage } from './messages.ts';
import { createWorkerPlan, type Happening, type Order } from './worker-plan.ts';

/** Times in ms. */
interface SupervisorOptions {
  readonly count: number;
  readonly stallMs: number;
  /** For the whole stop; workers get a second less. */
  readonly graceMs: number;
  readonly instanceId: string;
  readonly random: () => number;
  readonly nowMs: () => number;
  readonly logger: Logger;
}

/** As runService has it. */
const defaultGraceMs = 9_000;
const lookEveryMs = 100;
const readyMs = 30_000;
/** A worker that does not answer for so long is taken at its last word. */
const gatherMs = 300;
/** So much of what a worker has counted is lost at most when it ends without a word. */
const collectEveryMs = 5_000;
const renewalSignals = ['SIGHUP', 'SIGUSR2'] as const;
const stopSignals = ['SIGTERM', 'SIGINT'] as const;

/** The supervisor, when this process is to be one. `workers` as set: 0 for one per core. */
export function supervisorOf(
  config: { readonly workers: number; readonly workerStallMs: number },
  context: Pick<ServiceContext, 'env' | 'clock' | 'logger' | 'instanceId'> & { readonly random: () => number },
): Component | undefined {
  const count = config.workers === 0 ? availableParallelism() : config.workers;
  if (count === 1 || cluster.isWorker) return undefined;
  const { env, clock, logger, instanceId, random } = context;
  const graceMs = Number(env['SWITCHYARD_SHUTDOWN_GRACE_MS'] || defaultGraceMs);
  const nowMs = (): number => clock.monotonicMs();
  return createSupervisor({ count, stallMs: config.workerStallMs, graceMs, instanceId, random, nowMs, logger });
}

/** `start` resolves with the first worker that is ready, and rejects when a worker cannot start and none ever was ready. */
function createSupervisor(options: SupervisorOptions): Component {
  const { count, stallMs, graceMs, instanceId, random, nowMs, logger } = options;
  const workerGraceMs = Math.max(500, graceMs - 1_000);
  const plan = createWorkerPlan({ count, readyMs, stopMs: workerGraceMs + 500, stallMs, random });
  const processes = new Map<number, Worker>();
  const timers: NodeJS.Timeout[] = [];
  let leaving = false;
  let shown = '';
  let firstReady: { resolve(): void; reject(error: Error): void } | undefined;
  let allEnded: (() => void) | undefined;

  const say = (number: number, message: SupervisorMessage): void => {
    const worker = processes.get(number);
    // A worker that has just ended is noticed by its end, not here.
    if (worker?.isConnected()) worker.send(message, () => undefined);
  };
  const respondents = (): Respondent[] =>
    plan.workers().map(({ number, slot, phase }) => ({
      number,
      slot,
      isReady: phase === 'READY',
      ask: (id, question) => say(number, { type: 'question', id, question }),
    }));
  const gathering = createGathering({ respondents, deadlineMs: gatherMs });

  const happened = (happening: Happening): void => {
    for (const order of plan.step(happening, nowMs())) carryOut(order);
    const workers = plan.workers();
    const view = JSON.stringify([leaving, workers]);
    if (view !== shown) for (const { number } of workers) say(number, { type: 'group', leaving, workers });
    shown = view;
    if (workers.some(({ phase }) => phase === 'READY')) firstReady?.resolve();
    if (workers.length === 0) allEnded?.();
  };

  const carryOut = (order: Order): void => {
    if (order.do === 'start') start(order.number);
    else if (order.do === 'stop') say(order.number, { type: 'stop', why: order.why });
    else if (order.do === 'kill') processes.get(order.number)?.process.kill('SIGKILL');
    else if (order.do === 'fail')
      firstReady?.reject(new Error(`a worker could not start (${order.why}); its log says why`));
    else logger[order.isGood ? 'info' : 'warn'](order.facts, order.event);
  };

  const start = (number: number): void => {
    const worker = cluster.fork({
      SWITCHYARD_INSTANCE_ID: `${instanceId}-${number}`,
      SWITCHYARD_SHUTDOWN_GRACE_MS: String(workerGraceMs),
      // The supervisor has waited already when it tells them to stop.
      SWITCHYARD_SHUTDOWN_DELAY_MS: '0',
    });
    processes.set(number, worker);
    worker.on('message', (message: WorkerMessage) => heard(number, message));
    worker.on('error', (error) => logger.warn({ worker: number, err: error }, 'worker.failed'));
    // Not 'exit': what the worker said last has been read when its channel is closed.
    worker.process.on('close', (code, signal) => {
      processes.delete(number);
      gathering.ended(number);
      const how = signal ? `ended by ${signal}` : `ended with code ${String(code)}`;
      happened({ type: 'ended', number, how, failedStart: code === 1 });
    });
  };

  // A worker may be of a later version than its supervisor: what is not known here is passed over.
  const heard = (number: number, message: WorkerMessage): void => {
    if (message.type === 'pulse') {
      happened({ type: 'pulse', number, ready: message.ready, why: message.why });
    } else if (message.type === 'answer') {
      gathering.answered(number, message.id, message.answer);
    } else if (message.type === 'farewell') {
      gathering.farewell(number, message.metrics, message.outcomes);
    } else if (message.type === 'ask') {
      const slot = plan.workers().find((one) => one.number === number)?.slot ?? 0;
      gathering.ask(message.question, { number, slot, own: message.own }, (answer) =>
        say(number, { type: 'result', id: message.id, answer }),
      );
    }
  };

  const onRenewal = (): void => happened({ type: 'renew' });
  const onStop = (): void => {
    leaving = true;
    happened({ type: 'tick' });
  };

  return {
    name: 'workers',
    stopDeadlineMs: graceMs,
    async start(signal) {
      // One listening socket for all: what waits in its queue belongs to no worker that could end or stall.
      cluster.schedulingPolicy = cluster.SCHED_NONE;
      for (const name of renewalSignals) process.on(name, onRenewal);
      for (const name of stopSignals) process.on(name, onStop);
      // Forced to leave: nobody stays behind. In any other case workers finish what they have.
      process.on('exit', (code) => {
        if (code === 2) for (const worker of processes.values()) worker.process.kill('SIGKILL');
      });
      timers.push(
        setInterval(() => happened({ type: 'tick' }), lookEveryMs),
        setInterval(() => gathering.ask({ about: 'metrics' }, undefined, () => undefined), collectEveryMs),
      );
      try {
        await new Promise<void>((resolve, reject) => {
          firstReady = { resolve, reject };
          signal.addEventListener('abort', () => resolve(), { once: true });
          happened({ type: 'begin' });
        });
      } catch (error) {
        await this.stop?.();
        throw error;
      }
    },
    async stop() {
      await new Promise<void>((resolve) => {
        allEnded = resolve;
        happened({ type: 'stop' });
      });
      for (const timer of timers) clearInterval(timer);
      for (const name of renewalSignals) process.off(name, onRenewal);
      for (const name of stopSignals) process.off(name, onStop);
    },
  };
}
