// What does a rollback in place know, ask and look at? The words that its machine, its driver and its simulator share.
//
// Recipe: pause the writers, seal everything that was acknowledged into the archive, let the primary take an old data set from us as a
// replica of ours, compare it, make it primary again. Its address, its Sentinels and its clients stay what they are.

/** A place that speaks Redis. */
export interface RollbackAddress {
  readonly host: string;
  readonly port: number;
}

/** The steps forward, each named by what it waits for. */
export const rollbackWaits = [
  'target-served',
  'guards-raised',
  'writes-paused',
  'point-sealed',
  'data-taken',
  'data-proven',
  'promoted',
  'writes-resumed',
  'replicas-level',
  'settings-restored',
] as const;

/** The steps back, and aside; `ended` is the end of all. */
export const rollbackUndoWaits = [
  'data-judged',
  'safety-served',
  'safety-taken',
  'safety-proven',
  'role-returned',
  'writes-released',
  'heir-known',
] as const;

/** What the machine waits for. */
export type RollbackWait = (typeof rollbackWaits)[number] | (typeof rollbackUndoWaits)[number] | 'ended';

/** How it ended. `refused`: nothing was touched but settings that were put back; `undone`: the data of before are there. */
export type RollbackOutcome = 'done' | 'undone' | 'refused';

/** A setting as it was before, and as it is to be meanwhile. */
export interface RollbackSetting {
  readonly at: RollbackAddress;
  /** `config`: CONFIG SET of the primary; `sentinel`: SENTINEL SET. */
  readonly kind: 'config' | 'sentinel';
  readonly name: string;
  readonly before: string;
  readonly meanwhile: string;
}

/** How long each step may take, in ms. */
export interface RollbackLimits {
  /** Of one pause; it is renewed after a third of it, and ends by itself when nobody renews it. */
  readonly pauseMs: number;
  /** All pauses together, up to the order to take the data set; then it is taken back. */
  readonly heldMs: number;
  readonly serveMs: number;
  readonly guardMs: number;
  readonly sealMs: number;
  /** From the order until the node has connected to us. */
  readonly contactMs: number;
  /** From the order until it has loaded everything. */
  readonly loadMs: number;
  readonly proveMs: number;
  readonly promoteMs: number;
  readonly probeMs: number;
  readonly replicasMs: number;
  readonly restoreMs: number;
  /** Silence after which the primary counts as lost. */
  readonly goneMs: number;
  /** For the Sentinels to name another primary. */
  readonly namedMs: number;
  /** After so long a command is sent again; longer than its answer may take. */
  readonly retryMs: number;
}

/** The limits unless given; `heldMs` and `loadMs` grow with the data set. */
export const rollbackLimits: RollbackLimits = Object.freeze({
  pauseMs: 10_000,
  heldMs: 30_000,
  serveMs: 60_000,
  guardMs: 3_000,
  sealMs: 10_000,
  contactMs: 3_000,
  loadMs: 60_000,
  proveMs: 20_000,
  promoteMs: 5_000,
  probeMs: 5_000,
  replicasMs: 60_000,
  restoreMs: 5_000,
  goneMs: 2_500,
  namedMs: 60_000,
  retryMs: 1_000,
});

/** What was decided before anything was touched; does not change while it is carried out. */
export interface RollbackPlan {
  readonly id: string;
  readonly group: string;
  readonly kind: 'sentinel' | 'single';
  readonly primary: RollbackAddress;
  /** Of the primary when it was planned: preconditions of every order to it. */
  readonly runId: string;
  readonly replicationId: string;
  /** Config epoch of the Sentinels' majority; null without Sentinels. */
  readonly epoch: number | null;
  readonly replicas: readonly RollbackAddress[];
  readonly sentinels: readonly RollbackAddress[];
  readonly settings: readonly RollbackSetting[];
  /** `swapdb`: the old data can be read while the new ones load; `plain`: they cannot. */
  readonly loads: 'swapdb' | 'plain';
  /** Positions under which the target and the safety point are served: no replica can know them. */
  readonly targetOffset: number;
  readonly safetyOffset: number;
  readonly limits: RollbackLimits;
}

/** The primary of the plan as it is now; everything is null when it did not answer this time. */
export interface RollbackNode extends RollbackAddress {
  readonly reachable: boolean;
  readonly runId: string | null;
  readonly role: 'primary' | 'replica' | null;
  readonly replicationId: string | null;
  /** Name of the history that it continued when it was made primary. */
  readonly previousReplicationId: string | null;
  readonly offset: number | null;
  readonly follows: RollbackAddress | null;
  readonly link: 'up' | 'down' | null;
}

