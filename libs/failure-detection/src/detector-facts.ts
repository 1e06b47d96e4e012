// What goes into the detector, and what comes out of it? Facts of one sweep and of the catalog; actions with their evidence.
import type { Doubt, Evidence, Instance, Liveness } from '@switchyard/protocol';

export interface DetectorSettings {
  /** a longer time between two sweeps, three of them, makes missing heartbeats no proof for `graceTtls` */
  readonly lateSweepMs: number;
  /** a longer one counts as a stall: nobody is even suspected then */
  readonly maxGapMs: number;
  /** how many TTLs missing heartbeats prove nothing after a stall */
  readonly graceTtls: number;
  /** fewer silent instances than this are no crowd */
  readonly crowdMinimum: number;
  /** more than this share of all known instances silent at once is a crowd */
  readonly crowdPercent: number;
  /** TTLs after which one of a crowd goes whose every probe failed, although nothing refused */
  readonly crowdPatienceTtls: number;
  /** all deadlines are read again so often: after a failover, some may lie behind what was read already */
  readonly rescanMs: number;
}

export const defaultDetectorSettings: DetectorSettings = Object.freeze({
  lateSweepMs: 150,
  maxGapMs: 500,
  graceTtls: 2,
  crowdMinimum: 3,
  crowdPercent: 30,
  crowdPatienceTtls: 10,
  rescanMs: 5_000,
});

/** How a probe ended. `answered`: the instance itself; `other`: its address answers as somebody else. */
export type ProbeOutcome = 'answered' | 'refused' | 'timeout' | 'failed' | 'other';

export interface ProbeResult {
  readonly kind: 'http' | 'tcp' | 'grpc';
  readonly outcome: ProbeOutcome;
  readonly tookMs: number;
  readonly detail: string;
}

/** What one sweep saw, and what came in since the one before. Times are Redis's clock in ms. */
export interface SweepFacts {
  readonly leader: boolean;
  readonly nowMs: number;
  /** how long Redis took to answer */
  readonly roundTripMs: number;
  readonly known: number;
  /** how many of them have missed two heartbeats or more */
  readonly late: number;
  /** deadlines up to here have been read; less than `nowMs` when there are more than one sweep takes */
  readonly cursorMs: number;
  /** deadlines that passed since the cursor of the sweep before */
  readonly passed: readonly { readonly member: string; readonly deadlineMs: number; readonly ttlMs: number }[];
  /** of those that were asked about: their present deadline; undefined when nobody waits for them any more */
  readonly asked: readonly { readonly member: string; readonly deadlineMs: number | undefined }[];
  /** what others saw fail; a reason to ask, no proof */
  readonly doubts: readonly Doubt[];
  /** probes that ended */
  readonly probed: readonly { readonly member: string; readonly result: ProbeResult }[];
}

/** What the catalog says about one instance. */
export interface MemberFacts {
  readonly liveness: Liveness;
  readonly suspectedBy: Instance['suspectedBy'];
  /** when its liveness last changed */
  readonly sinceMs: number;
  readonly ttlMs: number;
  /** false when its owner asked for no probes */
  readonly probes: boolean;
}

/** What the catalog says about instances and their services. */
export interface CatalogFacts {
  find(member: string): MemberFacts | undefined;
  /** instances of the service: those that are not dead, and all that are on record */
  count(service: string): { readonly living: number; readonly recorded: number };
  maxUnhealthyPercent(service: string): number;
}

export type DetectorAction =
  | {
      readonly type: 'suspect';
      readonly member: string;
      readonly evidence: Evidence;
      readonly by: 'silence' | 'doubt';
    }
  /** `patience`: by how much its time-out is to be longer than usual, 1 to 72 */
  | { readonly type: 'probe'; readonly member: string; readonly patience: number }
  | { readonly type: 'revive'; readonly member: string; readonly evidence: Evidence }
  | { readonly type: 'evict'; readonly member: string; readonly evidence: Evidence };

/** Why missing heartbeats are not acted upon, said once when it begins. */
export interface Hold {
  readonly member: string;
  readonly reason: string;
  readonly evidence: Evidence;
}
