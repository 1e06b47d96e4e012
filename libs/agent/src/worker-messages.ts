// What do the app's thread and the thread of its agent say to each other? Messages, and four numbers in shared memory for what
// must be seen while the app's thread is too busy for messages.
import type { DrainView, InstanceInput, LoadReport, Result } from '@switchyard/protocol';
import type { AgentState } from './agent.ts';
import type { HeldRole } from './liveness-link.ts';

/** Indices of the shared Int32Array. */
export const shared = Object.freeze({
  /** grows by one each `tickMs` while the event loop of the app runs */
  tick: 0,
  inflight: 1,
  /** thousandths; below 0: not known */
  utilization: 2,
  /** 1 when the worker runs */
  ready: 3,
  bytes: 16,
});

/** Ms between two ticks of the app's thread. */
export const tickMs = 100;

/** What the worker is started with. */
export interface WorkerAgentData {
  readonly memory: SharedArrayBuffer;
  readonly registryUrls: readonly string[];
  readonly service: string;
  readonly id: string;
  readonly input: InstanceInput;
  readonly ttlMs: number;
  readonly busyLimitMs: number;
  readonly timings: {
    readonly drainDelayMs?: number;
    readonly drainDeadlineMs?: number;
    readonly callDeadlineMs?: number;
  };
  /** Whether the app's thread has a second way to the catalog, and wants to hear of the health. */
  readonly hasFallback: boolean;
  readonly hasHealth: boolean;
  readonly logLevel: string;
}

/** A call of the registrar on the app's thread. */
export type FallbackCall =
  | { readonly method: 'register' }
  | { readonly method: 'drained' }
  | { readonly method: 'beat'; readonly load?: LoadReport }
  | { readonly method: 'drain' | 'deregister'; readonly reason: string };

export type FallbackValue = Result<unknown> | Result<DrainView> | 'known' | 'unknown';
export type FallbackAnswer =
  { readonly ok: true; readonly value: FallbackValue } | { readonly ok: false; readonly fault: string };

export type ToWorker =
  | { readonly type: 'drain' | 'stop' }
  | { readonly type: 'answer'; readonly call: number; readonly answer: FallbackAnswer };

export type FromWorker =
  | { readonly type: 'state'; readonly state: AgentState }
  | { readonly type: 'health'; readonly ok: boolean; readonly detail: string }
  /** one line of JSON, as the logger of the worker wrote it */
  | { readonly type: 'log'; readonly line: string }
  | { readonly type: 'role'; readonly held: HeldRole }
  | { readonly type: 'unknown' }
  /** the event loop of the app was late by so much, and runs again */
  | { readonly type: 'busy'; readonly lagMs: number }
  | { readonly type: 'ask'; readonly call: number; readonly what: FallbackCall }
  | { readonly type: 'drained' };
