// How does a request get to an instance, and when may it go to another one? As soon as nothing can have happened twice: always when
// no byte was sent or the instance was not the one that was meant, else for idempotent methods (RFC 9110 9.2.2) only.
import { RefusalError } from '@switchyard/protocol';
import type { DiscoveredInstance } from './discovery-news.ts';
import type { DiscoveryTable } from './discovery-table.ts';

/** What requests are made with. */
export interface DiscoveryFetchOptions {
  /** The table of a service, once something is known of it; rejects when that takes too long. */
  readonly tableOf: (service: string, signal: AbortSignal | undefined) => Promise<DiscoveryTable>;
  /** Told which instance an answer came from. */
  readonly note: (response: Response, instance: DiscoveredInstance) => void;
}

/** What became of one attempt. */
type Outcome =
  | { readonly type: 'answered'; readonly response: Response }
  | { readonly type: 'failed'; readonly error: unknown; readonly sent: boolean };

interface Attempt {
  readonly table: DiscoveryTable;
  readonly instance: DiscoveredInstance;
  readonly url: URL;
  readonly init: RequestInit;
  readonly idempotent: boolean;
}

/** Attempts in all, whatever the policy of the service allows. */
const mostAttempts = 3;
/** Each request earns this part of a further attempt at a service that answers badly; a few may come at once. */
const budgetPerRequest = 0.2;
const mostBudget = 10;
const misdirectedStatus = 421;
const brokenGateway = new Set([502, 503, 504]);
const idempotentMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
/** What is said of a connection that never stood. */
const notConnected = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** `fetch`, with the name of a service where the host stands. Rejects as fetch does, or with a RefusalError when nobody is left. */
export const createDiscoveryFetch = (options: DiscoveryFetchOptions) => {
  const { tableOf, note } = options;
  // retries that load instances which are in trouble must not make it worse (Google SRE book, "Handling Overload")
  const budgets = new WeakMap<DiscoveryTable, number>();
  const isAffordable = (table: DiscoveryTable, outcome: Outcome): boolean => {
    if (costsNothing(outcome)) return true;
    const budget = budgets.get(table) ?? mostBudget;
    if (budget < 1) return false;
    budgets.set(table, budget - 1);
    return true;
  };
  return async (input: string | URL, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input);
    const table = await tableOf(url.hostname, init.signal ?? undefined);
    const idempotent = idempotentMethods.has((init.method ?? 'GET').toUpperCase());
    const attempts = isRepeatable(init.body) ? Math.min(mostAttempts, table.policy.retry.attempts) : 1;
    budgets.set(table, Math.min(mostBudget, (budgets.get(table) ?? mostBudget) + budgetPerRequest));
    const tried: string[] = [];
    let last: Outcome | undefined;
    while (tried.length < attempts) {
      const instance = table.pick({ exclude: tried });
      if (instance === undefined || (last !== undefined && !isAffordable(table, last))) break;
      // the answer before this one is not going to be read
      if (last?.type === 'answered') await last.response.body?.cancel();
      tried.push(instance.id);
      last = await attemptAt({ table, instance, url, init, idempotent });
      if (last.type === 'answered') note(last.response, instance);
      if (init.signal?.aborted === true || !mayGoElsewhere(last, idempotent)) break;
    }
    if (last === undefined) throw new RefusalError(nobody(table));
    if (last.type === 'failed') throw last.error;
    return last.response;
  };
};

async function attemptAt({ table, instance, url, init, idempotent }: Attempt): Promise<Outcome> {
  const { id } = instance;
  const target = new URL(url.pathname + url.search, instance.url);
  const headers = new Headers(init.headers);
  headers.set('switchyard-instance', id);
  const gone = new AbortController();
  const signals = [gone.signal, ...(init.signal ? [init.signal] : [])];
  const over = table.begin(id);
  // whoever has died does not answer any more, and a frozen process would let us wait
  const forget = table.onGone(id, () => idempotent && gone.abort(new Error(`${id} has gone`)));
  try {
    const response = await fetch(target, { ...init, headers, signal: AbortSignal.any(signals) });
    if (brokenGateway.has(response.status)) table.failed(id, 'gateway-error', `it answered ${response.status}`);
    else table.answered(id);
    return { type: 'answered', response };
  } catch (error) {
    const sent = !neverSent(error);
    const byCaller = init.signal?.aborted === true;
    if (!byCaller && !gone.signal.aborted) table.failed(id, sent ? 'reset' : 'connect', reasonOf(error));
    return { type: 'failed', error, sent };
  } finally {
    forget();
    over();
  }
}

function mayGoElsewhere(outcome: Outcome, idempotent: boolean): boolean {
  if (outcome.type === 'failed') return idempotent || !outcome.sent;
  const { status } = outcome.response;
  return status === misdirectedStatus || (idempotent && brokenGateway.has(status));
}

/** A death takes all its requests along at once, and is no sign of too much work; an answer that says so is. */
const costsNothing = (outcome: Outcome): boolean =>
  outcome.type === 'failed' || outcome.response.status === misdirectedStatus;

/** What is at hand as a whole can be sent again; a stream cannot. */
const isRepeatable = (body: RequestInit['body']): boolean =>
  typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body);

/** True when the instance cannot have got a byte of the request: there was no connection, or a new one on which nothing went out. */
function neverSent(error: unknown): boolean {
  const cause = causeOf(error);
  if (cause.syscall === 'connect' || notConnected.has(cause.code ?? '')) return true;
  return cause.socket !== undefined && cause.socket.bytesWritten === 0;
}

/** As undici says it: a system error or one of its own, with facts about the socket. */
interface FetchFault {
  readonly code?: string;
  readonly syscall?: string;
  readonly message?: string;
  readonly socket?: { readonly bytesWritten: number };
}

const causeOf = (error: unknown): FetchFault => (error as { readonly cause?: FetchFault } | null)?.cause ?? {};

const reasonOf = (error: unknown): string => {
  const { message, code } = causeOf(error);
  return message || code || String(error);
};

const nobody = (table: DiscoveryTable) => {
  const why = table.instances().map(({ id, reason }) => `${id}: ${reason ?? 'not picked'}`);
  return {
    code: 'no_instance' as const,
    detail: `no instance of ${table.name} can take traffic`,
    why: why.length > 0 ? why : [`no instance of ${table.name} is registered`],
  };
};
