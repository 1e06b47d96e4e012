// How does a scenario speak HTTP to a yard? One JSON exchange with a deadline; the answer whatever its status.

export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
  readonly text: string;
}

const DEADLINE_MS = 10_000;

/** Sends one request; a body that is not text goes as JSON. An answer that is JSON is parsed. */
export async function ask<T = Record<string, unknown>>(
  url: string,
  options: { readonly method?: string; readonly body?: unknown; readonly headers?: Record<string, string> } = {},
): Promise<Answer<T>> {
  const { method = 'GET', body, headers = {} } = options;
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(url, {
    method,
    headers: { ...(text === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(text === undefined ? {} : { body: text }),
    redirect: 'manual',
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  const answer = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: parsed(answer) as T,
    text: answer,
  };
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
};

/** The distinct instance ids that answered `count` requests one after the other. */
export async function idsSeen(traffic: string, count: number): Promise<string[]> {
  const seen: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const { headers } = await ask(`${traffic}/whoami`);
    seen.push(headers.get('switchyard-instance') ?? '');
  }
  return seen;
}
