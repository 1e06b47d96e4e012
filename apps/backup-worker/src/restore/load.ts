// What is fed to a throw-away server? The data set of a base and the stream after it, watched: whatever is wrong with them is known
// here first, and how far it is.
import { Readable } from 'node:stream';
import { ok, refuse, RefusalError, type BackupManifest, type RestorePoint, type Result } from '@switchyard/protocol';
import { rdbHeadBytes, readRdbHead, type StoredBackup } from '@switchyard/backup';
import type { ServedHistory } from '@switchyard/replication-link';
import type { Clock } from '@switchyard/runtime';
import type { StreamRange } from '../archive/archive.ts';
import type { MaterialiseProgress, MaterialiseWork } from './materialise.ts';

/** Where bases and streams come from. */
export interface MaterialSource {
  find(label: string, group: string): Promise<Result<StoredBackup>>;
  /** The data set of a base, verified before its last byte; rejects or fails with a RefusalError when it is damaged. */
  data(manifest: BackupManifest, signal: AbortSignal): Readable | Promise<Readable>;
  /** The stream; see `Archive.stream`. */
  stream(range: StreamRange, signal: AbortSignal): AsyncIterable<Buffer>;
}

/** The data set of a base, after a look at its first bytes. Refuses with `backup_corrupt` when they are those of something else. */
export async function openData(
  source: MaterialSource,
  manifest: BackupManifest,
  signal: AbortSignal,
): Promise<Result<{ readonly first: Readable; readonly usedMemoryBytes: number | undefined }>> {
  const stream = await source.data(manifest, signal);
  const chunks = stream.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  const start: Buffer[] = [];
  let bytes = 0;
  while (bytes < rdbHeadBytes) {
    const chunk = await chunks.next();
    if (chunk.done === true) break;
    start.push(chunk.value);
    bytes += chunk.value.length;
  }
  const head = readRdbHead(Buffer.concat(start).subarray(0, rdbHeadBytes));
  if (head === undefined) {
    stream.destroy();
    return refuse('backup_corrupt', `${manifest.label} does not begin like a data set.`);
  }
  async function* whole(): AsyncGenerator<Buffer> {
    try {
      yield* start;
      yield* { [Symbol.asyncIterator]: () => chunks };
    } finally {
      stream.destroy();
    }
  }
  return ok({ first: Readable.from(whole()), usedMemoryBytes: head.usedMemoryBytes });
}

/** What is served, how far it is, and why it ended. */
export interface Load {
  readonly history: ServedHistory;
  failure(): unknown;
  /** Whatever makes this reject is why it ended, unless something is known already. */
  watch(serving: Promise<unknown>): void;
  end(): void;
  /** Tells how far it is, with the offset that the server has reached; -1 while it loads. */
  report(reached: number): void;
}

/** The history that ends at `point`; `first` is read for the first replica that asks. */
export function createLoad(
  options: MaterialiseWork & {
    readonly point: RestorePoint;
    readonly manifest: BackupManifest;
    readonly source: MaterialSource;
    readonly first: Readable;
    readonly clock: Clock;
  },
): Load {
  const { point, manifest, source, clock, signal } = options;
  const life = new AbortController();
  const both = AbortSignal.any([signal, life.signal]);
  const { offset, replicationId } = manifest.source;
  const baseBytes = manifest.files[0]?.rawBytes ?? 0;
  const totalBytes = baseBytes + point.streamBytes;
  const startedMs = clock.monotonicMs();
  let unpacked = 0;
  let lastBytes = -1;
  let failure: unknown;
  let first: Readable | undefined = options.first;

  async function* watched(
    chunks: AsyncIterable<Buffer>,
    { what, bytes, onBytes }: { what: string; bytes: number; onBytes?: (bytes: number) => void },
  ): AsyncGenerator<Buffer> {
    let given = 0;
    try {
      for await (const chunk of chunks) {
        given += chunk.length;
        if (given > bytes) break;
        onBytes?.(chunk.length);
        yield chunk;
      }
      if (given !== bytes)
        throw new RefusalError({
          code: 'backup_corrupt',
          detail: `${what} has ${given > bytes ? 'more' : 'less'} than the ${bytes} bytes that it should have.`,
        });
    } catch (error) {
      if (!both.aborted) failure ??= error;
      throw error;
    }
  }
  async function* again(): AsyncGenerator<Buffer> {
    yield* (await source.data(manifest, both)) as AsyncIterable<Buffer>;
  }
  const { timeline } = point;

  return {
    history: {
      replicationId,
      offset,
      end: point.offset,
      rdb: () => {
        const stream = first ?? Readable.from(again());
        first = undefined;
        unpacked = 0;
        const onBytes = (bytes: number): void => {
          unpacked += bytes;
        };
        const watching = watched(stream, { what: `The data set of ${manifest.label}`, bytes: baseBytes, onBytes });
        return { stream: Readable.from(watching), bytes: baseBytes };
      },
      ...(timeline === null || point.streamBytes === 0
        ? {}
        : {
            after: (from, ended) =>
              watched(source.stream({ timeline, from, to: point.offset }, ended), {
                what: `The stream from ${from} on`,
                bytes: point.offset - from,
              }),
          }),
    },
    failure: () => failure,
    watch: (serving) => {
      serving.catch((error: unknown) => {
        if (!both.aborted) failure ??= error;
      });
    },
    end: () => {
      first?.destroy();
      life.abort();
    },
    report: (reached) => {
      const applied = reached < 0 ? 0 : Math.max(0, reached - offset);
      const bytes = (reached < 0 ? Math.min(unpacked, baseBytes) : baseBytes) + applied;
      if (bytes === lastBytes || options.report === undefined) return;
      lastBytes = bytes;
      options.report(
        progressOf({ bytes, totalBytes, tookMs: clock.monotonicMs() - startedMs, isStream: reached >= 0 }),
      );
    },
  };
}

function progressOf(facts: {
  readonly bytes: number;
  readonly totalBytes: number;
  readonly tookMs: number;
  readonly isStream: boolean;
}): MaterialiseProgress {
  const { bytes, totalBytes, tookMs, isStream } = facts;
  const etaMs = bytes === 0 || tookMs < 250 ? null : (tookMs * (totalBytes - bytes)) / bytes;
  const megabytes = (count: number): string => (count / 1_000_000).toFixed(1);
  return {
    fraction: totalBytes === 0 ? 1 : Math.min(1, bytes / totalBytes),
    detail: `${isStream ? 'stream' : 'base'}: ${megabytes(bytes)} of ${megabytes(totalBytes)} MB`,
    bytes,
    totalBytes,
    etaSeconds: etaMs === null ? null : Math.ceil(etaMs / 1_000),
  };
}
