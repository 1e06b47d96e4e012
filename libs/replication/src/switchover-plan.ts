// What does a planned switchover know, ask and look at? The words that its machine, its runner and its simulator share.
// Recipe: pause the writers, wait until the target has every byte, let Sentinel promote it, fence the old primary, resume.
import type { Address, Endpoint } from './address.ts';

/**
 * How the role moves. `sentinel`: we pause, a Sentinel promotes. `coordinated`: a Sentinel (Valkey >= 9) does both.
 * `direct`: there is no Sentinel; the primary hands over by FAILOVER.
 */
export type SwitchoverWay = 'sentinel' | 'coordinated' | 'direct';

/** The steps forward, each named by what it waits for. */
export const switchoverWaits = [
  'target-preferred',
  'writes-paused',
  'replicas-level',
  'old-bounded',
  'promoted',
  'old-fenced',
  'writes-resumed',
  'clients-moved',
  'followers-moved',
  'named',
  'settings-restored',
  'probed',
] as const;

/** The steps of taking it back, and of leaving it to Sentinel; `ended` is the end of all. */
export const switchoverUndoWaits = [
  'abort-confirmed',
  'heir-known',
  'writes-released',
  'promotion-forgotten',
  'settings-undone',
] as const;

/** What the machine waits for. */
export type SwitchoverWait = (typeof switchoverWaits)[number] | (typeof switchoverUndoWaits)[number] | 'ended';

/** How it ended. `superseded`: Sentinel made another node (or the target on its own) primary. */
export type SwitchoverOutcome = 'switched' | 'undone' | 'superseded';

/** A setting as it was before: what has to be back at the end, whatever happened between. */
export interface SavedSetting {
  readonly at: Endpoint;
  /** `config`: CONFIG SET of a node; `sentinel`: SENTINEL SET; `debug`: SENTINEL DEBUG. */
  readonly kind: 'config' | 'sentinel' | 'debug';
  readonly name: string;
  readonly value: string;
}

/** How long each step may take, in ms. */
export interface SwitchoverLimits {
  /** For a Sentinel to notice the preference: its INFO period is 10 s unless it can be hurried. */
  readonly preferMs: number;
  /** The same, when they are hurried. */
  readonly hurriedMs: number;
  /** Of the first pause, and of the second, which covers the promotion; never more than 5000. */
  readonly pauseMs: number;
  readonly promotionPauseMs: number;
  /** For the answer to a pause. */
  readonly pausedMs: number;
  /** For the target and every reachable replica to have all bytes. */
  readonly levelMs: number;
  readonly boundMs: number;
  readonly promotedMs: number;
  readonly abortMs: number;
  /** For a Sentinel that accepted the promotion and fell silent to say that it gave it up: it may be tilted for 30 s. */
  readonly forgottenMs: number;
  /** For each step after the promotion; what is not done by then is named, and the next one begins. */
  readonly forwardMs: number;
  /** For the Sentinels to name a primary. */
  readonly namedMs: number;
  readonly restoreMs: number;
  /** After so long a command is sent again; longer than its answer may take. */
  readonly retryMs: number;
}

/** The limits unless given. */
export const switchoverLimits: SwitchoverLimits = Object.freeze({
  preferMs: 12_500,
  hurriedMs: 4_000,
  pauseMs: 2_000,
  promotionPauseMs: 4_000,
  pausedMs: 600,
  levelMs: 700,
  boundMs: 500,
  promotedMs: 2_000,
  abortMs: 1_500,
  forgottenMs: 45_000,
  forwardMs: 3_000,
  namedMs: 20_000,
  restoreMs: 4_000,
  retryMs: 400,
});

/** What was decided before anything was touched; does not change while it is carried out. */
export interface SwitchoverPlan {
  readonly id: string;
  readonly group: string;
  readonly way: SwitchoverWay;
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly others: readonly Endpoint[];
  /** The Sentinel that is asked to act; null for `direct`. */
  readonly acting: Endpoint | null;
  /** Config epoch of the majority, and lineage of the primary, when it was planned: the preconditions of every step. */
  readonly epoch: number | null;
  readonly lineage: string | null;
  /** Whether the acting Sentinel would choose another replica unless told: the target's priority is then lowered to 1. */
  readonly prefer: boolean;
  /** Sentinels that can be hurried by SENTINEL DEBUG: should the acting one die, another one has to know the target, too. */
  readonly hurried: readonly Endpoint[];
  /** Good replicas that the old primary is made to require, so that it stops writing when the target leaves; 0 = not. */
  readonly bound: number;
  readonly saved: readonly SavedSetting[];
  readonly limits: SwitchoverLimits;
}

