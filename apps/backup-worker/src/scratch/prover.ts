// Does a stored data set load, and what is in it then? The only proof of a backup is a server that has read it.
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { RefusalError } from '@switchyard/protocol';
import { keyCounts, type ProofOutcome } from '@switchyard/backup';
import { DeadlineError, type Clock } from '@switchyard/runtime';
import { noServer, whyItEnded, type ScratchEnd } from './scratch-end.ts';
import { makeScratch, scratchVersion, type ScratchServer } from './scratch-server.ts';
import { ObjectStoreError } from '../repository/object-store.ts';

/** Loads data sets into throw-away servers. */
export interface Prover {
  /** Kind and version of the server, `redis 7.0.15`. Rejects with a refusal when there is none. */
  version(signal: AbortSignal): Promise<string>;
  /**
   * Loads a data set and counts and digests its content. `broken` means that the file is at fault; everything else (no server,
   * no room, too old a server, too slow) rejects, because it says nothing about the file.
   */
  load(data: DataSetSource, options: LoadOptions): Promise<ProofOutcome>;
}

/** Where a data set comes from: its bytes, checked against what was stored; rejects with `backup_corrupt` when they are not. */
export type DataSetSource = (signal: AbortSignal) => AsyncIterable<Buffer>;

/** How to load. */
export interface LoadOptions {
  /** Size before compression, to tell how far it is. */
  readonly rawBytes: number;
  readonly signal: AbortSignal;
  /** 0 to 1. */
  readonly onFraction?: (fraction: number) => void;
}

const pollEveryMs = 50;
const questionDeadlineMs = 5_000;
/** Shares of the time that unpacking, and unpacking and loading together, take. */
const unpackedFraction = 0.3;
const loadedFraction = 0.8;

/** A prover that runs `command` (a redis-server) in directories below `scratchDirectory`, each proof within `deadlineMs`. */
export function createProver(options: {
  readonly command: string;
  readonly scratchDirectory: string;
  readonly deadlineMs: number;
  readonly clock: Clock;
}): Prover {
  const { command, scratchDirectory, deadlineMs, clock } = options;

  const load = async (data: DataSetSource, { rawBytes, signal, onFraction }: LoadOptions): Promise<ProofOutcome> => {
    const place = await makeScratch({ command, directory: scratchDirectory });
    try {
      const broken = await unpack(data, place.dataPath, {
        signal,
        onBytes: (bytes) => onFraction?.(rawBytes === 0 ? 0 : (unpackedFraction * bytes) / rawBytes),
      });
      if (broken !== undefined) return broken;
      const server = await place.start().catch((error: unknown) => {
        throw noServer(command, error);
      });
      const failed = await untilLoaded(server, { clock, signal, onFraction });
      if (failed !== undefined) return failed;
      const keys = keyCounts(await server.ask(['INFO', 'keyspace'], questionDeadlineMs, signal));
      const digest = await server.ask(['DEBUG', 'DIGEST'], deadlineMs, signal);
      return { kind: 'loaded', content: { keys, digest } };
    } finally {
      await place.remove();
    }
  };

  return {
    version: async (signal) => {
      try {
        return await scratchVersion(command, signal);
      } catch (error) {
        signal.throwIfAborted();
        throw noServer(command, error);
      }
    },
    load: async (data, loading) => {
      // Not raced against: a proof that is given up still removes its server and its files before it rejects.
      const late = AbortSignal.timeout(deadlineMs);
      try {
        return await load(data, { ...loading, signal: AbortSignal.any([loading.signal, late]) });
      } catch (error) {
        if (late.aborted && !loading.signal.aborted)
          throw new DeadlineError('loading the backup into a throw-away server', deadlineMs);
        throw error;
      }
    },
  };
}

type Broken = Extract<ProofOutcome, { kind: 'broken' }>;

async function unpack(
  data: DataSetSource,
  to: string,
  options: { readonly signal: AbortSignal; readonly onBytes: (bytes: number) => void },
): Promise<Broken | undefined> {
  const { signal, onBytes } = options;
  let bytes = 0;
  try {
    await pipeline(
      data(signal),
      async function* count(chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          bytes += chunk.length;
          onBytes(bytes);
          yield chunk;
        }
      },
      createWriteStream(to, { flags: 'wx', mode: 0o600 }),
      { signal },
    );
    return undefined;
  } catch (error) {
    if (error instanceof ObjectStoreError && error.kind === 'missing')
      return { kind: 'broken', problem: 'Its data file is missing.' };
    // All other errors (no room, no access, no key, cancelled) do not speak against the data.
    if (!(error instanceof RefusalError) || error.refusal.code !== 'backup_corrupt') throw error;
    return { kind: 'broken', problem: error.refusal.why?.[0] ?? error.refusal.detail };
  }
}

async function untilLoaded(
  server: ScratchServer,
  options: { readonly clock: Clock; readonly signal: AbortSignal; readonly onFraction: LoadOptions['onFraction'] },
): Promise<Broken | undefined> {
  const { clock, signal, onFraction } = options;
  for (;;) {
    const end = server.ended();
    if (end !== undefined) return judgeEnd(end, server.output());
    // Until the socket is open, the question fails; the end of the process or the deadline ends the wait.
    const info = await server.ask(['INFO', 'persistence'], questionDeadlineMs, signal).catch(() => '');
    if (/^loading:0/m.test(info)) return undefined;
    const percent = /^loading_loaded_perc:([\d.]+)/m.exec(info)?.[1];
    if (percent !== undefined)
      onFraction?.(unpackedFraction + ((loadedFraction - unpackedFraction) * Number(percent)) / 100);
    await clock.sleep(pollEveryMs, signal);
  }
}

// Only damage speaks against the file.
function judgeEnd(end: ScratchEnd, output: string): Broken {
  const refusal = whyItEnded(end, output);
  if (refusal.code !== 'backup_corrupt') throw new RefusalError(refusal);
  return { kind: 'broken', problem: refusal.detail };
}
