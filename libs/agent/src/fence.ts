// May this work still be done? Whatever is protected by an active/standby service or a lease asks for the fencing token with each
// order, and refuses an order whose token is older than the newest one that it has seen or heard of: then an instance that was
// frozen, and comes back believing that it is still the active one, can do no harm (M. Kleppmann, "How to do distributed locking").
import { activeViewSchema, decodeJson, isErrorCode, problemSchema } from '@switchyard/protocol';
import { registryUrlsIn } from '@switchyard/runtime';
import type { Clock, Logger } from '@switchyard/runtime';
import { createTicker, systemClock } from '@switchyard/runtime';
import type { Component } from '@switchyard/runtime';

export interface FenceOptions {
  readonly service: string;
  /** Base addresses such as `http://127.0.0.1:4721`; SWITCHYARD_REGISTRY_URL unless given. Without any, only `check` works. */
  readonly registryUrls?: readonly string[];
  /** Ms between two questions for the newest token, from `start` on; 1000. */
  readonly refreshMs?: number;
  /** Ms that one registry may take to answer; 500. */
  readonly timeoutMs?: number;
  /** The highest token that a protected resource had kept, so that a restart forgets nothing. */
  readonly highest?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** `highest`: the newest token known, 0 before the first. */
export type FenceVerdict =
  | { readonly ok: true; readonly highest: number }
  | { readonly ok: false; readonly highest: number; readonly reason: string };

export interface Fence extends Component {
  /** At once, from what is known: false for a token older than the newest one. A newer one is remembered. */
  check(token: unknown): FenceVerdict;
  /** Asks a registry, which asks Redis: true only when somebody vouched for the token just now. */
  confirm(token: unknown, signal?: AbortSignal): Promise<FenceVerdict>;
  /** A newer token was heard of elsewhere, such as in a `role` message of the own agent. */
  learn(token: number): void;
  /** Asks for the newest token every `refreshMs`, until `stop`. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

const isToken = (token: unknown): token is number => Number.isSafeInteger(token) && (token as number) > 0;
const silent: Pick<Logger, 'info' | 'warn' | 'error' | 'debug'> = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  debug: () => undefined,
};

type Answer = { readonly status: number; readonly text: string };

/** A fence of `service`. Works from the first `check` on; `start` only makes it learn of newer tokens by itself. */
export function createFence(options: FenceOptions): Fence {
  const { service, refreshMs = 1_000, timeoutMs = 500, clock = systemClock } = options;
  const registryUrls = options.registryUrls ?? registryUrlsIn();
  const path = `/v1/services/${encodeURIComponent(service)}`;
  let highest = isToken(options.highest) ? options.highest : 0;

  const learn = (token: number): void => {
    if (isToken(token)) highest = Math.max(highest, token);
  };
  const refused = (reason: string): FenceVerdict => ({ ok: false, highest, reason });

  /** The first registry that can answer for Redis; rejects when none can. */
  const ask = async (what: string, body: object | undefined, signal: AbortSignal | undefined): Promise<Answer> => {
    const faults: string[] = [];
    for (const url of registryUrls) {
      try {
        const deadline = AbortSignal.timeout(timeoutMs);
        const response = await fetch(new URL(path + what, url), {
          method: body ? 'POST' : 'GET',
          redirect: 'error',
          signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
          ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        });
        const text = await response.text();
        if (response.status < 500) return { status: response.status, text };
        faults.push(`${url} answered ${response.status}`);
      } catch (error) {
        signal?.throwIfAborted();
        const { cause, message } = error as {
          readonly cause?: { readonly message?: string };
          readonly message?: string;
        };
        faults.push(`${url}: ${cause?.message || (message ?? String(error))}`);
      }
    }
    throw new Error(faults.length > 0 ? faults.join('; ') : 'no registry is known: set SWITCHYARD_REGISTRY_URL');
  };

  const refresh = async (signal: AbortSignal): Promise<void> => {
    const { status, text } = await ask('/active', undefined, signal);
    if (status !== 200) throw new Error(`the registry answered ${status} for ${service}`);
    const found = decodeJson(activeViewSchema, text);
    if (found.ok && found.value.fencingToken !== null) learn(found.value.fencingToken);
  };
  const logger = options.logger ?? (silent as Logger);
  const ticker = createTicker({ name: 'fence', everyMs: refreshMs, run: refresh, clock, logger, jitterRatio: 0.1 });

  const check = (token: unknown): FenceVerdict => {
    if (!isToken(token)) return refused('it is no fencing token: a positive integer is');
    if (token < highest) return refused(`${token} is older than ${highest}: another instance was activated`);
    highest = token;
    return { ok: true, highest };
  };

  return {
    name: 'fence',
    check,
    learn,
    async confirm(token, signal) {
      if (!isToken(token)) return refused('it is no fencing token: a positive integer is');
      // what is older than one that was seen needs nobody to be asked
      if (token < highest) return check(token);
      let answer: Answer;
      try {
        answer = await ask('/fence', { fencingToken: token }, signal);
      } catch (error) {
        return refused(`nobody could vouch for it: ${error instanceof Error ? error.message : String(error)}`);
      }
      if (answer.status === 200) return check(token);
      const problem = decodeJson(problemSchema.loose(), answer.text);
      if (!problem.ok || !isErrorCode(problem.value.code)) return refused(`the registry answered ${answer.status}`);
      const newest = problem.value['fencingToken'];
      if (isToken(newest)) learn(newest);
      return refused(problem.value.detail);
    },
    start: () => ticker.start(new AbortController().signal),
    stop: () => ticker.stop(),
  };
}