/** A node as it is now; everything is null when it did not answer this time. */
export interface SwitchoverNode extends Endpoint {
  readonly reachable: boolean;
  readonly role: 'primary' | 'replica' | null;
  readonly offset: number | null;
  readonly lineage: string | null;
  readonly previousLineage: string | null;
  readonly follows: Address | null;
  readonly link: 'up' | 'down' | null;
}

/** A Sentinel as it is now. */
export interface SwitchoverSentinel extends Endpoint {
  readonly reachable: boolean;
  readonly names: Address | null;
  readonly epoch: number | null;
  readonly inProgress: boolean;
  /** The replica that it would certainly choose now; null when that is not certain. */
  readonly picks: Address | null;
}

/** One look at everybody. */
export interface SwitchoverLook {
  readonly nodes: readonly SwitchoverNode[];
  readonly sentinels: readonly SwitchoverSentinel[];
  /** Whom the majority names, since which epoch; null without a majority. */
  readonly named: Address | null;
  readonly epoch: number | null;
}

/** A command to somebody. The same key is the same command: its answer counts whenever it comes. */
export interface SwitchoverCommand {
  readonly key: string;
  readonly at: Endpoint;
  readonly to: 'node' | 'sentinel';
  /**
   * `redis`: the words are sent as they are. `kill-clients`: every client of an application is disconnected. `probe`: a write,
   * read back.
   */
  readonly type: 'redis' | 'kill-clients' | 'probe';
  readonly words: readonly string[];
}

/** What the machine is told. */
export type SwitchoverInput =
  | { readonly type: 'look'; readonly look: SwitchoverLook }
  | {
      readonly type: 'answer';
      readonly key: string;
      /** `lost`: no answer came; it may have been carried out or not. */
      readonly outcome: 'ok' | 'refused' | 'lost';
      readonly detail: string;
    }
  | { readonly type: 'cancel' }
  /** The process was started again: what was asked before may or may not have happened. */
  | { readonly type: 'resume' };

/** What the machine remembers; plain data, so that it can be journalled. Times are those of `nowMs`. */
export interface SwitchoverState {
  readonly plan: SwitchoverPlan;
  readonly waitsFor: SwitchoverWait;
  readonly sinceMs: number;
  readonly startedAtMs: number;
  /** By key: when it was sent last. */
  readonly asked: Readonly<Record<string, number>>;
  /** By key: when it was confirmed. */
  readonly answered: Readonly<Record<string, number>>;
  /** The first pause was asked for; it has certainly ended at `pauseEndsMs`. Null = never paused. */
  readonly pausedAtMs: number | null;
  readonly pauseEndsMs: number | null;
  /** Of the paused primary: what every replica has to reach. */
  readonly barrier: number | null;
  readonly promotionAsked: boolean;
  /** Whether it is certain that a promotion that was asked for will not happen any more. */
  readonly aborted: boolean;
  /** Who is primary after all. */
  readonly heir: Endpoint | null;
  readonly heirAtMs: number | null;
  readonly heirEpoch: number | null;
  /** Whether the heir had every acknowledged write. */
  readonly level: boolean;
  /** Whether the old primary could not write from before the promotion until it was fenced. */
  readonly fencedInTime: boolean;
  /** Place in the heir's stream that the replicas have to reach after the probe. */
  readonly probeOffset: number | null;
  /** Why it is taken back. */
  readonly reason: string | null;
  readonly outcome: SwitchoverOutcome | null;
  readonly notes: readonly string[];
  /** Settings that could not be put back yet. */
  readonly left: readonly SavedSetting[];
}

/** What follows from an input. */
export interface SwitchoverStep {
  readonly state: SwitchoverState;
  readonly commands: readonly SwitchoverCommand[];
}
