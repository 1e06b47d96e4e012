// What does a source answer to a replica, command by command, until it is asked for the stream? No I/O.
// Source: replication.c (replconfCommand, syncCommand, masterTryPartialResynchronization), acl.c (authCommand).
import { createHash, timingSafeEqual } from 'node:crypto';
import type { StreamPosition } from './handshake.ts';

/** Commands that a connection may send before it must have asked for the stream. */
const maxCommandsBeforeSync = 32;

/** What a replica has to say first. Without a name the default user is meant. */
export interface ServedCredentials {
  readonly username?: string;
  readonly password?: string;
}

/** What follows from a command. `knowsMark`: it understands a data set between two marks. `position` of `continue` is what it holds already. */
export type DialogueStep =
  | { readonly kind: 'reply'; readonly line: string }
  | { readonly kind: 'full'; readonly knowsMark: boolean }
  | { readonly kind: 'continue'; readonly position: StreamPosition }
  | { readonly kind: 'acknowledged'; readonly offset: number }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'cut'; readonly line?: string };

/** One connection's side of the talk. */
export interface Dialogue {
  receive(words: readonly string[]): DialogueStep;
}

/** What may be continued: the history's id, and the offsets at which the stream can begin; `end` may grow. */
export interface Continuable extends StreamPosition {
  readonly end: number;
  readonly hasStream: boolean;
}

const fine = { kind: 'reply', line: '+OK' } as const;

/** A dialogue that has not begun. Without credentials any AUTH is accepted: the replica may be told to use one. */
export function createDialogue(history: Continuable, credentials?: ServedCredentials): Dialogue {
  let isKnown = credentials?.password === undefined;
  let isFollowing = false;
  let knowsMark = false;
  let commands = 0;

  const authenticate = (words: readonly string[]): DialogueStep => {
    if (credentials?.password === undefined) return fine;
    const username = words.length > 2 ? words[1] : 'default';
    const isRight =
      isSame(username ?? '', credentials.username ?? 'default') && isSame(words.at(-1) ?? '', credentials.password);
    isKnown = isRight;
    return isRight ? fine : { kind: 'reply', line: '-WRONGPASS invalid username-password pair or user is disabled.' };
  };

  const sync = (id: string, next: string): DialogueStep => {
    isFollowing = true;
    const offset = /^\d{1,16}$/.test(next) ? Number(next) - 1 : -1;
    const isHeld =
      history.hasStream && id === history.replicationId && offset >= history.offset && offset <= history.end;
    return isHeld ? { kind: 'continue', position: { replicationId: id, offset } } : { kind: 'full', knowsMark };
  };

  return {
    receive: (words) => {
      const name = (words[0] ?? '').toUpperCase();
      const option = (words[1] ?? '').toUpperCase();
      if (name === 'REPLCONF' && option === 'ACK') return acknowledgement(words[2] ?? '');
      // A reply inside the stream would be taken for a part of it.
      if (isFollowing) return { kind: 'cut' };
      commands += 1;
      if (commands > maxCommandsBeforeSync) return { kind: 'cut', line: '-ERR too many commands before PSYNC' };
      if (name === 'AUTH' && (words.length === 2 || words.length === 3)) return authenticate(words);
      if (!isKnown) return { kind: 'reply', line: '-NOAUTH Authentication required.' };
      if (name === 'PING') return { kind: 'reply', line: '+PONG' };
      if (name === 'REPLCONF') {
        knowsMark ||= words.some((word, index) => word === 'eof' && words[index - 1] === 'capa');
        return fine;
      }
      if (name === 'PSYNC' && words.length >= 3) return sync(words[1] ?? '', words[2] ?? '');
      return { kind: 'reply', line: '-ERR unknown command: only a replication history is served here' };
    },
  };
}

function acknowledgement(text: string): DialogueStep {
  const offset = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(offset) ? { kind: 'acknowledged', offset } : { kind: 'nothing' };
}

// Equal digests take equal time: the time of the answer says nothing about the password.
function isSame(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
