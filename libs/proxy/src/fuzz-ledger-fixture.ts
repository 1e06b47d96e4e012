// Who has asked what, who has said what, and what of it must never have happened? Used by tests and by tools/chaos/fuzz-proxy.mjs.
import type { IncomingMessage } from 'node:http';
import { markText, type Mark } from './fuzz-messages-fixture.ts';

/** Something that must never happen. */
export interface Finding {
  readonly what: string;
  readonly detail: string;
  /** Number of the client, where one is known. */
  readonly input: number | undefined;
}

/** A request that the bytes of a client make. `body` undefined: it did not come to its end. */
export interface Meaning {
  readonly method: string;
  readonly target: string;
  readonly body: string | undefined;
}

/** The books of one run. */
export interface FuzzLedger {
  readonly findings: Finding[];
  hostileAnswers: number;
  /** A late word of an instance was taken for the answer to a question that was on its way already: nobody could have known. */
  raced: number;
  find(what: string, detail: string, input?: number): void;
  /** From now on these requests may arrive. */
  expect(meanings: readonly Meaning[]): void;
  arrived(request: IncomingMessage): void;
  completed(request: IncomingMessage, body: string): void;
  said(mark: Mark): void;
  unaskedMark(): Mark;
  /** A client got bytes that were said to another request; its own began at `sinceMs`. */
  strayed(mark: Mark, sinceMs: number, input: number): void;
}

/** Findings beyond these say nothing new. */
const MOST_FINDINGS = 50;
/** So many clients, and so many words of origins, are remembered. */
const REMEMBERED = 40_000;
/** What was said so long before a question began was there to be seen. */
const SEEN_MS = 20;

interface Expected {
  readonly bodies: (string | undefined)[];
  completed: number;
}

/** Empty books. */
export function createFuzzLedger(nowMs: () => number): FuzzLedger {
  const expected = new Map<string, Expected>();
  const saidMs = new Map<string, number>();
  let unasked = 0;
  const trim = (map: Map<string, unknown>): void => {
    for (const key of map.keys()) {
      if (map.size <= REMEMBERED) return;
      map.delete(key);
    }
  };

  const ledger: FuzzLedger = {
    findings: [],
    hostileAnswers: 0,
    raced: 0,
    find(what, detail, input) {
      if (ledger.findings.length < MOST_FINDINGS) ledger.findings.push({ what, detail: detail.slice(0, 4_000), input });
    },
    expect(meanings) {
      for (const { method, target, body } of meanings) {
        const key = `${method} ${target}`;
        const entry = expected.get(key) ?? { bodies: [], completed: 0 };
        entry.bodies.push(body);
        if (entry.bodies.length > 64) entry.bodies.shift();
        expected.delete(key);
        expected.set(key, entry);
      }
      trim(expected);
    },
    arrived({ method, url, rawHeaders }) {
      const key = `${method} ${url}`;
      if (!expected.has(key)) ledger.find('a request arrived that nobody made', `${key} ${rawHeaders.join('|')}`);
      const fault = headFault(rawHeaders);
      if (fault !== undefined) ledger.find(fault, `${key} ${rawHeaders.join('|')}`);
    },
    completed({ method = '', url }, body) {
      const entry = expected.get(`${method} ${url}`);
      if (entry === undefined) return;
      entry.completed += 1;
      if (!entry.bodies.includes(body)) {
        ledger.find('a body arrived that nobody sent', `${method} ${url} ${JSON.stringify(body)}`);
      }
      if (entry.completed > entry.bodies.length && (method === 'POST' || method === 'PATCH')) {
        ledger.find('a request arrived more often than it was made', `${method} ${url}`);
      }
    },
    said(mark) {
      if (mark.flag === 'b') return;
      const key = markText(mark);
      saidMs.delete(key);
      saidMs.set(key, nowMs());
      trim(saidMs);
    },
    unaskedMark() {
      unasked += 1;
      return { input: -unasked, index: 0, flag: 'h' };
    },
    strayed(mark, sinceMs, input) {
      const said = saidMs.get(markText(mark));
      if (mark.flag === 'h' && said !== undefined && sinceMs <= said + SEEN_MS) ledger.raced += 1;
      else {
        const age = said === undefined ? 'unknown' : `${Math.round(sinceMs - said)} ms`;
        ledger.find('an answer reached a request that it was not for', `${markText(mark)}, said before: ${age}`, input);
      }
    },
  };
  return ledger;
}

/** What no head that the engine sends may have. */
function headFault(rawHeaders: readonly string[]): string | undefined {
  const names = rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
  const count = (name: string): number => names.filter((each) => each === name).length;
  if (count('host') !== 1) return 'a request arrived without exactly one Host';
  if (count('content-length') + count('transfer-encoding') > 1) return 'a request arrived with two framings';
  if (
    names.some((name) =>
      /^(?:content_length|transfer_encoding|x_forwarded_(?:for|host|proto|prefix)|keep-alive|http2-settings)$/.test(
        name,
      ),
    )
  ) {
    return 'a request arrived with a field that ends at the engine';
  }
  const client = rawHeaders[rawHeaders.findIndex((name) => name.toLowerCase() === 'x-forwarded-for') + 1] ?? '';
  return /^127\.0\.1\.\d+$/.test(client) && count('x-forwarded-for') === 1
    ? undefined
    : 'a request arrived with a forged X-Forwarded-For';
}
