// Which replica would a Sentinel choose? As sentinelSelectSlave of sentinel.c (7.0 to 7.4, Valkey alike): those that are in
// touch, by priority, then offset, then run id.
import { address, addressKey, type Address } from './address.ts';

/** A replica as a Sentinel reports it (SENTINEL REPLICAS). */
export interface ReportedReplica extends Address {
  readonly flags: readonly string[];
  readonly priority: number | null;
  readonly offset: number | null;
  readonly runId: string;
  readonly linkDownMs: number;
  readonly lastReplyMs: number;
  readonly infoAgeMs: number;
}

/** A replica that was not heard for so long is passed over. */
const longestSilenceMs = 5_000;
/** Three times Sentinel's usual period of INFO. */
const oldestInfoMs = 30_000;

/** Reads SENTINEL REPLICAS. Never throws; lines without an address are left out. */
export const parseReportedReplicas = (reply: unknown): readonly ReportedReplica[] =>
  (Array.isArray(reply) ? (reply as readonly unknown[]) : [])
    .slice(0, 64)
    .flatMap((line): readonly ReportedReplica[] => {
      const words = Array.isArray(line) ? (line as readonly unknown[]).map(String) : [];
      const word = (name: string): string => {
        for (let at = 0; at + 1 < words.length; at += 2) if (words[at] === name) return words[at + 1] ?? '';
        return '';
      };
      const count = (name: string): number | null => (/^-?\d+$/.test(word(name)) ? Number(word(name)) : null);
      const at = address(word('ip'), count('port'));
      if (at === null) return [];
      return [
        {
          ...at,
          flags: word('flags').split(','),
          priority: count('slave-priority'),
          offset: count('slave-repl-offset'),
          runId: word('runid'),
          linkDownMs: count('master-link-down-time') ?? 0,
          lastReplyMs: count('last-ok-ping-reply') ?? 0,
          infoAgeMs: count('info-refresh') ?? 0,
        },
      ];
    });

/** Whether Sentinel would consider it at all. */
export const isSelectable = (replica: ReportedReplica, downAfterMs: number): boolean =>
  !replica.flags.some((flag) => flag === 's_down' || flag === 'o_down' || flag === 'disconnected') &&
  replica.lastReplyMs <= longestSilenceMs &&
  replica.priority !== 0 &&
  replica.infoAgeMs <= oldestInfoMs &&
  replica.linkDownMs <= 10 * downAfterMs;

/** Sentinel's choice by what it knows now, and whether news of offsets could still change it. */
export const predictPick = (
  replicas: readonly ReportedReplica[],
  downAfterMs: number,
): { readonly pick: ReportedReplica | null; readonly certain: boolean } => {
  const order = replicas
    .filter((replica) => isSelectable(replica, downAfterMs))
    .toSorted(
      (a, b) =>
        (a.priority ?? 100) - (b.priority ?? 100) ||
        (b.offset ?? -1) - (a.offset ?? -1) ||
        (a.runId < b.runId ? -1 : 1),
    );
  const [first, second] = order;
  if (first === undefined) return { pick: null, certain: false };
  // Offsets are as old as the last INFO: between equal priorities nothing is certain while writes go on.
  return { pick: first, certain: second === undefined || (first.priority ?? 100) < (second.priority ?? 100) };
};

/** Replicas besides the target that would tie with it or beat it even at priority 1. */
export const unbeatable = (replicas: readonly ReportedReplica[], target: Address): readonly ReportedReplica[] =>
  replicas.filter((one) => addressKey(one) !== addressKey(target) && one.priority === 1);
