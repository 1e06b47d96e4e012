// What has arrived and is not sealed yet? Raw bytes, and what a segment says of them: when they came, which commands they are, what
// a person may look for in them. Cut only between commands and outside of transactions.
import { createHash } from 'node:crypto';
import { createNotableEvents } from '@switchyard/backup';
import type { SegmentHeader } from '@switchyard/protocol';
import { createCommandScanner, type ScannedCommand } from '@switchyard/replication-link';
import type { Clock } from '@switchyard/runtime';

/** A piece of the stream, ready to be stored, but for its place in the chain. */
export interface SealedPiece extends Pick<
  SegmentHeader,
  'from' | 'to' | 'startedAtMs' | 'endedAtMs' | 'histories' | 'database' | 'times' | 'commands' | 'commandCounts'
> {
  readonly events: SegmentHeader['events'];
  readonly moreEvents: number;
  readonly sha256: string;
  readonly raw: Buffer;
}

/** Where the stream goes on. */
export interface CollectorStart {
  readonly offset: number;
  readonly replicationId: string;
  /** Database that is selected there. */
  readonly database: number;
}

/** Collects one stream. */
export interface StreamCollector {
  /** Takes what has arrived. Throws a ReplicationLinkError when it cannot be understood. */
  push(chunk: Buffer): void;
  /** Everything up to the newest place where a cut is allowed; undefined when there is nothing. */
  seal(): SealedPiece | undefined;
  /** Bytes that could be sealed now. */
  sealableBytes(): number;
  /** Bytes that are held, with those of a command or transaction that has not ended. */
  heldBytes(): number;
  /** When the oldest byte that is held arrived, unix ms; null when none is. */
  oldestAtMs(): number | null;
  /** The newest place where a cut is allowed: what is sealed next ends here. */
  boundary(): CollectorStart;
  /** The connection is over: what came after the boundary comes again. */
  forgetRest(): void;
  /** The history has another name from the boundary on. */
  rename(replicationId: string): void;
}

const timeSlotMs = 10;
const mostNames = 200;
const otherNames = '*';
/** Wall time that went by, other than the steady clock says, counts as a jump from here on. */
const jumpMs = 1_000;

/** A collector that begins at `start`. */
export function createStreamCollector(
  start: CollectorStart,
  clock: Pick<Clock, 'unixMs' | 'monotonicMs'>,
): StreamCollector {
  let chunks: Buffer[] = [];
  let from = start.offset;
  let held = 0;
  let database = start.database;
  let arrivals: { readonly to: number; readonly atMs: number }[] = [];
  let times: [number, number][] = [];
  let histories: SegmentHeader['histories'] = [{ from, replicationId: start.replicationId }];
  let counts = new Map<string, number>();
  let commands = 0;
  // Commands of a transaction that has not ended belong to the segment in which it ends.
  let open: string[] = [];
  let openMore = 0;
  let nowMs = clock.unixMs();
  let steadyMs = clock.monotonicMs();
  const notable = createNotableEvents();

  const count = (name: string, times_ = 1): void => {
    const known = counts.has(name) || counts.size < mostNames - 1;
    const key = known ? name : otherNames;
    counts.set(key, (counts.get(key) ?? 0) + times_);
    commands += times_;
  };
  const onCommand = (command: ScannedCommand): void => {
    notable.see(command, nowMs);
    const { name } = command;
    if (!command.isInTransaction) return count(name);
    if (open.length < 1_000) open.push(name);
    else openMore += 1;
    if (name !== 'EXEC' && name !== 'DISCARD') return;
    for (const one of open) count(one);
    if (openMore > 0) count(otherNames, openMore);
    open = [];
    openMore = 0;
  };
  const scannerAt = (position: number, selected: number): ReturnType<typeof createCommandScanner> =>
    createCommandScanner({ position, database: selected }, onCommand);
  let scanner = scannerAt(from, database);

  const noteTime = (): void => {
    const boundary = scanner.boundary();
    const last = times.at(-1);
    if (boundary === (last?.[0] ?? from)) return;
    if (last !== undefined && Math.floor(last[1] / timeSlotMs) === Math.floor(nowMs / timeSlotMs)) times.pop();
    times.push([boundary, nowMs]);
  };
  const noteClock = (): void => {
    const wall = clock.unixMs();
    const steady = clock.monotonicMs();
    const byMs = wall - nowMs - (steady - steadyMs);
    if (Math.abs(byMs) >= jumpMs) notable.seeClockJump(byMs, scanner.boundary(), wall);
    nowMs = wall;
    steadyMs = steady;
  };

  return {
    push: (chunk) => {
      noteClock();
      chunks.push(chunk);
      held += chunk.length;
      scanner.push(chunk);
      const last = arrivals.at(-1);
      const isSameSlot = last !== undefined && Math.floor(last.atMs / timeSlotMs) === Math.floor(nowMs / timeSlotMs);
      if (isSameSlot) arrivals.pop();
      arrivals.push({ to: from + held, atMs: isSameSlot ? last.atMs : nowMs });
      noteTime();
    },

    seal: () => {
      const to = scanner.boundary();
      if (to === from) return undefined;
      const all = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, held);
      const raw = all.subarray(0, to - from);
      const rest = Buffer.from(all.subarray(to - from));
      const startedAtMs = arrivals[0]?.atMs ?? nowMs;
      const endedAtMs = times.at(-1)?.[1] ?? nowMs;
      const piece: SealedPiece = {
        from,
        to,
        startedAtMs: Math.min(startedAtMs, endedAtMs),
        endedAtMs,
        histories,
        database,
        times,
        commands,
        commandCounts: Object.fromEntries(counts),
        ...notable.take(to),
        sha256: createHash('sha256').update(raw).digest('hex'),
        raw,
      };
      const replicationId = histories.at(-1)?.replicationId ?? start.replicationId;
      chunks = rest.length === 0 ? [] : [rest];
      held = rest.length;
      from = to;
      database = scanner.boundaryDatabase();
      arrivals = arrivals.filter((arrival) => arrival.to > to);
      times = [];
      histories = [{ from, replicationId }];
      counts = new Map();
      commands = 0;
      return piece;
    },

    sealableBytes: () => scanner.boundary() - from,
    heldBytes: () => held,
    oldestAtMs: () => (held === 0 ? null : (arrivals[0]?.atMs ?? nowMs)),
    boundary: () => ({
      offset: scanner.boundary(),
      replicationId: histories.at(-1)?.replicationId ?? start.replicationId,
      database: scanner.boundaryDatabase(),
    }),
    forgetRest: () => {
      const to = scanner.boundary();
      const all = Buffer.concat(chunks, held).subarray(0, to - from);
      chunks = all.length === 0 ? [] : [all];
      held = all.length;
      open = [];
      openMore = 0;
      scanner = scannerAt(to, scanner.boundaryDatabase());
    },
    rename: (replicationId) => {
      const at = scanner.boundary();
      const last = histories.at(-1);
      if (last?.replicationId === replicationId) return;
      histories = [...histories.filter((one) => one.from !== at || one === histories[0]), { from: at, replicationId }];
      // A segment begins with exactly one name.
      if (at === from) histories = [{ from, replicationId }];
      notable.seeHistory(replicationId, at, clock.unixMs());
    },
  };
}
