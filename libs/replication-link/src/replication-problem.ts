// Which ways can a replication link fail, and what should a person do next?
// Redis answers with an error word (-LOADING, -NOMASTERLINK, ...); this file gives each a stable code and advice.

/** Why a link could not be opened or did not finish. Stable: callers decide and metrics count by it. */
export type ReplicationProblemCode =
  | 'aborted'
  | 'auth_failed'
  | 'auth_required'
  | 'closed_early'
  | 'connect_failed'
  | 'deadline_exceeded'
  | 'history_failed'
  | 'loading'
  | 'no_master_link'
  | 'no_permission'
  | 'protocol_error'
  | 'refused'
  | 'snapshot_failed'
  | 'stalled';

const advice: Readonly<Record<ReplicationProblemCode, { readonly next: string; readonly retryable: boolean }>> = {
  aborted: { next: 'Start it again if it was not meant to stop.', retryable: true },
  auth_failed: { next: "Check the replication user's name and password.", retryable: false },
  auth_required: { next: 'Give a user and password that may replicate.', retryable: false },
  closed_early: {
    next: "Read the source's log: it restarted, ran out of memory, or cut a replica that read too slowly.",
    retryable: true,
  },
  connect_failed: { next: 'Check that the node runs and that its address is reachable from here.', retryable: true },
  deadline_exceeded: { next: 'Raise the deadline, or copy from a node with less data or load.', retryable: true },
  history_failed: {
    next: 'Read the cause: what was to be served could not be read. Check the repository, then start again.',
    retryable: false,
  },
  loading: { next: 'Wait until the node has loaded its data, or choose another replica.', retryable: true },
  no_master_link: {
    next: 'Choose a replica whose link to its primary is up: this one may hold old data.',
    retryable: true,
  },
  no_permission: { next: 'Grant the user +psync +sync +replconf +ping on the source.', retryable: false },
  protocol_error: { next: 'Check that the address is that of a Redis or Valkey node.', retryable: false },
  refused: { next: "Read the answer above and the source's log.", retryable: false },
  snapshot_failed: {
    next: "Read the source's log: most often it has too little memory to fork, or no room on its disk.",
    retryable: true,
  },
  stalled: { next: 'Check whether the source is frozen or the network drops packets.', retryable: true },
};

/** A replication link that failed: `message` says what, `code` is stable, `next` says what to do, `retryable` whether the same call may succeed later. */
export class ReplicationLinkError extends Error {
  override readonly name = 'ReplicationLinkError';
  readonly code: ReplicationProblemCode;
  readonly next: string;
  readonly retryable: boolean;

  constructor(code: ReplicationProblemCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.next = advice[code].next;
    this.retryable = advice[code].retryable;
  }
}

const codeByErrorWord: Readonly<Record<string, ReplicationProblemCode>> = {
  LOADING: 'loading',
  MASTERDOWN: 'no_master_link',
  NOAUTH: 'auth_required',
  NOMASTERLINK: 'no_master_link',
  NOPERM: 'no_permission',
  WRONGPASS: 'auth_failed',
};

/** Names an error line of the source (`-WORD text`, with or without the dash). `fallback` is used for words that this file does not know. */
export function problemOfErrorLine(line: string, fallback: ReplicationProblemCode = 'refused'): ReplicationProblemCode {
  const word = /^-?([A-Z]+)/.exec(line)?.[1] ?? '';
  return codeByErrorWord[word] ?? fallback;
}

/** Makes text received from a stranger safe for a log or an error message: printable ASCII, at most 120 characters. */
export function printable(text: string): string {
  const clean = text.replaceAll(/[^\u0020-\u007e]/g, '.');
  return clean.length > 120 ? `${clean.slice(0, 120)}...` : clean;
}
