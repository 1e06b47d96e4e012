// What long work on Redis groups is there, and how did it end? Documents for people and programs; the work itself is a function.
import { randomUUID } from 'node:crypto';
import { ok, problemOf, refuse, type Operation, type Refusal, type Result } from '@switchyard/protocol';
import { isRedisUnavailable, redisRefusal } from '@switchyard/redis';
import type { Clock, Component, Logger } from '@switchyard/runtime';

/** What work is told, and tells. */
export interface OperationRun {
  readonly id: string;
  /** Aborted when somebody cancels it, or the manager stops. */
  readonly signal: AbortSignal;
  /** A step in its order has begun, gone on, or ended. A name that was not announced is added at the end. */
  step(name: string, state: 'running' | 'done' | 'failed', detail?: string): void;
  /** 0 to 100, and seconds that are left, if known. */
  progress(percent: number, etaSeconds?: number | null): void;
  /** From here on it is not cancelled any more: what was begun has to be finished. */
  commit(): void;
}

/** What is to be done. */
export interface OperationPlan {
  /** `switchover`, `rebuild`, `check`, ... */
  readonly kind: string;
  /** The group, or `group/node`. */
  readonly subject: string;
  /** Of work that an earlier process began, or that waited for this one: it goes on under its name. */
  readonly id?: string;
  /** Names of the steps, in their order. */
  readonly steps: readonly string[];
  /** Resolves with the result, or with why it failed. What it throws is told as an internal error. */
  readonly work: (run: OperationRun) => Promise<Result<Readonly<Record<string, unknown>>>>;
}

/** All operations of this manager. */
export interface RedisOperations extends Component {
  /** Begins at once. Refuses with `overloaded` when too many are under way. */
  begin(plan: OperationPlan): Result<Operation>;
  /** Takes in the document of work that ended in an earlier process; one that is known already stays as it is. */
  adopt(operation: Operation): void;
  /** Newest first. */
  list(): readonly Operation[];
  get(id: string): Operation | undefined;
  /** Resolves with the document when it has ended, or after `waitMs` as it is then. */
  ended(id: string, waitMs: number): Promise<Operation | undefined>;
  /** Refuses with `conflict` when it has ended or must be finished. */
  cancel(id: string): Result<Operation>;
  /** Cancels all that can be cancelled and waits for the rest. */
  stop(): Promise<void>;
}

/** Of the abort, when nobody cancelled it: the manager ends. */
export const stoppingReason = 'the manager is stopping';

const mostKept = 200;
const mostUnderWay = 16;

interface Kept {
  operation: Operation;
  readonly stop: AbortController;
  committed: boolean;
  readonly ended: Promise<void>;
}

