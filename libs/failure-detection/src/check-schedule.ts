// Whose check is due? Spread at first, then each at its own interval with some jitter, and faster while its verdict may turn
// (HAProxy's fastinter), one probe of an instance at a time, the one that has waited longest first.
import { parseDurationMs } from '@switchyard/protocol';
import type { Check } from '@switchyard/protocol';
import { defaultProbeWatchSettings } from './probe-watch.ts';
import type { ProbeWatchSettings } from './probe-watch.ts';

/** How an instance is checked. Times in ms. */
export interface CheckPlan extends ProbeWatchSettings {
  readonly intervalMs: number;
}

/** The plan of a check that is made all the time; undefined when it is made only on suspicion, or never. */
export function checkPlanOf(check: Check | undefined): CheckPlan | undefined {
  const intervalMs = parseDurationMs(check?.interval ?? '');
  if (check === undefined || check.type === 'none' || intervalMs === undefined) return undefined;
  const { rise, fall } = defaultProbeWatchSettings;
  return { intervalMs, rise: check.rise ?? rise, fall: check.fall ?? fall };
}

/** An instance whose check is made all the time. */
export interface Checked {
  /** `service/id` */
  readonly member: string;
  /** Another text: another process, address or check under the same name. What is under way is about the former one. */
  readonly version: string;
  readonly plan: CheckPlan;
  /** The first probe comes within it. */
  readonly firstWithinMs: number;
  /** Its silence is noticed already: it is asked at once, and then at the faster interval. */
  readonly urgent: boolean;
}

/** A probe that is to be made, or under way. */
export interface CheckTurn {
  readonly checked: Checked;
  readonly beganMs: number;
}

/** Times are the caller's clock in ms. */
export interface CheckSchedule {
  /** Learns who is checked. Those who are missing are forgotten. */
  keep(all: Iterable<Checked>, nowMs: number): void;
  /** Begins the probes that are due, `most` of them. */
  begin(nowMs: number, most: number): readonly CheckTurn[];
  /** Plans the next one. False when the probe is about somebody who is gone or has changed: it says nothing then. */
  end(turn: CheckTurn, nowMs: number, isTurning: boolean): boolean;
  /** How many are checked. */
  readonly size: number;
}

interface Planned {
  checked: Checked;
  nextMs: number;
  turn: CheckTurn | undefined;
}

/** So much of an interval is taken away at random, so that instances spread. */
const JITTER = 0.1;
const FASTER = 3;
const FASTEST_MS = 200;

/** Nobody is checked. `random`: from 0 to 1, exclusive. */
export function createCheckSchedule(random: () => number): CheckSchedule {
  const planned = new Map<string, Planned>();
  const pace = ({ plan, urgent }: Checked, isTurning: boolean): number => {
    const fastMs = Math.min(plan.intervalMs, Math.max(FASTEST_MS, plan.intervalMs / FASTER));
    return (isTurning || urgent ? fastMs : plan.intervalMs) * (1 - JITTER * random());
  };
  const learn = (checked: Checked, nowMs: number): void => {
    const known = planned.get(checked.member);
    if (known?.checked.version !== checked.version) {
      planned.set(checked.member, { checked, nextMs: nowMs + random() * checked.firstWithinMs, turn: undefined });
      return;
    }
    if (checked.urgent && !known.checked.urgent) known.nextMs = nowMs;
    known.checked = checked;
  };

  return {
    keep(all, nowMs) {
      const present = new Set<string>();
      for (const checked of all) {
        present.add(checked.member);
        learn(checked, nowMs);
      }
      for (const member of planned.keys()) if (!present.has(member)) planned.delete(member);
    },
    begin(nowMs, most) {
      const due = [...planned.values()].filter(({ nextMs, turn }) => turn === undefined && nextMs <= nowMs);
      due.sort((one, other) => one.nextMs - other.nextMs);
      return due.slice(0, Math.max(0, most)).map((one) => (one.turn = { checked: one.checked, beganMs: nowMs }));
    },
    end(turn, nowMs, isTurning) {
      const known = planned.get(turn.checked.member);
      if (known?.turn !== turn) return false;
      known.turn = undefined;
      known.nextMs = Math.max(nowMs, turn.beganMs + pace(known.checked, isTurning));
      return true;
    },
    get size() {
      return planned.size;
    },
  };
}
