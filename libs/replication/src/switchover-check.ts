// What is a check of the preflight, and what is it made from?
import { sameAddress, type Address, type Endpoint } from './address.ts';
import type { ReportedReplica } from './switchover-pick.ts';
import type { SwitchoverReading } from './switchover-reading.ts';

/** One check. `ok` null: it could not be told. Only a failed `blocking` one forbids the switchover. */
export interface SwitchoverCheck {
  readonly code: string;
  readonly ok: boolean | null;
  readonly detail: string;
  readonly next: string;
  readonly blocking: boolean;
}

/** A Sentinel as it was read for the preflight. */
export interface SentinelReading extends Endpoint {
  readonly reachable: boolean;
  readonly tilted: boolean | null;
  readonly names: Address | null;
  readonly epoch: number | null;
  readonly flags: readonly string[];
  readonly quorum: number | null;
  readonly downAfterMs: number | null;
  readonly failoverTimeoutMs: number | null;
  readonly replicas: readonly ReportedReplica[];
  /** INFO-PERIOD of SENTINEL DEBUG in ms; null when it has no such command. */
  readonly infoPeriodMs: number | null;
  /** Major version of Valkey; null for Redis. */
  readonly valkeyMajor: number | null;
}

/** Everything that the preflight looks at. */
export interface PreflightFacts {
  readonly group: string;
  readonly kind: 'sentinel' | 'single' | 'cluster';
  readonly managed: boolean;
  /** As asked: a name or `host:port`; null = the best. */
  readonly to: string | null;
  readonly primary: Endpoint | null;
  readonly named: Address | null;
  readonly epoch: number | null;
  readonly quorumOk: boolean;
  readonly nodes: readonly SwitchoverReading[];
  readonly sentinels: readonly SentinelReading[];
  /** Other work that holds the group's gate. */
  readonly underWay: string | null;
  readonly maintenance: string | null;
  readonly flapping: string | null;
  readonly failoverUnderWay: boolean;
  /** Since the last failover or switchover; null = none known. */
  readonly lastFailoverAgoMs: number | null;
  readonly digestAgoMs: number | null;
  readonly maxLagBytes: number;
}

/** What checks are made from. */
export interface CheckContext {
  readonly facts: PreflightFacts;
  readonly from: SwitchoverReading | null;
  readonly target: SwitchoverReading | null;
  readonly others: readonly SwitchoverReading[];
}

/** A check that forbids when it fails. */
export const must = (code: string, ok: boolean | null, detail: string, next: string): SwitchoverCheck => ({
  code,
  ok,
  detail,
  next: ok === true ? '' : next,
  blocking: true,
});

/** A check that only warns. */
export const should = (code: string, ok: boolean | null, detail: string, next: string): SwitchoverCheck => ({
  ...must(code, ok, detail, next),
  blocking: false,
});

/** The Sentinel that would act: one that answers, is not tilted, and names what the majority names; by name. */
export const actingSentinel = (facts: Pick<PreflightFacts, 'sentinels' | 'named'>): SentinelReading | null =>
  facts.sentinels
    .filter((one) => one.reachable && one.tilted !== true && sameAddress(one.names, facts.named))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))[0] ?? null;
