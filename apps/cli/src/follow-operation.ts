// How is long work watched until its end? By its event stream, with a bar; by asking where the stream breaks off.
import { operationSchema, type Operation } from '@switchyard/protocol';
import { setTimeout as pause } from 'node:timers/promises';
import type { CommandContext } from './command.ts';
import { Failure, failureOf } from './failure.ts';

const againMs = 1_000;
const mostBreaks = 30;

/** Begins work and, unless `--no-wait` says otherwise, follows it. The document of the end, or of the beginning. */
export async function carryOut(
  context: CommandContext,
  { path, body, method = 'POST' }: { readonly path: string; readonly body?: unknown; readonly method?: 'POST' | 'PUT' },
): Promise<Operation> {
  const { api, given, signal } = context;
  const begun = operationSchema.parse(await api.ask({ method, path, body, signal }));
  return given.flag('no-wait') ? begun : followOperation(context, begun.id);
}

/** The document of the end of an operation, whatever the end is. Rejects with a Failure when it cannot be followed any more. */
export async function followOperation(context: CommandContext, id: string): Promise<Operation> {
  const { terminal, signal } = context;
  try {
    return await follow(context, id);
  } catch (error) {
    if (signal.aborted)
      terminal.note(`The work goes on. switchyard ops wait ${id} follows it, switchyard ops cancel ${id} ends it.`);
    throw error;
  }
}

async function follow({ api, terminal, signal }: CommandContext, id: string): Promise<Operation> {
  const path = `/v1/operations/${encodeURIComponent(id)}`;
  for (let breaks = 0; ; breaks += 1) {
    try {
      for await (const event of api.events(path, signal)) {
        const operation = operationSchema.parse(event);
        breaks = 0;
        terminal.progress(progressOf(operation));
        if (operation.finishedAt !== null) {
          terminal.endProgress();
          return operation;
        }
      }
    } catch (error) {
      // What the API refused will not change by asking again; a worker that is started again will be back.
      const isRefused = error instanceof Failure && error.problem !== undefined && error.problem.status < 500;
      if (signal.aborted || isRefused || breaks >= mostBreaks) throw error;
    }
    await pause(againMs, undefined, { signal });
  }
}

/** The document of work that succeeded. Rejects with a Failure that says why it did not. */
export function succeeded(operation: Operation): Operation {
  if (operation.problem !== null) throw failureOf(operation.problem);
  if (operation.state === 'failed' || operation.state === 'cancelled')
    throw new Failure(`${operation.kind} of ${operation.subject} ended as ${operation.state}.`);
  return operation;
}

function progressOf(operation: Operation): { percent: number; step: string; detail: string } {
  const { state, percent, etaSeconds, steps } = operation;
  const step = steps.find((one) => one.state === 'running') ?? steps.findLast((one) => one.state !== 'waiting');
  const eta = etaSeconds === null ? '' : `${durationText(etaSeconds)} left`;
  const detail = [eta, step?.detail ?? ''].filter((part) => part !== '').join(', ');
  return { percent, step: state === 'queued' ? 'waiting for its turn' : (step?.name ?? operation.kind), detail };
}

function durationText(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3_600
    ? `${Math.floor(seconds / 60)} min ${seconds % 60} s`
    : `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}
