// Which keys does a throw-away server have, and what are they worth? A thousand at a time.
import type { Materialised, ScratchReply } from '../restore/materialise.ts';

/** What is needed of a throw-away server. */
export type Asks = Pick<Materialised, 'ask'>;

/** Keys of one database, and what was found out about them. */
export interface KeyBatch<T> {
  readonly names: readonly Buffer[];
  readonly found: T;
}

/** What keys are worth, in the order of their names. */
export interface KeyStates {
  has(at: number): boolean;
  /** Same value and same time to live. */
  same(other: KeyStates, at: number): boolean;
}

const keysAtOnce = 1_000;
const batchesUnderWay = 3;
/** A server that digests a batch with a key of many millions of elements takes that long. */
const deadlineMs = 600_000;
/** -1 never, -2 not there (any more). */
const expiries =
  "local r = {} for i = 1, #ARGV do r[i] = string.format('%.0f', redis.call('PEXPIRETIME', ARGV[i])) end return table.concat(r, ' ')";
const absent = '-2';

/** A question to a database of `server`. */
export interface Place {
  readonly server: Asks;
  readonly database: number;
  readonly signal: AbortSignal;
}

/** Numbers of keys by database. */
export async function databasesOf(server: Asks, signal: AbortSignal): Promise<ReadonlyMap<number, number>> {
  const text = String(await server.ask(['INFO', 'keyspace'], { deadlineMs, signal }));
  const found = [...text.matchAll(/^db(\d+):keys=(\d+)/gm)];
  return new Map(found.map(([, database, keys]) => [Number(database), Number(keys)]));
}

/** All keys of a database, with what `look` finds out about each batch; the next ones are on their way meanwhile. Some may come twice. */
export async function* scanKeys<T>(
  place: Place,
  match: string | undefined,
  look: (names: readonly Buffer[]) => Promise<T>,
): AsyncGenerator<KeyBatch<T>> {
  const { server, database, signal } = place;
  const underWay: Promise<KeyBatch<T>>[] = [];
  const pattern = match === undefined ? [] : ['MATCH', match];
  let cursor = '0';
  let isAtEnd = false;
  try {
    while (!isAtEnd || underWay.length > 0) {
      if (!isAtEnd) {
        const command = ['SCAN', cursor, ...pattern, 'COUNT', String(keysAtOnce)];
        const [next, list] = listOf(await server.ask(command, { database, deadlineMs, signal }));
        cursor = String(next);
        isAtEnd = cursor === '0';
        const names = listOf(list) as readonly Buffer[];
        if (names.length > 0) {
          const batch = look(names).then((found) => ({ names, found }));
          // Awaited in its turn: one that fails before that is no surprise.
          batch.catch(() => undefined);
          underWay.push(batch);
        }
        if (!isAtEnd && underWay.length < batchesUnderWay) continue;
      }
      const first = underWay.shift();
      if (first !== undefined) yield await first;
    }
  } finally {
    await Promise.allSettled(underWay);
  }
}

/** Which of these keys a database has. */
export async function presenceOf(place: Place, names: readonly Buffer[]): Promise<Pick<KeyStates, 'has'>> {
  const times = await expiriesOf(place, names);
  return { has: (at) => times[at] !== absent };
}

/** What these keys are worth there. */
export async function statesOf(place: Place, names: readonly Buffer[]): Promise<KeyStates> {
  const { server, database, signal } = place;
  const [times, digests] = await Promise.all([
    expiriesOf(place, names),
    server.ask(['DEBUG', 'DIGEST-VALUE', ...names], { database, deadlineMs, signal }).then(listOf),
  ]);
  return new States(times, digests as readonly Buffer[]);
}

class States implements KeyStates {
  readonly #times: readonly string[];
  readonly #digests: readonly Buffer[];

  constructor(times: readonly string[], digests: readonly Buffer[]) {
    this.#times = times;
    this.#digests = digests;
  }

  has(at: number): boolean {
    return this.#times[at] !== absent;
  }

  same(other: KeyStates, at: number): boolean {
    if (!(other instanceof States)) return false;
    const [mine, others] = [this.#digests[at], other.#digests[at]];
    return this.#times[at] === other.#times[at] && mine !== undefined && others !== undefined && mine.equals(others);
  }
}

async function expiriesOf({ server, database, signal }: Place, names: readonly Buffer[]): Promise<readonly string[]> {
  const reply = await server.ask(['EVAL_RO', expiries, '0', ...names], { database, deadlineMs, signal });
  return String(reply).split(' ');
}

function listOf(reply: ScratchReply | undefined): readonly ScratchReply[] {
  if (!Array.isArray(reply)) throw new Error('a throw-away server answered with something else than a list');
  return reply;
}
