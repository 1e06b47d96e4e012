// Which keys does this worker have? One a line in a file; the first one encrypts, every one decrypts.
import { createHash, createSecretKey, type KeyObject } from 'node:crypto';

/** A key by its public name. The bytes stay inside the KeyObject, which shows them to no log. */
export interface EncryptionKey {
  /** First 16 hex digits of the sha256 of the key. */
  readonly id: string;
  readonly key: KeyObject;
}

/** The keys of a worker. */
export interface EncryptionKeys {
  /** Encrypts what is written; undefined: it is stored as it is. */
  readonly current: EncryptionKey | undefined;
  find(id: string): EncryptionKey | undefined;
}

/** No keys: nothing is encrypted, and nothing encrypted can be read. */
export const noKeys: EncryptionKeys = Object.freeze({ current: undefined, find: () => undefined });

const keyBytes = 32;
const mostKeys = 100;

/**
 * The keys in the text of a key file: 64 hex digits or base64 of 32 bytes a line; `#` begins a comment. Throws with the number of
 * the line that is no key, never with its content.
 */
export function parseKeys(text: string): EncryptionKeys {
  const keys = new Map<string, EncryptionKey>();
  for (const [index, line] of text.split('\n').entries()) {
    const word = line.replace(/#.*/, '').trim();
    if (word === '') continue;
    const bytes = bytesOf(word);
    if (bytes === undefined)
      throw new Error(`Line ${index + 1} of the key file is no key: it takes 64 hex digits, or base64 of 32 bytes.`);
    const key = keyOf(bytes);
    keys.set(key.id, key);
    if (keys.size > mostKeys) throw new Error(`The key file has more than ${mostKeys} keys.`);
  }
  const [current] = keys.values();
  if (current === undefined) throw new Error('The key file has no key in it.');
  return { current, find: (id) => keys.get(id) };
}

function bytesOf(word: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(word)) return Buffer.from(word, 'hex');
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(word)) return undefined;
  const bytes = Buffer.from(word, 'base64');
  return bytes.length === keyBytes ? bytes : undefined;
}

function keyOf(bytes: Buffer): EncryptionKey {
  const id = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return { id, key };
}
