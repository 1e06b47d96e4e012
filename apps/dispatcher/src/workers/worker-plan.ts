// Which worker is started, stopped or killed next? A state machine without processes: happenings in, orders out.
//
//   STARTING --ready--> READY --stop--> STOPPING --ended
//       |                 |                 '--too slow--> KILLED --ended
//       '--no sign of life'--silent--> KILLED --ended--> a pause that grows, then a new one in the same slot
//
// Renewal, slot by slot: a successor starts beside the holder of the slot; only when it is ready is the holder stopped, and only
// when that one has ended is it the turn of the next slot. A successor that fails ends the renewal and the holder stays.
import { backoff, type Backoff } from '@switchyard/runtime';
import type { WorkerView } from './messages.ts';

/** Times in ms. */
export interface PlanOptions {
  /** Workers that serve; during a renewal there is one more. */
  readonly count: number;
  /** Until a new worker gives its first sign of life, and until a successor is ready. */
  readonly readyMs: number;
  /** From the order to stop until it is killed. */
  readonly stopMs: number;
  /** Silence after which it is killed. */
  readonly stallMs: number;
  /** 0..1 (exclusive). */
  readonly random: () => number;
}

/** What the supervisor has seen. `how` for people, with `failedStart` when its start failed in an orderly way. */
export type Happening =
  | { readonly type: 'begin' | 'tick' | 'renew' | 'stop' }
  | { readonly type: 'pulse'; readonly number: number; readonly ready: boolean; readonly why: string }
  | { readonly type: 'ended'; readonly number: number; readonly how: string; readonly failedStart: boolean };

/** What the supervisor has to do. */
export type Order =
  | { readonly do: 'start'; readonly number: number; readonly slot: number }
  | { readonly do: 'stop'; readonly number: number; readonly why: string }
  | { readonly do: 'kill'; readonly number: number; readonly why: string }
  /** No worker was ever ready and one could not start: the service cannot. */
  | { readonly do: 'fail'; readonly why: string }
  | { readonly do: 'tell'; readonly event: string; readonly isGood: boolean; readonly facts: object };

export interface WorkerPlan {
  step(happening: Happening, nowMs: number): readonly Order[];
  workers(): readonly WorkerView[];
}

/** A worker that was ready for so long makes the pauses between starts short again. */
const calmMs = 10_000;
const firstPauseMs = 100;
const longestPauseMs = 10_000;

interface Worker {
  readonly number: number;
  readonly slot: Slot;
  phase: WorkerView['phase'];
  why: string;
  readonly startedMs: number;
  heardMs: number | undefined;
  readyMs: number | undefined;
  stopMs: number;
}
interface Slot {
  readonly index: number;
  readonly pause: Backoff;
  holder: Worker | undefined;
  successor: Worker | undefined;
  startAtMs: number;
}
interface Renewal {
  readonly left: Slot[];
  /** The holder that has to end before the next slot. */
  waitsFor: Worker | undefined;
  again: boolean;
}

