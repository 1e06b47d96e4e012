// How do bytes become what is stored, and back? Compressed (zstd), then encrypted when there is a key (AES-256-GCM), then hashed,
// with constant memory. The name of the object is authenticated with it: one object cannot be passed off as another.
import { createCipheriv, createDecipheriv, createHash, randomBytes, type CipherGCM } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { constants, createZstdCompress, createZstdDecompress, zstdCompress, type ZstdOptions } from 'node:zlib';
import { RefusalError, type Encryption } from '@switchyard/protocol';
import { codeOf, textOf } from '../system-error.ts';
import type { EncryptionKey, EncryptionKeys } from './encryption-keys.ts';

/** What is known of stored bytes. */
export interface StoredFacts {
  /** As stored. */
  readonly bytes: number;
  /** Of the stored bytes, 64 hex digits. */
  readonly sha256: string;
  readonly compression: 'zstd' | 'none';
  readonly encryption?: Encryption | undefined;
}

/** What a stream became. */
export interface SealedFacts extends StoredFacts {
  readonly rawBytes: number;
  readonly compression: 'zstd';
}

/** Whose bytes, and with which keys. */
export interface CodecOptions {
  /** The object's name. */
  readonly name: string;
  readonly keys: EncryptionKeys;
  readonly signal: AbortSignal;
}

const tagBytes = 16;
/** GCM counts blocks of one nonce with 32 bits (NIST SP 800-38D, 5.2.1.1): 2^36 - 32 bytes. */
const longestWithOneNonce = 2 ** 36 - 32;
// Redis compresses values itself (LZF), so a higher level costs much and gains little.
const zstdOptions: ZstdOptions = {
  params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
};
const compress = promisify(zstdCompress);

/** Short bytes, ready to be stored. */
export async function sealBuffer(
  raw: Buffer,
  { name, keys }: Pick<CodecOptions, 'name' | 'keys'>,
): Promise<{ readonly stored: Buffer; readonly facts: StoredFacts }> {
  let stored = await compress(raw, zstdOptions);
  let encryption: Encryption | undefined;
  if (keys.current !== undefined) {
    const cipher = cipherOf(keys.current, name);
    stored = Buffer.concat([cipher.stream.update(stored), cipher.stream.final(), cipher.stream.getAuthTag()]);
    encryption = cipher.encryption;
  }
  const sha256 = createHash('sha256').update(stored).digest('hex');
  return { stored, facts: { bytes: stored.length, sha256, compression: 'zstd', ...(encryption && { encryption }) } };
}

/**
 * A stream, ready to be stored: `stored` gives the bytes, `facts` is to be asked once it has ended. Errors of `source` and the
 * signal's reason come out of `stored`; an object too long for one nonce is refused.
 */
export function sealStream(
  source: Readable,
  { name, keys, signal, onBytes }: CodecOptions & { readonly onBytes?: ((rawBytes: number) => void) | undefined },
): { readonly stored: Readable; facts(): SealedFacts } {
  const hash = createHash('sha256');
  const cipher = keys.current === undefined ? undefined : cipherOf(keys.current, name);
  let rawBytes = 0;
  let bytes = 0;
  let isComplete = false;
  const zstd = createZstdCompress(zstdOptions);
  const fed = pipeline(
    source,
    async function* count(chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        rawBytes += chunk.length;
        onBytes?.(rawBytes);
        yield chunk;
      }
    },
    zstd,
    { signal },
  );
  // Its failure reaches the reader through `zstd`.
  fed.catch(() => undefined);
  const out = async function* seal(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of zstd as AsyncIterable<Buffer>) {
        const piece = cipher === undefined ? chunk : cipher.stream.update(chunk);
        bytes += piece.length;
        if (cipher !== undefined && bytes > longestWithOneNonce) throw tooLongToEncrypt(name);
        hash.update(piece);
        yield piece;
      }
      if (cipher !== undefined) {
        const last = Buffer.concat([cipher.stream.final(), cipher.stream.getAuthTag()]);
        bytes += last.length;
        hash.update(last);
        yield last;
      }
      isComplete = true;
    } finally {
      source.destroy();
      zstd.destroy();
    }
  };
  return {
    stored: Readable.from(out(), { objectMode: false }),
    facts: () => {
      if (!isComplete) throw new Error(`${name} was not written to its end.`);
      const sha256 = hash.digest('hex');
      return { bytes, rawBytes, sha256, compression: 'zstd', ...(cipher && { encryption: cipher.encryption }) };
    },
  };
}

/**
 * The original bytes of a stored stream. Its last piece comes only after all stored bytes were found to be those of `facts`. Rejects
 * with a RefusalError: `backup_corrupt` when they are not, `key_missing` when they were encrypted with a key that is not here.
 */
export async function* openStream(
  stored: Readable,
  facts: StoredFacts,
  { name, keys, signal }: CodecOptions,
): AsyncGenerator<Buffer> {
  try {
    const key = facts.encryption === undefined ? undefined : keyFor(facts.encryption, { name, keys });
    const checked = checkedBytes(stored, facts, name);
    const plain =
      facts.encryption === undefined || key === undefined
        ? checked
        : decrypted(checked, { name, key, encryption: facts.encryption, bytes: facts.bytes });
    const raw = facts.compression === 'zstd' ? decompressed(plain, { name, signal }) : plain;
    let held: Buffer | undefined;
    for await (const chunk of raw) {
      if (held !== undefined) yield held;
      held = chunk;
    }
    if (held !== undefined) yield held;
  } finally {
    stored.destroy();
  }
}

