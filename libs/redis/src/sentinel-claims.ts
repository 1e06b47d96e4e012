// Whom do the Sentinels name, when they do not agree? The latest config epoch counts first: it was given by a majority. Pure.
import { addressKey } from '@switchyard/replication';
import type { Address } from '@switchyard/replication';

/** What one Sentinel answers. */
export interface SentinelClaim {
  readonly primary: Address;
  readonly epoch: number | null;
}

/** A primary that is named, with the latest epoch that somebody says. */
export interface Candidate extends SentinelClaim {
  readonly votes: number;
}

/** Best first. `majority`: named by more than half of all Sentinels, with the epoch that more than half have reached. */
export interface SentinelClaims {
  readonly candidates: readonly Candidate[];
  readonly majority: SentinelClaim | undefined;
}

/** Weighs answers. A minority alone is not believed when what it says is older than what is known. */
export function primaryClaims(
  claims: readonly SentinelClaim[],
  { sentinels, epoch: knownEpoch }: { readonly sentinels: number; readonly epoch: number | null },
): SentinelClaims {
  const needed = Math.floor(sentinels / 2) + 1;
  const byAddress = new Map<string, SentinelClaim[]>();
  for (const claim of claims) {
    const key = addressKey(claim.primary);
    byAddress.set(key, [...(byAddress.get(key) ?? []), claim]);
  }
  const named = [...byAddress.values()].flatMap((same) => {
    const epochs = same.map(({ epoch }) => epoch ?? -1).sort((a, b) => b - a);
    const [first] = same;
    return first === undefined ? [] : [{ primary: first.primary, votes: same.length, epochs }];
  });
  const largest = named.find(({ votes }) => votes >= needed);
  const epochOf = (said: number | undefined): number | null => (said === undefined || said < 0 ? null : said);
  return {
    candidates: named
      .map(({ primary, votes, epochs }) => ({ primary, votes, epoch: epochOf(epochs[0]) }))
      .filter(({ votes, epoch }) => votes >= needed || (epoch ?? -1) >= (knownEpoch ?? -1))
      .sort((a, b) => (b.epoch ?? -1) - (a.epoch ?? -1) || b.votes - a.votes),
    majority:
      largest === undefined ? undefined : { primary: largest.primary, epoch: epochOf(largest.epochs[needed - 1]) },
  };
}
