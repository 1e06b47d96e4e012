// Why did long work fail, as callers may see it? Known I/O errors become refusals with advice; a defect stays in the log.
import { RefusalError, type Refusal } from '@switchyard/protocol';
import { redisRefusal } from '@switchyard/redis';
import { ReplicationLinkError } from '@switchyard/replication-link';
import { DeadlineError } from '@switchyard/runtime';
import { ObjectStoreError } from './repository/object-store.ts';
import { codeOf, textOf } from './system-error.ts';

/** The refusal that an error stands for; undefined for a defect. */
export function refusalOfWork(error: unknown): Refusal | undefined {
  if (error instanceof RefusalError) return error.refusal;
  if (error instanceof ReplicationLinkError)
    return { code: 'backup_failed', detail: error.message, why: [error.code], next: error.next };
  if (error instanceof DeadlineError) return { code: 'timed_out', detail: error.message };
  if (error instanceof ObjectStoreError) return refusalOfStore(error);
  return refusalOfDisk(error) ?? redisRefusal(error);
}

const diskTrouble: Readonly<Record<string, string>> = {
  EACCES: 'Let this user write to the directory.',
  EDQUOT: 'Raise the quota, or remove old backups.',
  EIO: 'Replace the disk: it fails.',
  EMFILE: 'Raise the limit of open files.',
  ENOENT: 'Check that the directory was not removed under the worker.',
  ENOSPC: 'Make room on the disk, or remove old backups.',
  EPERM: 'Let this user write to the directory.',
  EROFS: 'Mount the disk for writing.',
};

function refusalOfDisk(error: unknown): Refusal | undefined {
  const next = diskTrouble[codeOf(error)];
  if (next === undefined) return undefined;
  return { code: 'backup_failed', detail: `The repository cannot be used: ${textOf(error)}`, next };
}

const storeAdvice: Readonly<Record<ObjectStoreError['kind'], string>> = {
  missing: 'List the backups again: it was removed in the meantime, or the repository is not the one that it was.',
  exists: 'Somebody else wrote it at the same time: let one worker write to a repository.',
  refused:
    'Let this worker read and write there: check its rights, its credentials, and that the place is not read-only.',
  unreachable: 'Check that the repository is there and can be reached; it is tried again.',
  full: 'Make room, or let retention keep less.',
};

function refusalOfStore(error: ObjectStoreError): Refusal {
  const next = diskTrouble[codeOf(error.cause)] ?? storeAdvice[error.kind];
  return { code: 'backup_failed', detail: `The repository cannot be used: ${error.message}`, next };
}
