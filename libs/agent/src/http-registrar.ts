// How does an instance reach the registry? By the catalog API over HTTP, at the first of several registries that answers.
import { decodeJson, drainViewSchema, isErrorCode, ok, problemSchema, refuse } from '@switchyard/protocol';
import type { InstanceInput, Refusal, Result } from '@switchyard/protocol';
import type { Registrar } from './registrar.ts';

/** Where the registries are and what to register. */
export interface HttpRegistrarOptions {
  /** Base addresses such as `http://127.0.0.1:4721`, at least one. */
  readonly registryUrls: readonly string[];
  readonly service: string;
  readonly id: string;
  readonly input: InstanceInput;
  /** Ms for one registry to answer; 1000. */
  readonly timeoutMs?: number;
}

/** What a registry answered: its body, or the status and the refusal when the status is not 2xx. */
type Answer =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly status: number; readonly refusal: Refusal };

/** Longer ones are refused. */
const longestReason = 256;

/** A registrar over the API of contract `/v1/services/{service}/instances/{id}`. Throws when `registryUrls` is empty. */
export const createHttpRegistrar = (options: HttpRegistrarOptions): Registrar => {
  const { registryUrls, input, timeoutMs = 1_000 } = options;
  if (registryUrls.length === 0) throw new Error('createHttpRegistrar needs at least one registry URL');
  const path = `/v1/services/${encodeURIComponent(options.service)}/instances/${encodeURIComponent(options.id)}`;
  /** The registry that answered last is asked first. */
  let preferred = 0;

  const ask = async (method: string, what: { path: string; body?: object }, signal: AbortSignal): Promise<Answer> => {
    const faults: string[] = [];
    for (let turn = 0; turn < registryUrls.length; turn += 1) {
      const index = (preferred + turn) % registryUrls.length;
      const url = new URL(what.path, registryUrls[index]);
      try {
        const answer = await askOne(method, url, { body: what.body, signal, timeoutMs });
        // A registry that is up but cannot work (Redis is away) is not the last word: another one may see Redis.
        if (answer.ok || answer.status < 500) {
          preferred = index;
          return answer;
        }
        faults.push(`${url.origin} answered ${answer.status}: ${answer.refusal.detail}`);
      } catch (error) {
        signal.throwIfAborted();
        faults.push(`${url.origin}: ${reasonOf(error)}`);
      }
    }
    throw new Error(`no registry took ${method} ${what.path}: ${faults.join('; ')}`);
  };

  const carry = async (
    method: string,
    what: { readonly query?: string; readonly body?: object },
    signal: AbortSignal,
  ): Promise<Result<unknown>> => {
    const { query = '', body } = what;
    const answer = await ask(method, { path: path + query, ...(body && { body }) }, signal);
    return answer.ok ? ok(null) : { ok: false, error: answer.refusal };
  };

  return {
    register: (signal) => carry('PUT', { body: input }, signal),
    beat: async (signal, load) => {
      const to = `${path}/heartbeat`;
      let answer = await ask('POST', { path: to, ...(load && { body: { load } }) }, signal);
      // an older registry does not know all that can be said about the load, and the beat matters more
      if (load && !answer.ok && answer.refusal.code === 'invalid_input')
        answer = await ask('POST', { path: to }, signal);
      if (answer.ok) return 'known';
      if (answer.refusal.code === 'unknown_instance' || answer.refusal.code === 'not_found') return 'unknown';
      throw new Error(`the registry refused the heartbeat: ${answer.refusal.detail}`);
    },
    drain: (reason, signal) =>
      carry('PATCH', { body: { intent: 'draining', reason: reason.slice(0, longestReason) } }, signal),
    drained: async (signal) => {
      const answer = await ask('GET', { path: `${path}/drain` }, signal);
      return answer.ok ? decodeJson(drainViewSchema, answer.text) : { ok: false, error: answer.refusal };
    },
    deregister: async (reason, signal) => {
      const query = `?reason=${encodeURIComponent(reason.slice(0, longestReason))}`;
      const answer = await carry('DELETE', { query }, signal);
      const gone = !answer.ok && (answer.error.code === 'unknown_instance' || answer.error.code === 'not_found');
      return gone ? ok(null) : answer;
    },
  };
};

const askOne = async (
  method: string,
  url: URL,
  options: { readonly body: object | undefined; readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<Answer> => {
  const { body, signal, timeoutMs } = options;
  const response = await fetch(url, {
    method,
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    redirect: 'error',
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  // Read in any case, so that the connection can serve the next beat.
  const text = await response.text();
  return response.ok ? { ok: true, text } : { ok: false, status: response.status, refusal: refusalIn(response, text) };
};

/** The refusal in a problem document. Anything else that is no 2xx did not come from a registry. */
const refusalIn = (response: Response, text: string): Refusal => {
  const problem = decodeJson(problemSchema, text);
  if (problem.ok && isErrorCode(problem.value.code)) {
    const { code, detail, why, next } = problem.value;
    return { code, detail, why, next };
  }
  const detail = `${new URL(response.url).origin} answered ${response.status} without a problem document`;
  return refuse('bad_upstream', detail, { next: 'check that the registry URL names a Switchyard registry' }).error;
};

/** fetch hides the reason ("connect ECONNREFUSED ...") in the cause. */
const reasonOf = (error: unknown): string => {
  const { cause, message } = error as { readonly cause?: unknown; readonly message?: string };
  const inner = (cause as { readonly message?: string; readonly code?: string } | undefined) ?? {};
  return inner.message || inner.code || (message ?? String(error));
};
