// Where do the objects of a repository lie? The one interface that a directory and an S3-compatible store both fulfil; every
// implementation passes the same conformance suite (object-store-conformance.ts).
//
// Names are `/`-separated, relative, of [A-Za-z0-9._-] in each part, no part begins with a dot. An object appears whole or not at all,
// and is on stable storage once `put` has resolved. Layout below the root: libs/backup/src/layout.ts.
import type { Readable } from 'node:stream';

/** One object, as a listing shows it. */
export interface StoredObject {
  readonly name: string;
  readonly bytes: number;
  readonly modifiedAtMs: number;
}

/** Why a store could not do it. `missing`: no such object; `exists`: with `ifAbsent`, somebody else was first; all else is I/O. */
export class ObjectStoreError extends Error {
  override readonly name = 'ObjectStoreError';
  readonly kind: 'missing' | 'exists' | 'refused' | 'unreachable' | 'full';
  readonly retryable: boolean;

  constructor(kind: ObjectStoreError['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.retryable = kind === 'unreachable';
  }
}

/** How much of an object, and until when. */
export interface GetOptions {
  /** First byte; 0. */
  readonly from?: number;
  /** Byte after the last one; the end. */
  readonly to?: number;
  readonly signal: AbortSignal;
}

/** A store of objects. Methods reject with an ObjectStoreError, or with the signal's reason. */
export interface ObjectStore {
  /** For people and logs, without secrets: a path, or `s3://bucket/prefix at endpoint`. */
  readonly place: string;
  /** Stores that hold the same objects, in the order to read them in; this one alone when it is left out. */
  readonly copies?: readonly ObjectStore[];
  /** Makes sure that it can be written to, and removes what an earlier process left half-written. */
  prepare(signal: AbortSignal): Promise<void>;
  /** All objects whose names begin with `prefix`, in the order of their names (by bytes). */
  list(prefix: string, signal: AbortSignal): AsyncIterable<StoredObject>;
  /** The parts that follow `prefix` (empty or ending in `/`) up to the next `/` in the names of objects, once each, in the order of their bytes. */
  folders(prefix: string, signal: AbortSignal): Promise<readonly string[]>;
  /** The object as a stream; its errors are ObjectStoreErrors, too. */
  get(name: string, options: GetOptions): Promise<Readable>;
  /** A short object as a whole. Rejects with `refused` when it has more than `mostBytes`. */
  read(name: string, mostBytes: number, signal: AbortSignal): Promise<Buffer>;
  /** A short object, at once. `ifAbsent`: rejects with `exists` when there is one by that name. */
  put(
    name: string,
    body: Buffer,
    options: { readonly ifAbsent?: boolean; readonly signal: AbortSignal },
  ): Promise<void>;
  /** An object of any length with constant memory; an upload that breaks off is resumed or begun again inside, and leaves nothing behind when it fails. */
  putStream(name: string, body: () => Readable, signal: AbortSignal): Promise<{ readonly bytes: number }>;
  /** Removes it; without effect when it is not there. */
  remove(name: string, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
