// What does a monitor read at each tick: is it the leader, what time is it, whose deadline has passed?
import type { Redis } from 'ioredis';
import { keys, leases } from '@switchyard/protocol';
import { loadScript } from './script.ts';

const sweepScript = loadScript('sweep');
const releaseScript = loadScript('release');

export interface PassedDeadline {
  readonly member: string;
  readonly deadlineMs: number;
  readonly ttlMs: number;
}

/** One look at the deadlines. All times are Redis's clock in ms. */
export interface Sweep {
  readonly leader: boolean;
  /** the fencing token of whoever leads now */
  readonly token: number;
  readonly nowMs: number;
  readonly known: number;
  readonly passed: readonly PassedDeadline[];
  /** of the suspects that were asked for: those that were heard again, with their new deadline */
  readonly back: readonly { readonly member: string; readonly deadlineMs: number }[];
}

/** Takes or keeps the monitor's lease for `leaseMs`, and looks. Reads at most `limit` passed deadlines. */
export async function sweep(
  redis: Redis,
  options: {
    readonly holder: string;
    readonly leaseMs: number;
    readonly limit: number;
    readonly suspects: readonly string[];
  },
): Promise<Sweep> {
  const reply = (await sweepScript.run(
    redis,
    [keys.lease(leases.monitor), keys.fence(leases.monitor), keys.deadlines, keys.ttls],
    [options.holder, options.leaseMs, options.limit, ...options.suspects],
  )) as [number, number, number, number, string[], string[]];
  const [leader, token, nowMs, known, passed, back] = reply;
  return {
    leader: leader === 1,
    token,
    nowMs,
    known,
    passed: Array.from({ length: passed.length / 3 }, (_, i) => ({
      member: passed[3 * i] ?? '',
      deadlineMs: Number(passed[3 * i + 1]),
      ttlMs: Number(passed[3 * i + 2]),
    })),
    back: Array.from({ length: back.length / 2 }, (_, i) => ({
      member: back[2 * i] ?? '',
      deadlineMs: Number(back[2 * i + 1]),
    })),
  };
}

/** Gives the monitor's lease back, so that another one leads at once. */
export async function releaseMonitorLease(redis: Redis, holder: string): Promise<void> {
  await releaseScript.run(redis, [keys.lease(leases.monitor)], [holder]);
}
