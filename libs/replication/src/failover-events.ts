// What does one message of a Sentinel change? It marks a phase and becomes a line of evidence.
import { sameAddress } from './address.ts';
import {
  beginAttempt,
  nodeAt,
  note,
  reach,
  type Attempt,
  type FailoverPhase,
  type FollowerState,
} from './failover-state.ts';
import type { SentinelEvent } from './sentinel-parser.ts';

/** Messages about the primary that begin an attempt. */
const signs: ReadonlySet<string> = new Set(['+sdown', '+odown', '+try-failover']);

/** Messages that mark a phase. */
const phases: Readonly<Record<string, FailoverPhase>> = {
  '+sdown': 'sdown',
  '+odown': 'odown',
  '+elected-leader': 'elected',
  '+selected-replica': 'selected',
  '+promoted-replica': 'promoted',
  '+switch-master': 'switched',
};

/** Worth a line, besides those above: what people look for in the logs afterwards. */
const telling: ReadonlySet<string> = new Set([
  '-sdown',
  '-odown',
  '+reboot',
  '+new-epoch',
  '+vote-for-leader',
  '+config-update-from',
  '+failover-end',
  '+failover-end-for-timeout',
  '+tilt',
  '-tilt',
  '+replica-reconf-done',
]);

/** Takes one message. What is about another group, or about nothing that matters here, changes nothing. */
export const followEvent = (
  state: FollowerState,
  { sentinel, event }: { readonly sentinel: string; readonly event: SentinelEvent },
  nowMs: number,
): FollowerState => {
  if (event.group !== null && event.group !== state.group) return state;
  const isPrimary = event.subject?.kind === 'primary';
  const isCurrent = state.known === null || sameAddress(event.subject, state.known.primary);
  const text = `${sentinel} ${event.text}`;
  if (state.attempt === null) {
    if (!isPrimary || !isCurrent || !signs.has(event.type)) return state;
    const attempt = beginAttempt(state, { cause: causeOf(state, sentinel, event), atMs: nowMs, from: event.subject });
    return { ...state, attempt: mark(state, note(attempt, nowMs, text), event, nowMs) };
  }
  const { attempt } = state;
  // Late words about the failover before: its leader ends it a second after the others have switched.
  if (event.primary !== null && attempt.from !== null && !sameAddress(event.primary, attempt.from)) return state;
  if (event.type.startsWith('-failover-abort')) return { ...state, attempt: aborted(note(attempt, nowMs, text)) };
  // Down or up again of a replica or a Sentinel is no step of this failover.
  const isOther = !isPrimary && (event.type.endsWith('sdown') || event.type.endsWith('odown'));
  if (isOther || !(event.type in phases || signs.has(event.type) || telling.has(event.type))) return state;
  return { ...state, attempt: mark(state, note(attempt, nowMs, text), event, nowMs) };
};

const mark = (state: FollowerState, attempt: Attempt, event: SentinelEvent, nowMs: number): Attempt => {
  // The majority has spoken: late messages are evidence, the phases stay as they were seen.
  if (attempt.target !== null) return attempt;
  if (event.type === '+try-failover') {
    const found = attempt.reachedAtMs.sdown !== undefined || attempt.reachedAtMs.odown !== undefined;
    return { ...attempt, requested: !found && serves(state, attempt), progressAtMs: nowMs };
  }
  const phase = phases[event.type];
  if (phase === undefined) return attempt;
  const marked = reach(attempt, phase, nowMs);
  if (phase === 'sdown' || phase === 'odown') return marked;
  if (phase !== 'selected' || event.subject === null) return { ...marked, progressAtMs: nowMs };
  return { ...marked, progressAtMs: nowMs, selected: { host: event.subject.host, port: event.subject.port } };
};

/** A failed try: the next one is waited for from the election on. */
const aborted = (attempt: Attempt): Attempt => {
  if (attempt.target !== null) return attempt;
  const { sdown, odown } = attempt.reachedAtMs;
  return {
    ...attempt,
    selected: null,
    progressAtMs: null,
    writesUnavailableMs: null,
    reachedAtMs: { ...(sdown === undefined ? {} : { sdown }), ...(odown === undefined ? {} : { odown }) },
  };
};

const serves = (state: FollowerState, attempt: Attempt): boolean => nodeAt(state.last, attempt.from)?.seen === true;

const causeOf = (state: FollowerState, sentinel: string, { type, subject }: SentinelEvent): string => {
  const node = nodeAt(state.last, subject);
  const name = node?.name ?? 'the primary';
  if (type !== '+try-failover') return `Sentinel ${sentinel} finds ${name} down`;
  return node?.seen === true
    ? `a failover was requested at Sentinel ${sentinel} while ${name} was serving`
    : `Sentinel ${sentinel} began a failover from ${name}`;
};
