// Is there room for a throw-away server? Asked before it starts: one that runs out of memory takes others with it.
import { mkdir, statfs } from 'node:fs/promises';
import { refuse, type Result } from '@switchyard/protocol';

/** What a data set will need. */
export interface RoomNeeded {
  readonly memoryBytes: number;
  /** For its snapshot. */
  readonly diskBytes: number;
}

/** Null when there is room; otherwise `refused_for_safety` with the numbers. */
export type RoomCheck = (needed: RoomNeeded) => Promise<Result<never> | null>;

/** Looks at this machine (or the container's limit) and at the disk of `directory`. */
export function createRoomCheck(
  directory: string,
  availableMemoryBytes: () => number = () => process.availableMemory(),
): RoomCheck {
  return async ({ memoryBytes, diskBytes }) => {
    const memory = availableMemoryBytes();
    if (memory < memoryBytes)
      return refuse('refused_for_safety', 'This machine has too little memory to load the backup.', {
        why: [`about ${megabytes(memoryBytes)} are needed, ${megabytes(memory)} are free`],
        next: 'Free memory, or run the backup-worker on a machine with as much as a Redis node has.',
      });
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize >= diskBytes) return null;
    return refuse('refused_for_safety', `There is too little room in ${directory}.`, {
      why: [`about ${megabytes(diskBytes)} are needed, ${megabytes(bavail * bsize)} are free`],
      next: 'Make room, or set SWITCHYARD_BACKUP_SCRATCH to a directory on another disk.',
    });
  };
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1_000_000)} MB`;
}
