// How is every request written down without anybody waiting for it? Lines gather in memory, within a bound, and leave ten times
// a second or when there are many; one write at a time. What the destination does not take in time is dropped and counted.
import type { AccessLog } from '@switchyard/proxy';
import { withDeadline, type Clock, type Component, type Logger } from '@switchyard/runtime';
import { accessLine, isFailure } from './access-line.ts';
import { pathDestination, stdoutDestination, type LogDestination } from './log-destination.ts';

/** What happened to the lines since the start. */
export interface AccessLogStats {
  readonly written: number;
  readonly dropped: number;
  /** Bytes that wait in memory. */
  readonly waitingBytes: number;
}

/** An access log with a life. Start it before the listeners, so that it ends after them. */
export interface AccessLogWriter extends AccessLog, Component {
  stats(): AccessLogStats;
}

export interface AccessLogOptions {
  readonly destination: LogDestination;
  /** Of the requests that went well; the others are always written. */
  readonly samplePercent: number;
  /** False: lines have the path alone. */
  readonly query: boolean;
  /** From 0 to 1, exclusive. */
  readonly random: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** So much may wait in memory; 1 MiB unless given. */
  readonly mostWaitingBytes?: number;
}

interface Batch {
  text: string;
  bytes: number;
  lines: number;
}

const flushEveryMs = 100;
const flushAtBytes = 64 * 1024;
const lookEveryMs = 2_000;
/** So long without a loss, and a series of losses is over: not a line for each of them. */
const calmMs = 1_000;
const openWithinMs = 5_000;
const stopWithinMs = 2_000;

/** A log that is not open yet. */
export function createAccessLog(options: AccessLogOptions): AccessLogWriter {
  const { destination, samplePercent, query, random, clock, logger, mostWaitingBytes = 1024 * 1024 } = options;
  const batches: Batch[] = [];
  /** the rest of the first batch, once a part of it was taken */
  let rest: Buffer | undefined;
  let waitingBytes = 0;
  let written = 0;
  let dropped = 0;
  /** dropped when the present series of losses began; undefined when none are lost */
  let lossesFrom: number | undefined;
  /** what the destination last failed with, in the present series of failures */
  let failure: string | undefined;
  let isFailing = false;
  let isStuck = false;
  let troubleMs = -Infinity;
  let lookedMs = -Infinity;
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> | undefined;
  let stopped = false;

  const isTroubled = (): boolean => lossesFrom !== undefined || failure !== undefined;
  const drop = (): void => {
    dropped += 1;
    troubleMs = clock.monotonicMs();
    if (lossesFrom !== undefined) return;
    lossesFrom = dropped - 1;
    logger.warn({ to: destination.name, waitingBytes, because: failure ?? 'it is too slow' }, 'access_log.dropping');
  };
  const add = (line: string): void => {
    const bytes = Buffer.byteLength(line);
    if (waitingBytes + bytes > mostWaitingBytes) {
      drop();
      return;
    }
    const last = batches.at(-1);
    // the first one may be on its way already
    const isOpen = last !== undefined && (batches.length > 1 || rest === undefined);
    if (isOpen && last.bytes + bytes <= destination.mostBytes) {
      last.text += line;
      last.bytes += bytes;
      last.lines += 1;
    } else batches.push({ text: line, bytes, lines: 1 });
    waitingBytes += bytes;
  };

  // One after the other, until nothing waits or nothing is taken.
  const writeBatches = async (): Promise<void> => {
    if (clock.monotonicMs() - lookedMs >= lookEveryMs) {
      lookedMs = clock.monotonicMs();
      await destination.look();
    }
    for (let first = batches[0]; first !== undefined; first = batches[0]) {
      rest ??= Buffer.from(first.text);
      const taken = await destination.write(rest);
      isStuck = taken === 0;
      if (isStuck) return;
      waitingBytes -= taken;
      if (taken < rest.length) {
        rest = rest.subarray(taken);
        continue;
      }
      rest = undefined;
      batches.shift();
      written += first.lines;
    }
    isFailing = false;
    if (!isTroubled() || clock.monotonicMs() - troubleMs < calmMs) return;
    logger.info({ to: destination.name, dropped: dropped - (lossesFrom ?? dropped) }, 'access_log.recovered');
    lossesFrom = undefined;
    failure = undefined;
  };
  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    flushing ??= writeBatches()
      .catch((error: unknown) => {
        const now = String(error);
        if (now !== failure) logger.warn({ to: destination.name, err: error }, 'access_log.failed');
        failure = now;
        isFailing = true;
        troubleMs = clock.monotonicMs();
      })
      .finally(() => {
        flushing = undefined;
        if (batches.length > 0 || isTroubled()) arm();
      });
    return flushing;
  };
  const arm = (): void => {
    if (!stopped) timer ??= setTimeout(() => void flush(), flushEveryMs).unref();
  };

  return {
    name: 'access-log',
    stopDeadlineMs: stopWithinMs + 1_000,
    wants: () => true,
    record(entry) {
      if (samplePercent < 100 && !isFailure(entry) && random() * 100 >= samplePercent) return;
      add(accessLine(entry, { query }));
      const isUrgent = waitingBytes >= flushAtBytes && !isStuck && !isFailing;
      if (isUrgent && flushing === undefined) void flush();
      else arm();
    },
    stats: () => ({ written, dropped, waitingBytes }),
    async start(signal) {
      const { name } = destination;
      await withDeadline(destination.open(), openWithinMs, { what: `opening ${name}`, signal }).catch(
        (error: unknown) => {
          throw new Error(
            `the access log cannot be written to ${name} (${String(error)}): make its folder, or turn the log off`,
            {
              cause: error,
            },
          );
        },
      );
    },
    async stop() {
      if (stopped) return;
      stopped = true;
      const endsMs = clock.monotonicMs() + stopWithinMs;
      const rush = async (): Promise<void> => {
        await flushing;
        for (;;) {
          if (batches.length === 0 || isFailing || clock.monotonicMs() >= endsMs) return;
          await flush();
          if (isStuck) await clock.sleep(10);
        }
      };
      await withDeadline(rush(), stopWithinMs, { what: 'the last lines' }).catch(() => undefined);
      clearTimeout(timer);
      const lost = batches.reduce((sum, { lines }) => sum + lines, 0);
      dropped += lost;
      if (lost > 0) logger.warn({ to: destination.name, dropped: lost }, 'access_log.lost_at_stop');
      // a destination that never came back keeps its handle: the process ends anyway
      if (flushing === undefined) await destination.close();
    },
  };
}

/** The log that the settings ask for; undefined for none. */
export function accessLogOf(
  settings: { readonly to: string; readonly samplePercent: number; readonly query: boolean },
  context: Pick<AccessLogOptions, 'random' | 'clock' | 'logger'>,
): AccessLogWriter | undefined {
  const { to, ...rest } = settings;
  if (to === 'off') return undefined;
  const destination = to === 'stdout' ? stdoutDestination() : pathDestination(to);
  return createAccessLog({ destination, ...rest, ...context });
}
