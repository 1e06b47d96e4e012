// How are questions to several databases asked on one connection? Each in its own database, whoever asks in between.
import type { Materialised } from '../restore/materialise.ts';
import type { ServerConnection } from './server-connection.ts';

const defaultDeadlineMs = 10_000;

/** `ask` of a `Materialised` over `connection`. A question that was given up is still answered there, so the next one waits for that. */
export function createAsking(connection: ServerConnection): Materialised['ask'] {
  let selected = 0;
  let selection: Promise<unknown> = Promise.resolve();
  const select = (database: number): Promise<unknown> => {
    const reply = connection.ask('SELECT', database);
    reply.catch(() => {
      if (selected === database) selected = -1;
    });
    return reply;
  };
  return async (command, options = {}) => {
    const { deadlineMs = defaultDeadlineMs, signal, database = 0 } = options;
    signal?.throwIfAborted();
    if (database !== selected) {
      selected = database;
      selection = select(database);
    }
    // Sent right behind it. Where there is no such database, the answer is from another one and must not be used.
    const answer = Promise.all([selection, connection.ask(...command)]).then(([, reply]) => reply);
    return within(answer, { deadlineMs, signal, what: String(command[0]) });
  };
}

async function within<T>(
  answer: Promise<T>,
  limits: { readonly deadlineMs: number; readonly signal: AbortSignal | undefined; readonly what: string },
): Promise<T> {
  const { deadlineMs, signal, what } = limits;
  let stop: () => void = () => undefined;
  const givenUp = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: no answer in ${deadlineMs} ms`)), deadlineMs);
    const abort = (): void => reject(signal?.reason instanceof Error ? signal.reason : new Error('cancelled'));
    signal?.addEventListener('abort', abort, { once: true });
    stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
  });
  try {
    return await Promise.race([answer, givenUp]);
  } finally {
    stop();
  }
}
