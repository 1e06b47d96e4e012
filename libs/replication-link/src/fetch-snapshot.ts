// How is the whole data set of a node copied over the network, without access to its disk?
import { openFullResync, type FullResync, type SnapshotProgress } from './replication-link.ts';

/** Which node, as whom, and how patient. */
export interface SnapshotRequest {
  readonly host: string;
  readonly port: number;
  /** ACL user with +psync +sync +replconf +ping; leave out for the default user. */
  readonly username?: string;
  readonly password?: string;
  /** Longest time from the connection to the last byte. Default one hour. */
  readonly deadlineMs?: number;
  /** Longest silence of the source while we are ready to read. Default 60 s, as Redis's own repl-timeout. */
  readonly idleTimeoutMs?: number;
  /** Longest wait for the TCP connection. Default 5 s. */
  readonly connectTimeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SnapshotProgress) => void;
}

/**
 * Asks the node for a snapshot as a replica would and resolves when it has agreed; then `rdb` must be read or destroyed.
 * Ask a replica, never a primary that a Sentinel watches: Sentinel would remember this connection as a replica that is down.
 * The node forks for it, and waits `repl-diskless-sync-delay` (5 s by default) before it starts.
 * Rejects with `ReplicationLinkError`: `no_master_link` when the node's own link is down, `loading`, `auth_failed`, ...
 */
export function fetchSnapshot(request: SnapshotRequest): Promise<FullResync> {
  return openFullResync({
    deadlineMs: 3_600_000,
    idleTimeoutMs: 60_000,
    connectTimeoutMs: 5_000,
    ...request,
    snapshotOnly: true,
  });
}
