// What does Redis do in the simulator? The scripts beat, sweep and commit on a clock that can be moved: the same rules, in memory.
import type { Commit, Decision } from '@switchyard/catalog';
import type { Instance } from '@switchyard/protocol';

const LEASE_MS = 500;
/** as `sweep.lua`: a lease that ends later than any can is none */
const NO_LEASE_MS = 10_000;
/** small, so that pages matter */
const PAGE = 3;

interface Contents {
  instances: Map<string, Instance>;
  deadlines: Map<string, number>;
  lease: { readonly holder: string; readonly untilMs: number } | undefined;
  token: number;
  sweptMs: number;
}

export interface SimulatedRedis {
  nowMs: number;
  readonly instances: ReadonlyMap<string, Instance>;
  readonly deadlines: ReadonlyMap<string, number>;
  holder(): string | undefined;
  beat(member: string): boolean;
  sweep(
    holder: string,
    options: { cursorMs: number; horizonMs: number; sweptMs: number | undefined; asked: readonly string[] },
  ): {
    readonly leader: boolean;
    readonly token: number;
    readonly nowMs: number;
    readonly known: number;
    readonly late: number;
    readonly cursorMs: number;
    readonly passed: readonly { readonly member: string; readonly deadlineMs: number; readonly ttlMs: number }[];
    readonly asked: readonly { readonly member: string; readonly deadlineMs: number | undefined }[];
  };
  /** False when it was refused. `token` undefined: without a fence. */
  commit(decision: Decision, token?: number): boolean;
  save(): Contents;
  /**
   * A replica that knew less takes over, or an empty one. The next epoch puts tokens and revisions above everything and, `heals`,
   * writes back what its readers still know.
   */
  lose(knew: Contents | undefined, heals: boolean): void;
}

/** An empty one. */
export function createSimulatedRedis(): SimulatedRedis {
  const empty = (): Contents => ({
    instances: new Map(),
    deadlines: new Map(),
    lease: undefined,
    token: 0,
    sweptMs: 0,
  });
  let contents = empty();
  /** outlive every loss: the epoch raises them */
  let revision = 0;
  let granted = 0;

  const write = (commit: Commit, nowMs: number): void => {
    revision += 1;
    for (const { kind, key, document } of commit.writes) {
      if (kind !== 'instance') continue;
      if (document === null) contents.instances.delete(key);
      else contents.instances.set(key, { ...(document as Instance), revision });
    }
    const { deadline } = commit;
    if (!deadline) return;
    if ('remove' in deadline) contents.deadlines.delete(deadline.member);
    else contents.deadlines.set(deadline.member, nowMs + deadline.ttlMs);
  };
  const lead = (holder: string, nowMs: number): boolean => {
    const { lease } = contents;
    const leftMs = lease ? lease.untilMs - nowMs : 0;
    if (lease && leftMs > 0 && lease.holder !== holder && leftMs <= NO_LEASE_MS) return false;
    if (!lease || leftMs <= 0 || lease.holder !== holder) contents.token = granted += 1;
    contents.lease = { holder, untilMs: nowMs + LEASE_MS };
    return true;
  };
  const ttlOf = (member: string): number => contents.instances.get(member)?.ttlMs ?? 3_000;

  return {
    nowMs: 1_000_000_000,
    get instances() {
      return contents.instances;
    },
    get deadlines() {
      return contents.deadlines;
    },
    holder: () => contents.lease?.holder,
    beat(member) {
      const instance = contents.instances.get(member);
      if (!instance || instance.liveness === 'dead') return false;
      contents.deadlines.set(member, this.nowMs + instance.ttlMs);
      return true;
    },
    sweep(holder, { cursorMs, horizonMs, sweptMs, asked }) {
      const { nowMs } = this;
      const leader = lead(holder, nowMs);
      if (leader) {
        if (nowMs < Math.max(contents.sweptMs, sweptMs ?? 0)) {
          for (const [member, at] of contents.deadlines) {
            if (at > nowMs + 2 * ttlOf(member)) contents.deadlines.set(member, nowMs + ttlOf(member));
          }
        }
        contents.sweptMs = nowMs;
      }
      let late = 0;
      const all: { member: string; deadlineMs: number; ttlMs: number }[] = [];
      for (const [member, deadlineMs] of contents.deadlines) {
        if (deadlineMs <= nowMs + horizonMs) late += 1;
        if (deadlineMs <= nowMs && deadlineMs > cursorMs) all.push({ member, deadlineMs, ttlMs: ttlOf(member) });
      }
      all.sort((a, b) => a.deadlineMs - b.deadlineMs);
      const last = all.length >= PAGE ? all[PAGE - 1] : undefined;
      return {
        leader,
        token: contents.token,
        nowMs,
        known: contents.deadlines.size,
        late,
        cursorMs: last?.deadlineMs ?? nowMs,
        passed: last ? all.filter(({ deadlineMs }) => deadlineMs <= last.deadlineMs) : all,
        asked: asked.map((member) => ({ member, deadlineMs: contents.deadlines.get(member) })),
      };
    },
    commit(decision, token) {
      if (decision.type === 'unchanged') return false;
      if (token !== undefined && (token !== contents.token || this.nowMs >= (contents.lease?.untilMs ?? 0)))
        return false;
      const { commit } = decision;
      for (const { key, revision: expected } of commit.expect) {
        if ((contents.instances.get(key)?.revision ?? 0) !== expected) return false;
      }
      write(commit, this.nowMs);
      return true;
    },
    save: () => ({
      ...contents,
      instances: new Map(contents.instances),
      deadlines: new Map(contents.deadlines),
    }),
    lose(knew, heals) {
      const before = contents;
      const rest = knew ?? empty();
      const { instances, deadlines } = heals ? { instances: before.instances, deadlines: rest.deadlines } : rest;
      contents = { ...rest, instances: new Map(instances), deadlines: new Map(deadlines), lease: undefined, token: -1 };
      revision += 1_000;
      granted += 1_000;
      if (!heals) return;
      for (const [member, { liveness, ttlMs }] of instances) {
        if (liveness === 'dead') contents.deadlines.delete(member);
        else if ((contents.deadlines.get(member) ?? 0) < this.nowMs)
          contents.deadlines.set(member, this.nowMs + 2 * ttlMs);
      }
    },
  };
}