/** Operations in memory. Ids begin with `redis-`, by which the control listener knows whom to ask. */
export const createRedisOperations = (options: { readonly clock: Clock; readonly logger: Logger }): RedisOperations => {
  const { clock, logger } = options;
  const kept = new Map<string, Kept>();
  const now = (): string => new Date(clock.unixMs()).toISOString();
  const isOver = ({ operation }: Kept): boolean => operation.finishedAt !== null;

  const forget = (): void => {
    for (const [id, one] of kept) {
      if (kept.size <= mostKept) return;
      if (isOver(one)) kept.delete(id);
    }
  };

  const run = async (plan: OperationPlan, one: Kept): Promise<void> => {
    const change = (part: Partial<Operation>): void => {
      if (!isOver(one)) one.operation = { ...one.operation, ...part };
    };
    const outcome = await plan
      .work({
        id: one.operation.id,
        signal: one.stop.signal,
        step: (name, state, detail) => change({ steps: withStep(one.operation.steps, { name, state, detail }) }),
        progress: (percent, etaSeconds = null) => change({ percent: Math.max(0, Math.min(100, percent)), etaSeconds }),
        commit() {
          one.committed = true;
        },
      })
      .catch((error: unknown) => failed(error, one.operation, logger));
    const { id, kind, subject } = one.operation;
    if (outcome.ok) {
      // A way that did without a step is told without it.
      const steps = one.operation.steps.filter((step) => step.state !== 'waiting');
      const result = { ...outcome.value };
      change({ state: 'succeeded', percent: 100, steps, result, finishedAt: now(), etaSeconds: null });
      logger.info({ operation: id, kind, subject }, 'operation.succeeded');
      return;
    }
    const state = outcome.error.code === 'cancelled' ? 'cancelled' : 'failed';
    change({ state, problem: problemOf(outcome.error), finishedAt: now(), etaSeconds: null });
    logger.warn({ operation: id, kind, subject, why: outcome.error }, 'operation.failed');
  };

  return {
    name: 'redis-operations',
    begin(plan) {
      const underWay = [...kept.values()].filter((one) => !isOver(one)).length;
      if (underWay >= mostUnderWay) {
        return refuse('overloaded', `${underWay} operations are under way already`, {
          next: 'wait until some have ended: GET /v1/redis/operations',
        });
      }
      const operation: Operation = {
        id: plan.id ?? `redis-${plan.kind}-${randomUUID().slice(0, 13)}`,
        kind: plan.kind,
        subject: plan.subject,
        state: 'running',
        percent: 0,
        etaSeconds: null,
        createdAt: now(),
        startedAt: now(),
        finishedAt: null,
        steps: plan.steps.map((name) => ({ name, state: 'waiting', detail: null })),
        result: null,
        problem: null,
      };
      const { promise, resolve } = Promise.withResolvers<void>();
      const one: Kept = { operation, stop: new AbortController(), committed: false, ended: promise };
      kept.set(operation.id, one);
      forget();
      logger.info({ operation: operation.id, kind: plan.kind, subject: plan.subject }, 'operation.began');
      void run(plan, one).finally(resolve);
      return ok(one.operation);
    },
    adopt(operation) {
      if (kept.has(operation.id) || operation.finishedAt === null) return;
      kept.set(operation.id, { operation, stop: new AbortController(), committed: true, ended: Promise.resolve() });
      forget();
    },
    list: () => [...kept.values()].map(({ operation }) => operation).toReversed(),
    get: (id) => kept.get(id)?.operation,
    async ended(id, waitMs) {
      const one = kept.get(id);
      if (one === undefined) return undefined;
      const waited = new AbortController();
      await Promise.race([one.ended, clock.sleep(waitMs, waited.signal).catch(() => undefined)]);
      waited.abort();
      return one.operation;
    },
    cancel(id) {
      const one = kept.get(id);
      if (one === undefined) return refuse('not_found', `there is no operation ${id}`);
      if (isOver(one)) return refuse('conflict', `the operation ${id} has ended: ${one.operation.state}`);
      if (one.committed) {
        return refuse('conflict', `the operation ${id} is past the point where it could be undone`, {
          next: 'wait for its end',
        });
      }
      one.stop.abort(new Error('cancelled'));
      return ok(one.operation);
    },
    async stop() {
      for (const one of kept.values()) if (!one.committed) one.stop.abort(new Error(stoppingReason));
      await Promise.all([...kept.values()].map(({ ended }) => ended));
    },
  };
};

/** Steps before one that runs or is done are done as well: they were passed. */
const withStep = (
  steps: Operation['steps'],
  step: {
    readonly name: string;
    readonly state: Operation['steps'][number]['state'];
    readonly detail?: string | undefined;
  },
): Operation['steps'] => {
  const at = steps.findIndex(({ name }) => name === step.name);
  const told = { name: step.name, state: step.state, detail: step.detail ?? steps[at]?.detail ?? null };
  return at < 0 ? [...steps, told] : steps.with(at, told);
};

const failed = (error: unknown, { id }: Operation, logger: Logger): { readonly ok: false; readonly error: Refusal } => {
  if (isRedisUnavailable(error)) {
    const refusal = redisRefusal(error);
    if (refusal !== undefined) return { ok: false, error: refusal };
  }
  logger.error({ operation: id, err: error }, 'operation.broke');
  const detail = error instanceof Error ? error.message : String(error);
  return { ok: false, error: { code: 'internal', detail: `it ended by an unexpected error: ${detail}` } };
};
