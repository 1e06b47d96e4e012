// What does a rollback work with? One shape for its preparation, its course and its end.
import type { RollbackState } from '@switchyard/backup';
import type { RedisSettings } from '@switchyard/redis';
import type { Clock, Logger } from '@switchyard/runtime';
import type { SafetyPoint } from '@switchyard/protocol';
import type { Archive } from '../archive/archive.ts';
import type { Materialiser } from '../restore/materialise.ts';
import type { Managers } from './managers.ts';
import type { RollbackJournal, RollbackRecord } from './rollback-journal.ts';
import type { KeepPoint } from './safety-points.ts';

/** Settings of a group that has one primary at a time. */
export type RollableSettings = Exclude<RedisSettings, { readonly kind: 'cluster' }>;

/** What every part of a rollback is given. */
export interface RollbackTools {
  readonly group: string;
  readonly settings: RollableSettings;
  readonly archive: Pick<Archive, 'head' | 'isFollowing' | 'flush' | 'locate' | 'beginNewTimeline'>;
  readonly materialise: Materialiser;
  readonly journal: RollbackJournal;
  readonly keepPoint: KeepPoint;
  readonly managers: Managers;
  readonly lease: RollbackLease;
  readonly scratchDirectory: string;
  readonly bindHost: string;
  readonly advertisedHost: string;
  readonly instanceId: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told how it ended; best effort, its failure changes nothing. */
  readonly onEnd?: (end: RollbackEnd) => Promise<void>;
  /** For tests of crashes: called when a step has begun and is written down, before anything of it is done. */
  readonly onStep?: (state: RollbackState) => Promise<void>;
}

/** How one ended. */
export interface RollbackEnd {
  readonly record: RollbackRecord;
  readonly safetyPoint: SafetyPoint | null;
}

/** The lease that managers hold while they work on the group. */
export interface RollbackLease {
  /** Null when nobody else holds it, as far as can be told. */
  take(operation: string, forMs: number): Promise<string | null>;
  give(): Promise<void>;
}

/** Steps that an operation shows. */
export const rollbackSteps = Object.freeze([
  { name: 'find the moment', weight: 2 },
  { name: 'make it real aside', weight: 30 },
  { name: 'compare it with the present', weight: 15 },
  { name: 'check the group', weight: 3 },
  { name: 'hold the writers and seal the present', weight: 5 },
  { name: 'hand the data over', weight: 25 },
  { name: 'compare and promote', weight: 5 },
  { name: 'bring the replicas in step', weight: 12 },
  { name: 'put the settings back', weight: 3 },
]);