/** Nobody is started before `begin`. */
export function createWorkerPlan(options: PlanOptions): WorkerPlan {
  const { count, readyMs, stopMs, stallMs, random } = options;
  const slots = Array.from({ length: count }, (_none, index): Slot => {
    const pause = backoff({ baseMs: firstPauseMs, maxMs: longestPauseMs, random });
    return { index: index + 1, pause, holder: undefined, successor: undefined, startAtMs: Infinity };
  });
  const workers = new Map<number, Worker>();
  let orders: Order[] = [];
  let started = 0;
  let everReady = false;
  let stopping = false;
  let renewal: Renewal | undefined;
  let lookedMs: number | undefined;

  const tell = (event: string, isGood: boolean, facts: object): void => {
    orders.push({ do: 'tell', event, isGood, facts });
  };
  const startIn = (slot: Slot, nowMs: number): Worker => {
    started += 1;
    const worker: Worker = {
      number: started,
      slot,
      phase: 'STARTING',
      why: 'it starts',
      startedMs: nowMs,
      heardMs: undefined,
      readyMs: undefined,
      stopMs: Infinity,
    };
    workers.set(worker.number, worker);
    slot.startAtMs = Infinity;
    orders.push({ do: 'start', number: worker.number, slot: slot.index });
    return worker;
  };
  const stop = (worker: Worker, why: string, nowMs: number): void => {
    if (worker.phase === 'STOPPING' || worker.phase === 'KILLED') return;
    Object.assign(worker, { phase: 'STOPPING', why, stopMs: nowMs });
    orders.push({ do: 'stop', number: worker.number, why });
  };
  const kill = (worker: Worker, why: string): void => {
    Object.assign(worker, { phase: 'KILLED', why });
    orders.push({ do: 'kill', number: worker.number, why });
    tell('worker.killed', false, { worker: worker.number, why });
  };

  const renewNext = (nowMs: number): void => {
    while (renewal) {
      const slot = renewal.left.shift();
      if (!slot) {
        const { again } = renewal;
        renewal = again ? { left: [...slots], waitsFor: undefined, again: false } : undefined;
        if (!again) tell('workers.renewed', true, { workers: count });
      } else if (slot.holder) {
        slot.successor = startIn(slot, nowMs);
        return;
      }
      // a slot without a worker gets a new one anyway
    }
  };

  const onPulse = (worker: Worker, { ready, why }: { ready: boolean; why: string }, nowMs: number): void => {
    worker.heardMs = nowMs;
    if (worker.phase !== 'STARTING' && worker.phase !== 'READY') return;
    worker.why = why;
    if (!ready || worker.phase === 'READY') return;
    everReady = true;
    Object.assign(worker, { phase: 'READY', readyMs: nowMs });
    const { slot } = worker;
    tell('worker.ready', true, {
      worker: worker.number,
      slot: slot.index,
      afterMs: Math.round(nowMs - worker.startedMs),
    });
    if (slot.successor !== worker) return;
    const old = slot.holder;
    Object.assign(slot, { holder: worker, successor: undefined });
    if (old && renewal) renewal.waitsFor = old;
    if (old) stop(old, 'its successor is ready', nowMs);
    else renewNext(nowMs);
  };

  const onEnded = (worker: Worker, how: string, failedStart: boolean, nowMs: number): void => {
    const { slot, readyMs: wasReadyMs } = worker;
    const asked = worker.phase === 'STOPPING';
    workers.delete(worker.number);
    if (!asked) tell('worker.ended', false, { worker: worker.number, slot: slot.index, how });
    if (stopping) return;
    if (failedStart && !everReady) orders.push({ do: 'fail', why: how });
    if (renewal?.waitsFor === worker) {
      renewal.waitsFor = undefined;
      renewNext(nowMs);
    }
    if (slot.successor === worker) {
      slot.successor = undefined;
      tell('workers.renewal_given_up', false, {
        worker: worker.number,
        slot: slot.index,
        why: `${how}; ${worker.why}`,
      });
      renewal = undefined;
    }
    if (slot.holder === worker) slot.holder = undefined;
    if (slot.holder || slot.successor || slot.startAtMs < Infinity) return;
    if (wasReadyMs !== undefined && nowMs - wasReadyMs >= calmMs) slot.pause.reset();
    const pauseMs = slot.pause.next();
    slot.startAtMs = nowMs + pauseMs;
    tell('worker.restarts', true, { slot: slot.index, inMs: pauseMs });
  };

  const look = (nowMs: number): void => {
    // A supervisor that was itself held up has not listened: silence counts from now.
    const heldUp = lookedMs !== undefined && nowMs - lookedMs > stallMs / 2;
    lookedMs = nowMs;
    for (const worker of workers.values()) {
      if (heldUp && worker.heardMs !== undefined) worker.heardMs = nowMs;
      const silentMs = nowMs - (worker.heardMs ?? worker.startedMs);
      const isLate = worker.slot.successor === worker && nowMs - worker.startedMs > readyMs;
      if (worker.phase === 'STOPPING' && nowMs - worker.stopMs > stopMs) {
        kill(worker, `it had not ended ${stopMs} ms after it was told to`);
      } else if (worker.phase !== 'STARTING' && worker.phase !== 'READY') {
        continue;
      } else if (silentMs > (worker.heardMs === undefined ? readyMs : stallMs)) {
        kill(worker, `it gave no sign of life for ${Math.round(silentMs)} ms`);
      } else if (isLate) {
        kill(worker, `it was not ready after ${readyMs} ms: ${worker.why}`);
      }
    }
    for (const slot of slots) if (!stopping && nowMs >= slot.startAtMs) slot.holder = startIn(slot, nowMs);
  };

  return {
    step(happening, nowMs) {
      orders = [];
      const worker = 'number' in happening ? workers.get(happening.number) : undefined;
      if (happening.type === 'begin') {
        for (const slot of slots) slot.holder = startIn(slot, nowMs);
      } else if (happening.type === 'tick') {
        look(nowMs);
      } else if (happening.type === 'stop') {
        stopping = true;
        renewal = undefined;
        for (const one of workers.values()) stop(one, 'the dispatcher stops', nowMs);
      } else if (happening.type === 'renew') {
        if (renewal) renewal.again = true;
        else if (!stopping) {
          tell('workers.renewal', true, { workers: count });
          renewal = { left: [...slots], waitsFor: undefined, again: false };
          renewNext(nowMs);
        }
      } else if (worker && happening.type === 'pulse') {
        onPulse(worker, happening, nowMs);
      } else if (worker && happening.type === 'ended') {
        onEnded(worker, happening.how, happening.failedStart, nowMs);
      }
      return orders;
    },
    workers: () =>
      [...workers.values()].map(({ number, slot, phase, why }) => ({
        number,
        slot: slot.index,
        phase,
        why: phase === 'READY' ? why : `${phase.toLowerCase()}: ${why}`,
      })),
  };
}
