// Which commands of a stream will a person look for after an accident? Those that destroy much at once or change what the rest means.
// Each is told with the position of the last moment before it, so that it can be undone.
import type { NotableEvent } from '@switchyard/protocol';

/** A command of the stream, as a scanner shows it; only looked at during the call. */
export interface SeenCommand {
  /** Upper case. */
  readonly name: string;
  /** Position of its first byte. */
  readonly from: number;
  readonly database: number;
  /** Number of words, the name included. */
  readonly words: number;
  readonly isInTransaction: boolean;
  argument(index: number): Uint8Array;
}

/** What counts as a mass delete. */
export interface NotableEventsOptions {
  /** Keys deleted within one second. 1,000 */
  readonly burstKeys?: number;
  /** Keys deleted by one command. 100 */
  readonly commandKeys?: number;
}

/** Collects the notable events of one stream. State is bounded, and a command that is not notable costs one look-up. */
export interface NotableEvents {
  /** To be called for every command, in order. `atMs`: when it arrived, unix milliseconds. */
  see(command: SeenCommand, atMs: number): void;
  /** The history goes on under another replication id from `position` on: a failover. */
  seeHistory(replicationId: string, position: number, atMs: number): void;
  /** Wall time jumped by `byMs` at `position`: moments by time are not to be trusted around it. */
  seeClockJump(byMs: number, position: number, atMs: number): void;
  /** Takes the events before position `to`, at most 100, oldest first, and how many there were beyond; later ones stay. */
  take(to: number): { readonly events: NotableEvent[]; readonly moreEvents: number };
}

const mostEvents = 100;
const mostWaiting = 1_000;
const bucketMs = 100;
const buckets = 10;

interface Bucket {
  readonly slot: number;
  readonly from: number;
  readonly atMs: number;
  keys: number;
}

interface Burst {
  readonly before: number;
  readonly atMs: number;
  readonly database: number;
  keys: number;
  toldKeys: number;
}

/** A collector for one stream, from any position outside a transaction. */
export function createNotableEvents(options: NotableEventsOptions = {}): NotableEvents {
  const { burstKeys = 1_000, commandKeys = 100 } = options;
  let waiting: NotableEvent[] = [];
  let moreWaiting = 0;
  let transactionFrom: number | null = null;
  let recent: Bucket[] = [];
  let burst: Burst | null = null;

  const tell = (event: NotableEvent): void => {
    if (waiting.length < mostWaiting) waiting.push(event);
    else moreWaiting += 1;
  };
  const tellBurst = (of: Burst): void => {
    of.toldKeys = of.keys;
    const detail = `DEL and UNLINK of ${of.keys} keys in a row (keys that expire or are evicted arrive in the same way)`;
    tell({ kind: 'mass-delete', command: 'DEL', before: of.before, atMs: of.atMs, database: of.database, detail });
  };
  const seeDeletion = (command: SeenCommand, before: number, atMs: number): void => {
    const keys = Math.max(1, command.words - 1);
    const slot = Math.floor(atMs / bucketMs);
    // A clock that was set back makes the buckets meaningless.
    if (recent.some((bucket) => bucket.slot > slot)) recent = [];
    recent = recent.filter((bucket) => bucket.slot > slot - buckets);
    const newest = recent.at(-1);
    if (newest?.slot === slot) newest.keys += keys;
    else recent.push({ slot, from: before, atMs, keys });
    const within = recent.reduce((sum, bucket) => sum + bucket.keys, 0);
    if (burst !== null && within < burstKeys && keys < commandKeys) {
      if (burst.keys > burst.toldKeys) tellBurst(burst);
      burst = null;
    }
    if (burst !== null) {
      burst.keys += keys;
      // Told again when it has doubled: a deletion of a million keys is a handful of entries, all with the same `before`.
      if (burst.keys >= burst.toldKeys * 2) tellBurst(burst);
    } else if (keys >= commandKeys) {
      burst = { before, atMs, database: command.database, keys, toldKeys: 0 };
      tellBurst(burst);
    } else if (within >= burstKeys) {
      const first = recent[0];
      burst = {
        before: first?.from ?? before,
        atMs: first?.atMs ?? atMs,
        database: command.database,
        keys: within,
        toldKeys: 0,
      };
      tellBurst(burst);
    }
  };

  const see = (command: SeenCommand, atMs: number): void => {
    const { name } = command;
    if (name === 'MULTI') {
      transactionFrom = command.from;
      return;
    }
    const kind = notable[name];
    if (kind !== undefined) {
      const before = command.isInTransaction ? (transactionFrom ?? command.from) : command.from;
      if (kind === 'mass-delete') seeDeletion(command, before, atMs);
      else {
        const event = describe(kind, command);
        if (event !== undefined) tell({ kind, command: name, before, atMs, ...event });
      }
    }
    if (name === 'EXEC' || !command.isInTransaction) transactionFrom = null;
  };

  return {
    see,
    seeHistory: (replicationId, position, atMs) =>
      tell({
        kind: 'failover',
        command: '',
        before: position,
        atMs,
        database: null,
        detail: `another node became the primary; the history goes on as ${replicationId}`,
      }),
    seeClockJump: (byMs, position, atMs) =>
      tell({
        kind: 'clock-jump',
        command: '',
        before: position,
        atMs,
        database: null,
        detail: `the clock was set ${byMs < 0 ? 'back' : 'forward'} by ${Math.abs(Math.round(byMs)) / 1_000} s`,
      }),
    take: (to) => {
      const taken = waiting.filter((event) => event.before < to);
      waiting = waiting.filter((event) => event.before >= to);
      const events = withoutRepeats(taken);
      const moreEvents = Math.max(0, events.length - mostEvents) + moreWaiting;
      moreWaiting = 0;
      return { events: events.slice(0, mostEvents), moreEvents };
    },
  };
}

