// What do the supervisor and its workers tell each other? Never on the way of a request: life signs, orders, and questions of
// people that one worker alone cannot answer.
import type { OutcomeView } from '../request-view.ts';

/** What a worker is asked about. */
export type Question =
  | { readonly about: 'metrics' }
  | { readonly about: 'requests'; readonly limit: number }
  | { readonly about: 'request'; readonly requestId: string };

/** Prometheus text, or outcomes of requests. */
export type Answer = string | readonly OutcomeView[];

/** One worker as its siblings see it. */
export interface WorkerView {
  /** Counts the processes that were started; also the end of its instance id. */
  readonly number: number;
  readonly slot: number;
  readonly phase: 'STARTING' | 'READY' | 'STOPPING' | 'KILLED';
  /** Why it is not ready; empty when it is. */
  readonly why: string;
}

/** From a worker to its supervisor. */
export type WorkerMessage =
  /** Every 250 ms, from the event loop that serves. */
  | { readonly type: 'pulse'; readonly ready: boolean; readonly why: string }
  /** A question for all, with what the asker itself says to it. */
  | { readonly type: 'ask'; readonly id: number; readonly question: Question; readonly own: Answer }
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answer }
  /** The last thing it says: what it has counted and kept. */
  | { readonly type: 'farewell'; readonly metrics: string; readonly outcomes: readonly OutcomeView[] };

/** From the supervisor to a worker. */
export type SupervisorMessage =
  | { readonly type: 'stop'; readonly why: string }
  | { readonly type: 'question'; readonly id: number; readonly question: Question }
  /** What all workers say together, those included that have ended. */
  | { readonly type: 'result'; readonly id: number; readonly answer: Answer }
  | { readonly type: 'group'; readonly leaving: boolean; readonly workers: readonly WorkerView[] };