/** One look at everybody. */
export interface RollbackLook {
  readonly primary: RollbackNode;
  readonly replicas: readonly RollbackNode[];
  /** Whom the majority of the Sentinels names, since which epoch; null without a majority. Without Sentinels the primary itself. */
  readonly named: RollbackAddress | null;
  readonly epoch: number | null;
  /** What became of the data set that is served now: whether anybody has connected, how much was sent, why it cannot go on. */
  readonly serving: { readonly contacted: boolean; readonly sentBytes: number; readonly failure: string | null } | null;
}

/** Work of the driver itself. */
export type RollbackWork =
  /** Answers with the address at which the old data set is served. */
  | { readonly type: 'serve-target' }
  /** The same with the data of the safety point, under a given name. */
  | { readonly type: 'serve-safety'; readonly replicationId: string }
  /** Archives everything before `offset` and writes the safety point down. */
  | { readonly type: 'seal'; readonly offset: number }
  /** Compares what the primary has with what was served. */
  | { readonly type: 'prove'; readonly what: 'target' | 'safety' }
  /** A write, acknowledged, that leaves nothing behind. */
  | { readonly type: 'probe' }
  | { readonly type: 'stop-serving' };

/** Something to be done. The same key is the same command: its answer counts whenever it comes. */
export type RollbackCommand =
  | {
      readonly key: string;
      readonly to: 'primary' | 'sentinel';
      readonly at: RollbackAddress;
      readonly words: readonly string[];
      /** It is sent only over a connection on which the node has said that it is this process. */
      readonly runId: string | null;
    }
  | { readonly key: string; readonly to: 'driver'; readonly work: RollbackWork };

/** What the machine is told. */
export type RollbackInput =
  | { readonly type: 'look'; readonly look: RollbackLook }
  | {
      readonly type: 'answer';
      readonly key: string;
      /** `lost`: no answer came; it may have been carried out or not. */
      readonly outcome: 'ok' | 'refused' | 'lost';
      readonly detail: string;
      /** Of `serve-target` and `serve-safety`. */
      readonly address?: RollbackAddress;
    }
  | { readonly type: 'cancel' }
  /** What must be written down cannot be. */
  | { readonly type: 'journal-lost'; readonly detail: string }
  /** The process was started again: what was asked before may or may not have happened, and nothing is served any more. */
  | { readonly type: 'resume' };

/** What the machine remembers; plain data, so that it can be journalled. Times are those of `nowMs`. */
export interface RollbackState {
  readonly plan: RollbackPlan;
  readonly waitsFor: RollbackWait;
  readonly sinceMs: number;
  /** By key: when it was sent last, and when it was confirmed. */
  readonly asked: Readonly<Record<string, number>>;
  readonly answered: Readonly<Record<string, number>>;
  /** The first pause was asked for; writers are certainly held until `pausedUntilMs`. */
  readonly pausedAtMs: number | null;
  readonly pausedUntilMs: number | null;
  /** Position of the paused primary; everything before it belongs to the safety point. */
  readonly barrier: number | null;
  /** How often the barrier had to be moved. */
  readonly reseals: number;
  /** The safety point is written down. */
  readonly sealed: boolean;
  /** Where the data set is served now, and all addresses that were ever ours. */
  readonly served: RollbackAddress | null;
  readonly ours: readonly RollbackAddress[];
  /** The primary was told to take a data set from us: from here on it may have lost its own. */
  readonly takeAsked: boolean;
  /** All of the old data set was seen to be there. */
  readonly taken: boolean;
  readonly promotionAsked: boolean;
  /** Name of the history that the primary began with the old data; null before. */
  readonly newReplicationId: string | null;
  readonly course: 'forward' | 'back';
  /** Why it is taken back. */
  readonly reason: string | null;
  /** Whether it was taken back because somebody asked for it. */
  readonly cancelled: boolean;
  readonly heir: RollbackAddress | null;
  readonly goneSinceMs: number | null;
  /** This process did not begin it. */
  readonly resumed: boolean;
  /** Not all replicas were in step in time. */
  readonly behind: boolean;
  readonly outcome: RollbackOutcome | null;
  readonly notes: readonly string[];
  /** Settings that could not be put back yet. */
  readonly left: readonly RollbackSetting[];
}

/** What follows from an input. */
export interface RollbackStep {
  readonly state: RollbackState;
  readonly commands: readonly RollbackCommand[];
}
