// How are some keys made what they were, while everybody goes on writing? DUMP there, RESTORE here, in small pieces with the role looked
// at before each, and read back at once. Doing it twice does no harm.
import { keyName } from '../compare/key-name.ts';
import { digestsOf, statesOf, type Place } from '../compare/key-batches.ts';
import type { DifferingKeys } from '../compare/compare.ts';
import type { Materialised, ScratchReply } from '../restore/materialise.ts';
import type { LivePrimary } from './live-primary.ts';

/** What was done so far. */
export interface BroughtBack {
  restored: number;
  removed: number;
  /** Keys that were something else again when they were read back: a client had written to them. */
  writtenSince: number;
  readonly writtenSinceSamples: string[];
}

/** Where from, where to. `bench` is a throw-away server on which a value can be laid down to look at it. */
export interface BringBackWork {
  readonly target: Materialised;
  readonly bench: Materialised;
  readonly primary: LivePrimary;
  readonly signal: AbortSignal;
}

const keysAtOnce = 100;
const bytesAtOnce = 4 * 1024 * 1024;
const deadlineMs = 600_000;
const mostSamples = 10;
/** A database that no data set uses, for looking at values. */
const benchDatabase = 4_095;

/** Time to live and DUMP of each key in turn, until there are enough bytes. */
const valueScript = `local call, reply, bytes, at = redis.call, {}, 0, 2
while at <= #ARGV and bytes < tonumber(ARGV[1]) do
  local value = call('DUMP', ARGV[at])
  reply[#reply + 1] = value and call('PEXPIRETIME', ARGV[at]) or -2
  reply[#reply + 1] = value
  if value then bytes = bytes + #value end
  at = at + 1
end
return reply`;
/** Those whose DUMP has more bytes than allowed, by their place. */
const sizeScript = `local reply = {}
for at = 2, #ARGV do
  local value = redis.call('DUMP', ARGV[at])
  if value and #value > tonumber(ARGV[1]) then reply[#reply + 1] = at - 1 end
end
return reply`;

interface Value {
  readonly name: Buffer;
  /** Unix ms, -1 for never. */
  readonly expiresAtMs: number;
  /** Null: it is to be removed. */
  readonly payload: Buffer | null;
}

/** Names of keys that are too large to be handed over in one piece. */
export async function tooLarge(
  target: Materialised,
  { database, names }: DifferingKeys,
  limits: { readonly bytes: number; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { bytes, signal } = limits;
  const options = { database, deadlineMs, signal };
  const found = await target.ask(['EVAL_RO', sizeScript, '0', String(bytes), ...names], options);
  return listOf(found).map((at) => keyName(names[Number(at) - 1] as Buffer, database));
}

/** Makes `keys` what they were. Rejects with a `PrimaryMovedError`, a `ConnectionLostError`, or the `ErrorReply` of the primary. */
export async function bringBack(work: BringBackWork, keys: DifferingKeys, done: BroughtBack): Promise<void> {
  let at = 0;
  while (at < keys.names.length) {
    const names = keys.names.slice(at, at + keysAtOnce);
    const values = await valuesOf(work, keys, names);
    at += values.length;
    await work.primary.check();
    await write(work.primary, keys.database, values);
    for (const { payload } of values) done[payload === null ? 'removed' : 'restored'] += 1;
    const others = await different(work, keys.database, values);
    done.writtenSince += others.length;
    for (const name of others.slice(0, mostSamples - done.writtenSinceSamples.length))
      done.writtenSinceSamples.push(keyName(name, keys.database));
  }
}

async function valuesOf(work: BringBackWork, keys: DifferingKeys, names: readonly Buffer[]): Promise<Value[]> {
  if (keys.kind === 'removed') return names.map((name) => ({ name, expiresAtMs: -1, payload: null }));
  const options = { database: keys.database, deadlineMs, signal: work.signal };
  const reply = listOf(await work.target.ask(['EVAL_RO', valueScript, '0', String(bytesAtOnce), ...names], options));
  return names.slice(0, reply.length / 2).map((name, at) => {
    const payload = reply[2 * at + 1];
    return { name, expiresAtMs: Number(reply[2 * at]), payload: Buffer.isBuffer(payload) ? payload : null };
  });
}

async function write(primary: LivePrimary, database: number, values: readonly Value[]): Promise<void> {
  const answers = values.map(({ name, expiresAtMs, payload }) =>
    payload === null
      ? primary.ask(['UNLINK', name], { database, deadlineMs })
      : primary.ask(['RESTORE', name, String(Math.max(0, expiresAtMs)), payload, 'REPLACE', 'ABSTTL'], {
          database,
          deadlineMs,
        }),
  );
  // All of them are awaited: none may be under way any more when the work begins anew.
  const failed = (await Promise.allSettled(answers)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

/** Names of keys that are not what was written. */
async function different(
  { target, bench, primary, signal }: BringBackWork,
  database: number,
  values: readonly Value[],
): Promise<readonly Buffer[]> {
  const names = values.map(({ name }) => name);
  const there: Place = { server: target, database, isLasting: false, signal };
  const [wanted, now] = await Promise.all([statesOf(there, names), statesOf({ ...there, server: primary }, names)]);
  const others: Buffer[] = [];
  for (const [at, name] of names.entries()) {
    if (!wanted.has(at) && !now.has(at)) continue;
    if (!wanted.sameTime(now, at)) others.push(name);
    else if (!wanted.sameForm(now, at) && !(await hasSameContent({ target, bench, primary, signal }, database, name)))
      others.push(name);
  }
  return others;
}

/** The same content may be stored in another form, as a set in another order: the present value is laid down where it can be digested. */
async function hasSameContent(work: BringBackWork, database: number, name: Buffer): Promise<boolean> {
  const { target, bench, primary, signal } = work;
  const payload = await primary.ask(['DUMP', name], { database, deadlineMs, signal });
  if (!Buffer.isBuffer(payload)) return false;
  const place: Place = { server: target, database, isLasting: false, signal };
  const expires = Number(await target.ask(['PEXPIRETIME', name], { database, deadlineMs, signal }));
  const laidDown = ['RESTORE', name, String(Math.max(0, expires)), payload, 'REPLACE', 'ABSTTL'];
  await bench.append([laidDown], { database: benchDatabase, signal });
  const [wanted, now] = await Promise.all([
    digestsOf(place, [name]),
    digestsOf({ ...place, server: bench, database: benchDatabase }, [name]),
  ]);
  await bench.append([['UNLINK', name]], { database: benchDatabase, signal });
  return wanted[0] === now[0];
}

function listOf(reply: ScratchReply): readonly ScratchReply[] {
  if (!Array.isArray(reply)) throw new Error('a throw-away server answered with something else than a list');
  return reply;
}
