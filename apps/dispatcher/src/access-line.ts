// What does one line of the access log say? JSON with the same keys in every line, so that a tool can rely on them.
import type { AccessEntry } from '@switchyard/proxy';

/** A request that did not simply go well: such lines are never left out by sampling. */
export function isFailure({ end, status }: Pick<AccessEntry, 'end' | 'status'>): boolean {
  return end !== 'answered' || status >= 500;
}

/** The line with its line feed. Times are ms with three places; `null` where there is nothing to say. */
export function accessLine(entry: AccessEntry, { query }: { readonly query: boolean }): string {
  const { target, startedUnixMs, firstByteMs, attempts } = entry;
  const line = JSON.stringify({
    time: new Date(startedUnixMs).toISOString(),
    requestId: entry.requestId,
    traceId: entry.traceId ?? null,
    listener: entry.listener,
    client: entry.client,
    method: entry.method,
    host: entry.host,
    target: query ? target : withoutQuery(target),
    protocol: entry.protocol,
    userAgent: entry.userAgent ?? null,
    route: entry.route ?? null,
    service: entry.service ?? null,
    instance: entry.instance ?? null,
    end: entry.end,
    status: entry.status,
    code: entry.code ?? null,
    requestBytes: entry.requestBytes,
    answerBytes: entry.answerBytes,
    attempts: attempts.map(({ instance, outcome, tookMs }) => ({ instance, outcome, tookMs: rounded(tookMs) })),
    firstByteMs: firstByteMs === undefined ? null : rounded(firstByteMs),
    tookMs: rounded(entry.tookMs),
  });
  return `${line}\n`;
}

function withoutQuery(target: string): string {
  const at = target.indexOf('?');
  return at < 0 ? target : target.slice(0, at);
}

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;