/** Whether stored bytes are those of `facts`: undefined, or what is wrong with them. I/O errors reject. */
export async function damageOf(stored: Readable, facts: StoredFacts): Promise<string | undefined> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of stored as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  if (bytes !== facts.bytes) return `it has ${bytes} bytes; it should have ${facts.bytes}`;
  const sha256 = hash.digest('hex');
  return sha256 === facts.sha256 ? undefined : `its sha256 is ${sha256}; it should be ${facts.sha256}`;
}

/** The refusal of an object whose bytes are not what was written. */
export function corrupt(name: string, problem: string, cause?: unknown): RefusalError {
  return new RefusalError(
    { code: 'backup_corrupt', detail: `${name} is damaged: ${problem}.`, why: [`${name}: ${problem}`] },
    { cause },
  );
}

async function* checkedBytes(stored: Readable, facts: StoredFacts, name: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of stored as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > facts.bytes) throw corrupt(name, `it has more than the ${facts.bytes} bytes it should have`);
    hash.update(chunk);
    // The whole is judged before the last byte goes on.
    if (bytes === facts.bytes) judge(hash.digest('hex'), facts, name);
    yield chunk;
  }
  if (bytes < facts.bytes) throw corrupt(name, `it has ${bytes} bytes; it should have ${facts.bytes}`);
  if (facts.bytes === 0) judge(hash.digest('hex'), facts, name);
}

function judge(sha256: string, facts: StoredFacts, name: string): void {
  if (sha256 !== facts.sha256) throw corrupt(name, `its sha256 is ${sha256}; it should be ${facts.sha256}`);
}

async function* decrypted(
  chunks: AsyncIterable<Buffer>,
  about: {
    readonly name: string;
    readonly key: EncryptionKey;
    readonly encryption: Encryption;
    readonly bytes: number;
  },
): AsyncGenerator<Buffer> {
  const { name, key, encryption, bytes } = about;
  const decipher = createDecipheriv('aes-256-gcm', key.key, Buffer.from(encryption.nonce, 'hex'), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(Buffer.from(name));
  const contentBytes = bytes - tagBytes;
  if (contentBytes < 0) throw corrupt(name, 'it is too short to be encrypted');
  const tag: Buffer[] = [];
  let seen = 0;
  for await (const chunk of chunks) {
    const own = chunk.subarray(0, Math.max(0, Math.min(chunk.length, contentBytes - seen)));
    seen += chunk.length;
    if (own.length < chunk.length) tag.push(chunk.subarray(own.length));
    if (own.length > 0) yield decipher.update(own);
  }
  try {
    decipher.setAuthTag(Buffer.concat(tag));
    yield decipher.final();
  } catch (error) {
    throw corrupt(name, `it does not decrypt with the key ${key.id}, or it was stored under another name`, error);
  }
}

async function* decompressed(
  chunks: AsyncIterable<Buffer>,
  { name, signal }: { readonly name: string; readonly signal: AbortSignal },
): AsyncGenerator<Buffer> {
  const zstd = createZstdDecompress();
  const fed = pipeline(chunks, zstd, { signal });
  fed.catch(() => undefined);
  try {
    yield* zstd as AsyncIterable<Buffer>;
    await fed;
  } catch (error) {
    signal.throwIfAborted();
    const code = codeOf(error);
    // zlib names its own errors; all others do not speak against the bytes.
    if (!code.startsWith('ZSTD_') && code !== 'Z_BUF_ERROR') throw error;
    throw corrupt(name, `it cannot be unpacked: ${textOf(error)}`, error);
  } finally {
    zstd.destroy();
  }
}

function cipherOf(key: EncryptionKey, name: string): { readonly stream: CipherGCM; readonly encryption: Encryption } {
  // By chance: 2^32 objects of one key until two of them are as likely to share a nonce as NIST allows.
  const nonce = randomBytes(12);
  const stream = createCipheriv('aes-256-gcm', key.key, nonce, { authTagLength: tagBytes });
  stream.setAAD(Buffer.from(name));
  return { stream, encryption: { algorithm: 'aes-256-gcm', keyId: key.id, nonce: nonce.toString('hex') } };
}

function keyFor(encryption: Encryption, { name, keys }: Pick<CodecOptions, 'name' | 'keys'>): EncryptionKey {
  const key = keys.find(encryption.keyId);
  if (key !== undefined) return key;
  throw new RefusalError({
    code: 'key_missing',
    detail: `${name} is encrypted with the key ${encryption.keyId}, which is not here.`,
    why: [`key ${encryption.keyId}`],
  });
}

function tooLongToEncrypt(name: string): RefusalError {
  return new RefusalError({
    code: 'backup_failed',
    detail: `${name} has more than 64 GiB after compression; so much cannot be encrypted as one object.`,
    next: 'Split the data set, or store it without a key on an encrypted disk.',
  });
}
