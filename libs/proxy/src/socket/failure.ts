// Why did an attempt fail before its answer was there? In words about the instance, and whether it is to blame.
import type { AttemptPhase } from '../retry.ts';

/** A failure before the head of the answer was complete. */
export interface Failure {
  readonly phase: AttemptPhase;
  /** For people, about the instance: "it refused the connection". */
  readonly reason: string;
  readonly timedOut: boolean;
  /** A kept connection that the instance had closed by then. */
  readonly stale: boolean;
  /** The instance is not to blame: this process ran out of something. */
  readonly ours: boolean;
  /** The catalog said that the instance is gone: nothing new about it, and no retry that could keep a service down. */
  readonly removed?: boolean;
}

/** Why an attempt fails that has been in its state for too long. */
export function overdue(
  state: 'connecting' | 'sending' | 'awaiting',
  { limitMs, heard }: { readonly limitMs: number; readonly heard: boolean },
): Pick<Failure, 'phase' | 'reason' | 'timedOut'> {
  if (state === 'connecting') return { phase: 'unsent', reason: `no connection within ${limitMs} ms`, timedOut: true };
  if (state === 'sending') {
    return { phase: 'sent', reason: `it took nothing of the request for ${limitMs} ms`, timedOut: true };
  }
  return { phase: heard ? 'answering' : 'sent', reason: `no answer within ${limitMs} ms`, timedOut: true };
}

const ownShortages: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'it refused the connection',
  EHOSTUNREACH: 'its host cannot be reached',
  ENETUNREACH: 'its network cannot be reached',
  ETIMEDOUT: 'the connection timed out',
  UNASKED: 'it spoke before it was asked',
  ENOTFOUND: 'its host name is unknown',
  EAI_AGAIN: 'its host name cannot be resolved now',
};

/** The error of a connection on which the instance said something before it was asked. */
export function unasked(): NodeJS.ErrnoException {
  return Object.assign(new Error('it spoke before it was asked'), { code: 'UNASKED' });
}

/** The failure behind a connection that closed; without an error it was an ordinary end. */
export function failureOf(
  error: NodeJS.ErrnoException | undefined,
  phase: AttemptPhase,
  wasKept: boolean,
): Omit<Failure, 'phase'> {
  const code = error?.code ?? '';
  const gone = code === '' || code === 'ECONNRESET' || code === 'EPIPE' || code === 'UNASKED';
  const ours = ownShortages.has(code);
  return { reason: reasonOf(code, phase), timedOut: code === 'ETIMEDOUT', stale: wasKept && gone, ours };
}

function reasonOf(code: string, phase: AttemptPhase): string {
  if (ownShortages.has(code)) return `this dispatcher could not open a connection (${code})`;
  if (code === '' || code === 'ECONNRESET' || code === 'EPIPE') {
    return phase === 'unsent' ? 'it closed the connection at once' : 'it closed the connection before it answered';
  }
  return reasons[code] ?? `the connection failed (${code})`;
}
