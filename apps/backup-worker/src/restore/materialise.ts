// What is a moment of the past that was made real? A throw-away server that holds the data of a restore point, and nothing else
// knows it. Restores, rollbacks, rehearsals and verifications all work with this one shape; materialiser.ts makes it.
import type { BackupManifest, RestorePoint, Result } from '@switchyard/protocol';
import type { LoadedContent } from '@switchyard/backup';

/** A reply of a throw-away server; strings are bytes. Errors reject. */
export type ScratchReply = number | null | Buffer | readonly ScratchReply[];

/** Everything that can be compared without looking at single keys. */
export interface MaterialisedContent extends LoadedContent {
  /** Keys that have a time to live. */
  readonly expires: number;
  /** Keys of each type over all databases (`string`, `hash`, ...), without those of `due`. */
  readonly types: Readonly<Record<string, number>>;
  /** Keys whose time has come since: still there and part of `keys` and `digest`, but no command shows them. */
  readonly due: number;
}

/** A data set as a file. It is gone after `close`: copy it, or read it before. */
export interface Snapshot {
  readonly path: string;
  readonly bytes: number;
}

/** How to ask. */
export interface AskOptions {
  /** 10 s unless given. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** Database that is selected first, for this question only; 0. */
  readonly database?: number;
}

/**
 * A throw-away server with the data of `point`. It stays a replica, so that no key goes by itself: the same questions have the same
 * answers, but a key whose time has come is hidden from commands (not from `keys`, `digest` and `snapshot`). Ends with this process,
 * whatever ends it.
 */
export interface Materialised {
  readonly point: RestorePoint;
  /** What was started for it. */
  readonly server: BackupManifest['server'];
  /** Where it listens: a Unix socket that only this user can open, without a password (`connectServer`). */
  readonly socketPath: string;
  /** How long it took to get there, from the first byte of the base on. */
  readonly tookMs: number;
  /** Fast, whatever the size. */
  keys(signal: AbortSignal): Promise<BackupManifest['keys']>;
  /** Slow: reads every key (about 6 s for a million). */
  content(signal: AbortSignal): Promise<MaterialisedContent>;
  /** One command; any number may be under way. Rejects on an error reply, lateness, the signal, or when the server is gone. */
  ask(command: readonly (string | Buffer)[], options?: AskOptions): Promise<ScratchReply>;
  /** More commands after the point, all or none; they are in later answers and snapshots. */
  append(
    commands: readonly (readonly (string | Buffer)[])[],
    options: { readonly database?: number; readonly signal: AbortSignal },
  ): Promise<void>;
  /** The data as RDB file of the server's own version. */
  snapshot(signal: AbortSignal): Promise<Snapshot>;
  /** Ends the server and removes its files; may be called again. Never rejects. */
  close(): Promise<void>;
}

/** How far it is. */
export interface MaterialiseProgress {
  /** 0 to 1, of base and stream together. */
  readonly fraction: number;
  readonly detail: string;
  readonly bytes: number;
  readonly totalBytes: number;
  /** By the rate so far; null at the beginning. */
  readonly etaSeconds: number | null;
}

/** How to make one. */
export interface MaterialiseWork {
  readonly signal: AbortSignal;
  readonly report?: (progress: MaterialiseProgress) => void;
  /** Waits until nobody else needs the room: for work that has time, such as the daily verification. */
  readonly background?: boolean;
}

/**
 * Makes a point real; the caller closes it. At most two at once (and one in the background); further calls wait, at most a minute,
 * then refuse with `overloaded`. Refuses with `not_restorable` (segment missing, server too old), `key_missing`, `backup_corrupt`
 * (damaged data, named), `refused_for_safety` (no room in memory or on the disk). Leaves nothing behind unless it succeeds.
 */
export type Materialiser = (point: RestorePoint, work: MaterialiseWork) => Promise<Result<Materialised>>;
