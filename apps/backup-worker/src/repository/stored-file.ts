// How do bytes get into the repository and out again, with constant memory, counted and hashed on the way?
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';

/** What was written. */
export interface StoredFile {
  /** As stored, after compression. */
  readonly bytes: number;
  readonly rawBytes: number;
  /** Of the stored bytes, 64 hex digits. */
  readonly sha256: string;
}

/** Limits and news of a transfer. */
export interface TransferOptions {
  readonly signal: AbortSignal;
  /** Called for each chunk with the uncompressed bytes so far. */
  readonly onBytes?: (rawBytes: number) => void;
}

// Redis compresses values itself (LZF), so a higher level costs much and gains little.
const compressionLevel = 3;

/** Compresses `source` into the new file `path` and resolves when it is on the disk. The file stays behind when it rejects. */
export async function compressInto(path: string, source: Readable, options: TransferOptions): Promise<StoredFile> {
  const hash = createHash('sha256');
  let rawBytes = 0;
  let bytes = 0;
  const zstd = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: compressionLevel, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  await pipeline(
    source,
    async function* count(chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        rawBytes += chunk.length;
        options.onBytes?.(rawBytes);
        yield chunk;
      }
    },
    zstd,
    async function* digest(chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        bytes += chunk.length;
        hash.update(chunk);
        yield chunk;
      }
    },
    createWriteStream(path, { flags: 'wx', mode: 0o640, flush: true }),
    { signal: options.signal },
  );
  return { bytes, rawBytes, sha256: hash.digest('hex') };
}

/** Size and sha256 of a file as it is stored. */
export async function hashFile(path: string, signal: AbortSignal): Promise<Pick<StoredFile, 'bytes' | 'sha256'>> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path, { signal }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Decompresses the file `from` into the new file `to`. Rejects with zlib's error when the content is damaged. */
export async function decompressInto(to: string, from: string, options: TransferOptions): Promise<void> {
  let rawBytes = 0;
  await pipeline(
    createReadStream(from),
    createZstdDecompress(),
    async function* count(chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        rawBytes += chunk.length;
        options.onBytes?.(rawBytes);
        yield chunk;
      }
    },
    createWriteStream(to, { flags: 'wx', mode: 0o600 }),
    { signal: options.signal },
  );
}
