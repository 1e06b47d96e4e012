// Which keys does a throw-away server have, and what are they worth? A thousand at a time.
import type { Materialised, ScratchReply } from '../restore/materialise.ts';

/** What is needed of a throw-away server. */
export type Asks = Pick<Materialised, 'ask'>;

/** What keys are worth, in the order of their names. */
export interface KeyStates {
  readonly times: readonly string[];
  readonly sums: Buffer;
  has(at: number): boolean;
  sameTime(other: KeyStates, at: number): boolean;
  /** Same value in the same form. Where it is false, the value may be the same in another form: `digestsOf` tells. */
  sameForm(other: KeyStates, at: number): boolean;
}

const keysAtOnce = 1_000;
const batchesUnderWay = 3;
/** A server that digests a batch with a key of many millions of elements takes that long. */
const deadlineMs = 600_000;
/** A share of the script's keys is enough for one go: nobody else is answered meanwhile. */
const mostBytesAtOnce = 64 * 1024 * 1024;
const absent = '-2';
/** Expiries: -1 never, -2 not there (any more). */
const expiryScript =
  "local call, r = redis.call, {} for i = 1, #ARGV do r[i] = call('PEXPIRETIME', ARGV[i]) end return table.concat(r, ' ')";
/** The same, and the CRC64 that ends the DUMP of each: nothing for one that is not there. */
const stateScript = `local call, sub, lasting, times, sums, bytes, at = redis.call, string.sub, ARGV[2] == '1', {}, {}, 0, 3
while at <= #ARGV and bytes < ${mostBytesAtOnce} do
  local value = call('DUMP', ARGV[at])
  times[#times + 1] = not value and ${absent} or lasting and -1 or call('PEXPIRETIME', ARGV[at])
  sums[#sums + 1] = value and sub(value, -8) or ARGV[1]
  if value then bytes = bytes + #value end
  at = at + 1
end
return { table.concat(times, ' '), table.concat(sums) }`;
const sumBytes = 8;
const noSum = Buffer.alloc(sumBytes);

/** Numbers of one database. */
export interface KeyNumbers {
  readonly keys: number;
  /** Of them with a time to live. */
  readonly expires: number;
}

/** A question to a database of `server`. */
export interface Place {
  readonly server: Asks;
  readonly database: number;
  /** None of its keys has a time to live: asking for it would take a third of the time. */
  readonly isLasting: boolean;
  readonly signal: AbortSignal;
}

/** How many keys there are in each database that has any, and how many of them have a time to live. */
export async function databasesOf(server: Asks, signal: AbortSignal): Promise<ReadonlyMap<number, KeyNumbers>> {
  const text = String(await server.ask(['INFO', 'keyspace'], { deadlineMs, signal }));
  const found = [...text.matchAll(/^db(\d+):keys=(\d+),expires=(\d+)/gm)].map((words) => words.map(Number));
  return new Map(found.map(([, database = 0, keys = 0, expires = 0]) => [database, { keys, expires }]));
}

/** What `look` finds out about all keys of a database, batch by batch; the next ones are on their way meanwhile. Some may come twice. */
export async function* scanKeys<T>(
  place: Place,
  which: { readonly match: string | undefined; readonly except: string | undefined },
  look: (names: readonly Buffer[]) => Promise<T>,
): AsyncGenerator<T> {
  const { server, database, signal } = place;
  const underWay: Promise<T>[] = [];
  const pattern = which.match === undefined ? [] : ['MATCH', which.match];
  const except = Buffer.from(which.except ?? '');
  let cursor = '0';
  let isAtEnd = false;
  try {
    while (!isAtEnd || underWay.length > 0) {
      if (!isAtEnd) {
        const command = ['SCAN', cursor, ...pattern, 'COUNT', String(keysAtOnce)];
        const [next, list] = listOf(await server.ask(command, { database, deadlineMs, signal }));
        cursor = String(next);
        isAtEnd = cursor === '0';
        const found = listOf(list) as readonly Buffer[];
        const names = except.length === 0 ? found : found.filter((name) => !startsWith(name, except));
        if (names.length > 0) {
          const batch = look(names);
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
  const { server, database, signal } = place;
  const reply = await server.ask(['EVAL_RO', expiryScript, '0', ...names], { database, deadlineMs, signal });
  const times = String(reply).split(' ');
  return { has: (at) => times[at] !== absent };
}

/** What these keys are worth there. */
export async function statesOf(place: Place, names: readonly Buffer[]): Promise<KeyStates> {
  const { server, database, isLasting, signal } = place;
  const times: string[] = [];
  const sums: Buffer[] = [];
  while (times.length < names.length) {
    const rest = times.length === 0 ? names : names.slice(times.length);
    const command = ['EVAL_RO', stateScript, '0', noSum, isLasting ? '1' : '0', ...rest];
    const [someTimes, someSums] = listOf(await server.ask(command, { database, deadlineMs, signal }));
    times.push(...String(someTimes).split(' '));
    sums.push(someSums as Buffer);
  }
  const all = Buffer.concat(sums);
  return {
    times,
    sums: all,
    has: (at) => times[at] !== absent,
    sameTime: (other, at) => times[at] === other.times[at],
    sameForm: (other, at) => {
      const [from, to] = [at * sumBytes, (at + 1) * sumBytes];
      return all.compare(other.sums, from, to, from, to) === 0;
    },
  };
}

/** Digests of the values of these keys, 40 hex digits each, whatever their form: ten times slower. */
export async function digestsOf(
  { server, database, signal }: Place,
  names: readonly Buffer[],
): Promise<readonly string[]> {
  const reply = await server.ask(['DEBUG', 'DIGEST-VALUE', ...names], { database, deadlineMs, signal });
  return listOf(reply).map(String);
}

function startsWith(name: Buffer, prefix: Buffer): boolean {
  return name.length >= prefix.length && name.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}

function listOf(reply: ScratchReply | undefined): readonly ScratchReply[] {
  if (!Array.isArray(reply)) throw new Error('a throw-away server answered with something else than a list');
  return reply;
}
