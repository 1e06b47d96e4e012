// Who can give a node its data out of a backup, and how is that asked for? A backup-worker, over HTTP: the one that the settings name, or
// those that the catalog lists, the alive ones first. Everything here has a deadline: without a worker the answer is a refusal.
import {
  decode,
  isErrorCode,
  operationSchema,
  platformService,
  problemSchema,
  refuse,
  ok,
  type Operation,
  type Refusal,
  type RestoreTarget,
  type Result,
} from '@switchyard/protocol';
import type { createCatalogStore } from '@switchyard/redis';
import { withDeadline, type Clock, type Logger } from '@switchyard/runtime';

/** A restore into a node that is to go on as a replica. */
export interface SeedRequest {
  readonly group: string;
  readonly to: RestoreTarget;
  /** `host:port` */
  readonly node: string;
}

/** The node holds everything up to there, under the name of the history that its group has. */
export interface Seeded {
  /** Id of the operation at the worker. */
  readonly operation: string;
  readonly worker: string;
  /** As the worker told it: offset, replicationId, keys, ... */
  readonly result: Readonly<Record<string, unknown>>;
}

/** How a restore is followed. */
export interface SeedCourse {
  /** Cancels it at the worker. */
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
  readonly onProgress: (told: { readonly percent: number; readonly etaSeconds: number | null; detail: string }) => void;
  /** Asked with each look: a refusal cancels it. */
  readonly recheck: () => Refusal | null;
}

/** The backup-workers that can be reached. */
export interface BackupWorkers {
  /** Base URL of one that answers. Refuses with `not_ready` when there is none. */
  find(): Promise<Result<string>>;
  /** Asks for a restore and follows it to its end. Never rejects; what the worker refuses is passed on. */
  seed(request: SeedRequest, course: SeedCourse): Promise<Result<Seeded>>;
}

