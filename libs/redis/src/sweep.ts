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
  /** deadlines that have passed, or will within `horizonMs` */
  readonly late: number;
  /** deadlines up to here are known now; less than `nowMs` when more have passed than one look returns */
  readonly cursorMs: number;
  /** since the cursor that was given, oldest first */
  readonly passed: readonly PassedDeadline[];
  /** the present deadline of those that were asked for; undefined where there is none */
  readonly asked: readonly { readonly member: string; readonly deadlineMs: number | undefined }[];
}

export interface SweepOptions {
  readonly holder: string;
  readonly leaseMs: number;
  /** most passed deadlines to read; all that passed in the same millisecond as the last one come with it */
  readonly limit: number;
  /** -Infinity for a reader that knows none */
  readonly cursorMs: number;
  readonly horizonMs: number;
  /** when this reader swept last, on Redis's clock: by it, too, a clock that stepped back is noticed */
  readonly sweptMs?: number | undefined;
  readonly asked: readonly string[];
}

/** Takes or keeps the monitor's lease for `leaseMs`, and looks. */
export async function sweep(redis: Redis, options: SweepOptions): Promise<Sweep> {
  const { holder, leaseMs, limit, horizonMs } = options;
  const cursor = options.cursorMs === -Infinity ? '-inf' : options.cursorMs;
  const reply = (await sweepScript.run(
    redis,
    [keys.lease(leases.monitor), keys.fence(leases.monitor), keys.deadlines, keys.ttls, keys.swept, keys.catalogMeta],
    [holder, leaseMs, limit, cursor, Math.round(horizonMs), options.sweptMs ?? 0, ...options.asked],
  )) as [number, number, number, number, number, number, string[], string[]];
  const [leader, token, nowMs, known, late, cursorMs, passed, asked] = reply;
  return {
    leader: leader === 1,
    token,
    nowMs,
    known,
    late,
    cursorMs,
    passed: Array.from({ length: passed.length / 3 }, (_, i) => ({
      member: passed[3 * i] ?? '',
      deadlineMs: Number(passed[3 * i + 1]),
      ttlMs: Number(passed[3 * i + 2]),
    })),
    asked: options.asked.map((member, i) => ({ member, deadlineMs: asked[i] ? Number(asked[i]) : undefined })),
  };
}

/** The deadlines that lie furthest back, at most `limit` of them. Costs Redis about 1 ms for 3,000. */
export async function readDeadlines(
  redis: Redis,
  limit: number,
): Promise<readonly { readonly member: string; readonly deadlineMs: number }[]> {
  const reply = await redis.zrange(keys.deadlines, 0, String(limit - 1), 'WITHSCORES');
  return Array.from({ length: reply.length / 2 }, (_, i) => ({
    member: reply[2 * i] ?? '',
    deadlineMs: Number(reply[2 * i + 1]),
  }));
}

/** Gives the monitor's lease back, so that another one leads at once. */
export async function releaseMonitorLease(redis: Redis, holder: string): Promise<void> {
  await releaseScript.run(redis, [keys.lease(leases.monitor)], [holder]);
}
