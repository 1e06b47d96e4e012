// How is the control API asked? JSON in and out; every answer that is no success becomes a Failure with what, why and what next.
import { problemSchema, type Problem } from '@switchyard/protocol';
import { exitCodes } from './exit-codes.ts';
import { Failure, failureOf } from './failure.ts';

/** A question. */
export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

/** The control API of one installation. */
export interface ApiClient {
  readonly url: string;
  /** The document of a successful answer, undefined when it has none. Rejects with a Failure, or with the signal's reason. */
  ask(request: ApiRequest): Promise<unknown>;
  /** Data of the events of a stream, until it ends. Rejects like `ask`; also when the stream breaks off. */
  events(path: string, signal: AbortSignal): AsyncIterable<unknown>;
}

const answerDeadlineMs = 70_000;
/** Streams are kept alive every 10 s. */
const silenceMs = 35_000;
const longestEvent = 4 * 1024 * 1024;

/** A client of the API below `url`. */
export function createApiClient(url: string): ApiClient {
  const send = async (
    { method = 'GET', path, query = {}, body, signal }: ApiRequest,
    headers: Readonly<Record<string, string>>,
  ): Promise<Response> => {
    const target = new URL(`${url}${path}`);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) target.searchParams.set(name, value);
    try {
      return await fetch(target, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal,
      });
    } catch (error) {
      if (signal.aborted) throw error;
      throw unreachable(url, error);
    }
  };

  const ask = async (request: ApiRequest): Promise<unknown> => {
    const deadline = AbortSignal.timeout(answerDeadlineMs);
    const signal = AbortSignal.any([request.signal, deadline]);
    try {
      const response = await send({ ...request, signal }, { accept: 'application/json, application/problem+json' });
      const text = await response.text();
      if (!response.ok) throw failureOf(problemIn(text, response));
      return text === '' ? undefined : jsonOf(text, request.path);
    } catch (error) {
      if (!deadline.aborted || request.signal.aborted) throw error;
      throw new Failure(`${url}${request.path} did not answer in ${answerDeadlineMs / 1_000} s.`, {
        exitCode: exitCodes.timeout,
      });
    }
  };

  async function* events(path: string, signal: AbortSignal): AsyncGenerator {
    const silence = new AbortController();
    let timer = setTimeout(() => undefined, 0);
    const heard = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new Error('nothing came')), silenceMs);
    };
    heard();
    try {
      const both = AbortSignal.any([signal, silence.signal]);
      const response = await send({ path, signal: both }, { accept: 'text/event-stream' });
      if (!response.ok) throw failureOf(problemIn(await response.text(), response));
      const decoder = new TextDecoder();
      let text = '';
      for await (const chunk of response.body ?? []) {
        heard();
        text += decoder.decode(chunk as Uint8Array, { stream: true });
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const data = dataOf(text.slice(0, end));
          text = text.slice(end + 2);
          if (data !== '') yield jsonOf(data, path);
        }
        if (text.length > longestEvent) throw new Failure(`${path} sent an event without an end.`);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  return { url, ask, events };
}

function dataOf(frame: string): string {
  return frame
    .split('\n')
    .flatMap((line) => (line.startsWith('data:') ? [line.slice(5).trimStart()] : []))
    .join('\n');
}

function jsonOf(text: string, path: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Failure(`${path} answered something that is not JSON: ${JSON.stringify(text.slice(0, 80))}.`, {
      next: 'Check that --url is the control listener of a Switchyard.',
    });
  }
}

function problemIn(text: string, response: Response): Problem {
  try {
    const problem = problemSchema.safeParse(JSON.parse(text));
    if (problem.success) return problem.data;
  } catch {
    // Said below.
  }
  return {
    type: 'about:blank',
    title: response.statusText,
    status: response.status,
    detail: `${new URL(response.url).pathname} answered ${response.status} ${response.statusText}.`,
    code: 'unknown',
    why: [],
    next: 'Check that --url is the control listener of a Switchyard.',
  };
}

function unreachable(url: string, error: unknown): Failure {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const why =
    cause instanceof Error ? cause.message || ('code' in cause ? String(cause.code) : cause.name) : String(cause);
  return new Failure(`${url} cannot be reached.`, {
    why: [why],
    next: 'Start Switchyard (npm start), or name its control listener with --url or SWITCHYARD_URL.',
    exitCode: exitCodes.degraded,
  });
}