/** Of events that are told again with the same kind and `before`, as a long deletion is, only the last; order is kept. */
export function withoutRepeats<E extends NotableEvent>(events: readonly E[]): E[] {
  const last = new Map<string, E>();
  for (const event of events) last.set(`${event.kind} ${event.before} ${event.command}`, event);
  return [...last.values()];
}

type Described = Pick<NotableEvent, 'database' | 'detail'>;

// No prototype: a command may be called CONSTRUCTOR.
const notable: Readonly<Record<string, NotableEvent['kind'] | undefined>> = Object.freeze(
  Object.assign(Object.create(null) as Record<string, NotableEvent['kind']>, {
    FLUSHALL: 'flush',
    FLUSHDB: 'flush',
    DEL: 'mass-delete',
    UNLINK: 'mass-delete',
    SWAPDB: 'swap',
    FUNCTION: 'functions',
    SCRIPT: 'functions',
  }),
);

function describe(kind: NotableEvent['kind'], command: SeenCommand): Described | undefined {
  const { name, database } = command;
  if (name === 'FLUSHALL') return { database: null, detail: 'all keys of all databases were removed' };
  if (name === 'FLUSHDB') return { database, detail: `all keys of database ${database} were removed` };
  if (kind === 'swap') {
    const [first, second] = [word(command, 1), word(command, 2)];
    return { database: null, detail: `databases ${first} and ${second} were swapped` };
  }
  const subcommand = word(command, 1).toUpperCase();
  if (name === 'SCRIPT')
    return subcommand === 'FLUSH' ? { database: null, detail: 'all cached scripts were removed' } : undefined;
  const change = functionChanges[subcommand];
  if (change === undefined) return undefined;
  return { database: null, detail: subcommand === 'DELETE' ? `${change}: ${word(command, 2)}` : change };
}

const functionChanges: Readonly<Record<string, string | undefined>> = Object.freeze({
  LOAD: 'a library of functions was loaded',
  DELETE: 'a library of functions was deleted',
  FLUSH: 'all libraries of functions were removed',
  RESTORE: 'libraries of functions were restored from a dump',
});

const mostWord = 40;

// What is shown to people comes from a stranger's bytes: printable ASCII, and not much of it.
function word(command: SeenCommand, index: number): string {
  if (index >= command.words) return '?';
  let text = '';
  for (const byte of command.argument(index).subarray(0, mostWord))
    text += byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?';
  return text;
}