/** From where they are known. */
export interface BackupWorkersOptions {
  readonly store: Pick<ReturnType<typeof createCatalogStore>, 'snapshot'>;
  /** Instead of the catalog. */
  readonly url?: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const catalogMs = 2_000;
const findMs = 2_000;
/** It looks for the moment and at the node before it answers. */
const beginMs = 30_000;
const questionMs = 5_000;
const lookEveryMs = 300;
/** A worker that is started again says what became of its work. */
const silenceMs = 20_000;
const mostWorkers = 8;
const mostAnswerBytes = 1_048_576;

/** Asks nobody before a method is called. */
export const createBackupWorkers = ({ store, url, clock, logger }: BackupWorkersOptions): BackupWorkers => {
  const candidates = async (): Promise<readonly string[]> => {
    if (url !== undefined) return [url];
    const { instances } = await withDeadline(store.snapshot(), catalogMs, 'the catalog');
    return instances
      .filter(({ service, liveness }) => service === platformService('backup-worker') && liveness !== 'dead')
      .toSorted((a, b) => Number(b.liveness === 'alive') - Number(a.liveness === 'alive'))
      .slice(0, mostWorkers)
      .map((one) => one.url);
  };

  const find = async (): Promise<Result<string>> => {
    const why: string[] = [];
    const known = await candidates().catch((error: unknown) => {
      why.push(`the catalog could not be read: ${messageOf(error)}`);
      return [];
    });
    for (const at of known) {
      const answer = await ask(at, '/livez', { ms: findMs }).catch((error: unknown) => messageOf(error));
      if (typeof answer !== 'string' && answer.status === 200) return ok(at);
      why.push(`${at}: ${typeof answer === 'string' ? answer : `it answered ${String(answer.status)}`}`);
    }
    if (why.length === 0) why.push(`the catalog lists no alive instance of ${platformService('backup-worker')}`);
    return refuse('not_ready', 'no backup-worker can be reached', {
      why,
      next: 'start one, or set SWITCHYARD_REPLICATION_BACKUP_URL; without "from" the node copies from the primary',
    });
  };

  const follow = async (
    at: string,
    begun: Operation,
    { signal, deadlineMs, onProgress, recheck }: SeedCourse,
  ): Promise<Result<Seeded>> => {
    const path = `/v1/operations/${encodeURIComponent(begun.id)}`;
    const endMs = clock.monotonicMs() + deadlineMs;
    let heardMs = clock.monotonicMs();
    let operation = begun;
    const cancel = (): Promise<unknown> => ask(at, path, { method: 'DELETE', ms: questionMs }).catch(() => undefined);
    while (operation.finishedAt === null) {
      const running = operation.steps.findLast(({ state }) => state === 'running');
      const detail = [running?.name, running?.detail].filter((part) => typeof part === 'string').join(': ');
      onProgress({ percent: operation.percent, etaSeconds: operation.etaSeconds, detail });
      const moved = recheck();
      const late = clock.monotonicMs() > endMs;
      if (signal.aborted || late || moved !== null) {
        await cancel();
        if (moved !== null) return { ok: false, error: moved };
        return late
          ? refuse('timed_out', `the restore takes longer than ${String(Math.round(deadlineMs / 1_000))} s`)
          : refuse('cancelled', 'the restore was cancelled');
      }
      await clock.sleep(lookEveryMs, signal).catch(() => undefined);
      const seen = await operationAt(at, path).catch((error: unknown) => messageOf(error));
      if (typeof seen !== 'string') {
        heardMs = clock.monotonicMs();
        if (!seen.ok) return seen;
        operation = seen.value;
      } else if (clock.monotonicMs() - heardMs > silenceMs) {
        return refuse('timed_out', `the backup-worker at ${at} does not answer any more: ${seen}`, {
          next: 'look whether it runs, then ask again',
        });
      }
    }
    if (operation.state === 'succeeded') {
      return ok({ operation: operation.id, worker: at, result: operation.result ?? {} });
    }
    return { ok: false, error: refusalIn(operation.problem, `the restore ended as ${operation.state}`) };
  };

  return {
    find,
    async seed({ group, to, node }, course) {
      const at = await find();
      if (!at.ok) return at;
      const body = { group, to, target: { node, as: 'replica', overwrite: true } };
      try {
        const answer = await ask(at.value, '/v1/restores', { method: 'POST', body, ms: beginMs });
        if (answer.status < 200 || answer.status > 299) {
          return { ok: false, error: refusalIn(answer.body, `the backup-worker answered ${String(answer.status)}`) };
        }
        const begun = decode(operationSchema, answer.body);
        if (!begun.ok) return begun;
        logger.info({ group, node, worker: at.value, operation: begun.value.id }, 'rebuild.restore_began');
        return await follow(at.value, begun.value, course);
      } catch (error) {
        return refuse('not_ready', `the backup-worker at ${at.value} could not be asked: ${messageOf(error)}`);
      }
    },
  };
};

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const ask = async (
  base: string,
  path: string,
  question: { readonly method?: string; readonly body?: unknown; readonly ms: number },
): Promise<Answer> => {
  const { method = 'GET', body, ms } = question;
  const response = await fetch(new URL(path, base), {
    method,
    redirect: 'error',
    signal: AbortSignal.timeout(ms),
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  if (Number(response.headers.get('content-length') ?? 0) > mostAnswerBytes) throw new Error('its answer is too long');
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  return { status: response.status, body: isJson ? (JSON.parse(text) as unknown) : text };
};

/** A 404 is an answer: it has forgotten its work. */
const operationAt = async (base: string, path: string): Promise<Result<Operation>> => {
  const answer = await ask(base, path, { ms: questionMs });
  if (answer.status === 200) return decode(operationSchema, answer.body);
  if (answer.status === 404) return { ok: false, error: refusalIn(answer.body, 'the worker does not know its work') };
  throw new Error(`it answered ${String(answer.status)}`);
};

/** A problem document as the refusal that it was. */
const refusalIn = (document: unknown, otherwise: string): Refusal => {
  const problem = problemSchema.safeParse(document);
  if (!problem.success) return { code: 'internal', detail: otherwise };
  const { code, detail, why, next } = problem.data;
  return { code: isErrorCode(code) ? code : 'internal', detail: `backup-worker: ${detail}`, why, next };
};

const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
};
