// Do the invariants hold whatever goes wrong? A whole world in one loop without a clock of its own: instances that beat, a Redis, two
// monitors with the real detector and the catalog's own transitions. After each eviction, and in the end, it asks what must hold:
//
//   I1  nobody goes by missing evidence within two TTLs of a late sweep, or of a step of the clock
//   I2  nobody goes by missing evidence while a crowd is silent, unless its own probe failed too
//   I3  nobody goes by missing evidence as the last of a service of two or more
//   I5  whoever is unknown registers again, and everybody who is alive is alive in the end
//   I6  nobody but the holder of the lease changes anything
//   and nobody goes whose deadline lies ahead or, refused, who is alive; whoever is truly dead is gone in the end
import {
  evictInstance,
  memberOfInstance,
  registerInstance,
  reviveInstance,
  settleInstance,
  suspectInstance,
} from '@switchyard/catalog';
import type { Decision } from '@switchyard/catalog';
import { instanceInputSchema } from '@switchyard/protocol';
import type { Doubt, InstanceInput } from '@switchyard/protocol';
import type { SeededRandom } from '@switchyard/testing';
import { initialDetectorState, membersToAsk, stepDetector } from './detector.ts';
import type { DetectorState } from './detector.ts';
import { defaultDetectorSettings } from './detector-facts.ts';
import type { CatalogFacts, DetectorAction, DetectorSettings, ProbeOutcome, ProbeResult } from './detector-facts.ts';
import type { Fault, PlannedInstance, Schedule } from './schedule-fixture.ts';
import { createSimulatedRedis } from './simulated-redis-fixture.ts';

const SWEEP_MS = 50;
const PROBE_TIMEOUT_MS = 100;
const MAX_SECONDS_TO_CALM = 30;
const LATE_MS = 150;

/** What a test takes away, to see that the invariants notice. */
export interface Sabotage {
  readonly settings?: Partial<DetectorSettings>;
  readonly facts?: (facts: CatalogFacts) => CatalogFacts;
  readonly unfenced?: boolean;
  readonly deafToBeats?: boolean;
  /** an action is carried out though the detector would not have asked for it */
  readonly also?: (state: DetectorState, nowMs: number) => DetectorAction[];
}

interface Process extends PlannedInstance {
  readonly member: string;
  alive: boolean;
  refuses: boolean;
  paused: boolean;
  cutOff: 'answered' | 'timeout' | undefined;
  lostPercent: number;
  nextBeatMs: number;
  /** waits for Redis to answer again */
  beatWaits: boolean;
}

interface SimulatedMonitor {
  readonly id: string;
  state: DetectorState;
  leading: boolean;
  paused: boolean;
  /** it stalls so long at its next decision, before it can commit it */
  stallsForMs: number;
  stalledUntilMs: number;
  lastSweepMs: number | undefined;
  /** by Redis's clock */
  sweptMs: number | undefined;
  /** the last moment at which it, Redis or the clock gave it no reason to trust silence */
  shakenAtMs: number;
  clockOffsetMs: number;
  probes: { readonly member: string; readonly result: ProbeResult; readonly readyAtMs: number }[];
  doubts: Doubt[];
  /** decided before it stalled */
  kept: { readonly action: DetectorAction; readonly decision: Decision; readonly token: number }[];
}

const inputs = new Map<string, InstanceInput>();
function inputOf(check: PlannedInstance['check'], ttlMs: number): InstanceInput {
  const key = `${check} ${ttlMs}`;
  const known = inputs.get(key);
  if (known) return known;
  const input = instanceInputSchema.parse({ url: 'http://10.0.0.1:80', ttl: `${ttlMs}ms`, check: { type: check } });
  inputs.set(key, input);
  return input;
}

/** Runs one schedule; what was violated, for people. An empty list is a world in which all went well. */
export function simulate(schedule: Schedule, random: SeededRandom, sabotage: Sabotage = {}): readonly string[] {
  const { ttlMs } = schedule;
  const settings = { ...defaultDetectorSettings, ...sabotage.settings };
  const redis = createSimulatedRedis();
  const violations: string[] = [];
  let clockOffsetMs = 0;
  let redisPaused = false;
  let knewAt: { atMs: number; contents: ReturnType<typeof redis.save> }[] = [];
  let sawEviction = false;

  const processes: Process[] = schedule.instances.map((planned) => ({
    ...planned,
    member: `${planned.service}/${planned.id}`,
    alive: true,
    refuses: true,
    paused: false,
    cutOff: undefined,
    lostPercent: 0,
    nextBeatMs: planned.phaseMs,
    beatWaits: false,
  }));
  const byMember = new Map(processes.map((process) => [process.member, process]));
  const monitors: SimulatedMonitor[] = ['m0', 'm1'].map((id) => ({
    id,
    state: initialDetectorState,
    leading: false,
    paused: false,
    stallsForMs: 0,
    stalledUntilMs: 0,
    lastSweepMs: undefined,
    sweptMs: undefined,
    shakenAtMs: 0,
    clockOffsetMs: 0,
    probes: [],
    doubts: [],
    kept: [],
  }));
  const violated = (atMs: number, what: string): void => void violations.push(`${atMs} ms: ${what}`);

  const honest: CatalogFacts = {
    find(member) {
      const instance = redis.instances.get(member);
      if (!instance) return undefined;
      const { liveness, suspectedBy, sinceMs, ttlMs: own, check } = instance;
      return { liveness, suspectedBy, sinceMs, ttlMs: own, probes: check?.type !== 'none' };
    },
    count(service) {
      let [recorded, living] = [0, 0];
      for (const instance of redis.instances.values()) {
        if (instance.service !== service) continue;
        recorded += 1;
        if (instance.liveness !== 'dead') living += 1;
      }
      return { recorded, living };
    },
    maxUnhealthyPercent: () => 30,
  };
  const facts = sabotage.facts?.(honest) ?? honest;

  const deliverBeat = (process: Process): void => {
    if (redis.beat(process.member) || sabotage.deafToBeats) return;
    const { service, id, member, check } = process;
    const decision = registerInstance(redis.instances.get(member), { service, id }, inputOf(check, ttlMs), redis.nowMs);
    redis.commit(decision);
  };
  const beats = (tMs: number): void => {
    for (const process of processes) {
      const due = tMs >= process.nextBeatMs;
      if (due) process.nextBeatMs += Math.floor(ttlMs / 3 / SWEEP_MS) * SWEEP_MS;
      if (!process.alive || process.paused || process.cutOff !== undefined) continue;
      if (due && random() * 100 >= process.lostPercent) process.beatWaits = true;
      if (!process.beatWaits || redisPaused) continue;
      process.beatWaits = false;
      deliverBeat(process);
    }
  };

  const probeOutcome = (member: string): ProbeOutcome => {
    const process = byMember.get(member);
    if (!process) return 'refused';
    if (process.cutOff === 'timeout') return 'timeout';
    if (!process.alive) return process.refuses ? 'refused' : 'timeout';
    return process.paused && process.check === 'http' ? 'timeout' : 'answered';
  };
  const probe = (
    monitor: SimulatedMonitor,
    tMs: number,
    { member, patience }: { member: string; patience: number },
  ): void => {
    const outcome = probeOutcome(member);
    const tookMs = outcome === 'timeout' ? PROBE_TIMEOUT_MS * patience : 1;
    const result: ProbeResult = { kind: 'tcp', outcome, tookMs, detail: `its probe says ${outcome}` };
    monitor.probes.push({ member, result, readyAtMs: tMs + tookMs });
  };

  /** What must hold for an eviction at the moment of its commit. */
  const judge = (monitor: SimulatedMonitor, tMs: number, action: DetectorAction & { type: 'evict' }): void => {
    const { member, evidence } = action;
    const last = evidence.probes?.at(-1)?.outcome;
    const process = byMember.get(member);
    if (last === 'refused' || last === 'other') {
      if (process?.alive) violated(tMs, `${member} was evicted as refused, and is alive`);
      return;
    }
    const deadlines = [...redis.deadlines.values()];
    const silent = deadlines.filter((at) => at <= redis.nowMs).length;
    if ((redis.deadlines.get(member) ?? 0) > redis.nowMs) violated(tMs, `${member} was evicted though it was heard`);
    if (tMs - monitor.shakenAtMs < 2 * ttlMs) violated(tMs, `I1: ${member} was evicted after a late sweep`);
    const isCrowd = silent >= 3 && silent * 100 > deadlines.length * 30;
    if (isCrowd && last !== 'timeout' && last !== 'failed')
      violated(tMs, `I2: ${member} of a silent crowd was evicted`);
  };

  const decide = (action: Exclude<DetectorAction, { type: 'probe' }>): Decision | undefined => {
    const instance = redis.instances.get(action.member);
    if (!instance) return undefined;
    const { nowMs } = redis;
    if (action.type === 'suspect') return suspectInstance(instance, action.evidence, nowMs, action.by);
    if (action.type === 'revive') return reviveInstance(instance, action.evidence, nowMs);
    return evictInstance(instance, action.evidence, nowMs);
  };
  const commit = (
    monitor: SimulatedMonitor,
    tMs: number,
    { action, decision, token }: SimulatedMonitor['kept'][number],
  ): void => {
    const isLast = (service: string): boolean => {
      const { recorded, living } = honest.count(service);
      return recorded >= 2 && living === 0;
    };
    if (action.type === 'evict') {
      sawEviction = true;
      const before = violations.length;
      judge(monitor, tMs, action);
      const evidenceIsMissing = action.evidence.probes?.at(-1)?.outcome !== 'refused';
      if (!redis.commit(decision, sabotage.unfenced ? undefined : token)) {
        // nothing happened
        violations.length = before;
        return;
      }
      if (redis.holder() !== monitor.id) violated(tMs, `I6: ${monitor.id} evicted without the lease`);
      const service = action.member.split('/')[0] ?? '';
      if (evidenceIsMissing && isLast(service)) violated(tMs, `I3: ${service} was emptied by ${action.member}`);
    } else redis.commit(decision, sabotage.unfenced ? undefined : token);
  };

  const sweep = (monitor: SimulatedMonitor, tMs: number): void => {
    const isLate = monitor.lastSweepMs === undefined || tMs - monitor.lastSweepMs > LATE_MS;
    if (isLate || monitor.clockOffsetMs !== clockOffsetMs) monitor.shakenAtMs = tMs;
    monitor.lastSweepMs = tMs;
    monitor.clockOffsetMs = clockOffsetMs;
    const suspects: string[] = [];
    for (const instance of redis.instances.values()) {
      if (instance.liveness === 'suspect' && instance.suspectedBy !== 'check')
        suspects.push(memberOfInstance(instance));
    }
    const asked = monitor.leading ? membersToAsk(monitor.state, suspects, 3) : [];
    const seen = redis.sweep(monitor.id, {
      cursorMs: monitor.state.cursorMs,
      horizonMs: ttlMs / 3,
      sweptMs: monitor.sweptMs,
      asked,
    });
    monitor.sweptMs = seen.nowMs;
    monitor.leading = seen.leader;
    const probed = monitor.probes.filter(({ readyAtMs }) => readyAtMs <= tMs);
    monitor.probes = monitor.probes.filter(({ readyAtMs }) => readyAtMs > tMs);
    const doubts = monitor.doubts;
    monitor.doubts = [];
    const step = stepDetector(monitor.state, { ...seen, roundTripMs: 1, doubts, probed }, facts, settings);
    monitor.state = step.state;
    if (!seen.leader) return;
    const stalls = monitor.stallsForMs > 0 && step.actions.some(({ type }) => type !== 'probe');
    if (stalls) [monitor.stalledUntilMs, monitor.stallsForMs] = [tMs + monitor.stallsForMs, 0];
    for (const action of [...step.actions, ...(sabotage.also?.(step.state, seen.nowMs) ?? [])]) {
      if (action.type === 'probe') {
        probe(monitor, tMs, action);
        continue;
      }
      const decision = decide(action);
      if (!decision) continue;
      const late = { action, decision, token: seen.token };
      if (stalls) monitor.kept.push(late);
      else commit(monitor, tMs, late);
    }
    for (const instance of redis.instances.values()) {
      if (instance.dampedUntilMs !== undefined) redis.commit(settleInstance(instance, seen.nowMs), seen.token);
    }
  };
  const runMonitor = (monitor: SimulatedMonitor, tMs: number): void => {
    if (monitor.paused || tMs < monitor.stalledUntilMs || redisPaused) return;
    for (const late of monitor.kept.splice(0)) commit(monitor, tMs, late);
    sweep(monitor, tMs);
  };

  const lose = (knew: ReturnType<typeof redis.save> | undefined, heals: boolean): void => {
    redis.lose(knew, heals);
    // the next epoch: monitors load the catalog, and begin anew
    for (const monitor of monitors) monitor.state = { ...monitor.state, lastSweepMs: undefined };
  };
  const spans = (fault: { fromMs: number; untilMs: number }, tMs: number): boolean | undefined =>
    tMs >= fault.fromMs && tMs < fault.fromMs + SWEEP_MS
      ? true
      : tMs >= fault.untilMs && tMs < fault.untilMs + SWEEP_MS
        ? false
        : undefined;
  const apply = (fault: Fault, tMs: number): void => {
    const isNow = 'atMs' in fault && tMs >= fault.atMs && tMs < fault.atMs + SWEEP_MS;
    const begins = 'untilMs' in fault ? spans(fault, tMs) : undefined;
    if (!isNow && begins === undefined && fault.type !== 'failover') return;
    switch (fault.type) {
      case 'loss':
        for (const process of processes) process.lostPercent = begins ? fault.percent : 0;
        return;
      case 'pause-instance': {
        const process = processes[fault.who];
        if (process) process.paused = begins === true;
        return;
      }
      case 'pause-monitor': {
        const monitor = monitors[fault.who];
        if (!monitor) return;
        if (!fault.keepsDecision) monitor.paused = begins === true;
        else if (begins) monitor.stallsForMs = fault.untilMs - fault.fromMs;
        return;
      }
      case 'pause-redis':
        redisPaused = begins === true;
        return;
      case 'step-clock':
        redis.nowMs += fault.byMs;
        clockOffsetMs += fault.byMs;
        return;
      case 'failover':
        if (tMs >= fault.fromMs && tMs < fault.atMs) redisPaused = true;
        if (!isNow) return;
        redisPaused = false;
        lose(knewAt.findLast(({ atMs }) => atMs <= fault.fromMs - 1_000)?.contents, fault.heals);
        return;
      case 'wipe':
        lose(undefined, fault.heals);
        return;
      case 'die': {
        const process = processes[fault.who];
        if (process) [process.alive, process.refuses] = [false, fault.refuses];
        return;
      }
      case 'partition':
        for (const who of fault.who) {
          const process = processes[who];
          if (process) process.cutOff = begins ? fault.probes : undefined;
        }
        return;
      case 'doubt': {
        const process = processes[fault.who];
        if (!process) return;
        const { service, id } = process;
        const doubt: Doubt = { service, id, because: 'request-timeout', detail: 'it hangs', witness: fault.witness };
        for (const monitor of monitors) if (!monitor.paused) monitor.doubts.push(doubt);
      }
    }
  };

  const unsettled = (process: Process): string | undefined => {
    const liveness = redis.instances.get(process.member)?.liveness ?? 'absent';
    if (process.alive) return liveness === 'alive' ? undefined : `${process.member} is alive, but ${liveness}`;
    const gone = liveness === 'dead' || liveness === 'absent';
    // one that cannot be proven dead stays doubted where it is the last of its service, or one of a crowd
    const isProvable = process.refuses && process.check !== 'none';
    return gone || (!isProvable && liveness === 'suspect') ? undefined : `${process.member} is dead, but ${liveness}`;
  };

  const hasFailover = schedule.faults.some(({ type }) => type === 'failover');
  const endMs = schedule.calmFromMs + 1_000 * MAX_SECONDS_TO_CALM;
  let calmTicks = 0;
  for (let tMs = 0; tMs < endMs; tMs += SWEEP_MS) {
    redis.nowMs += SWEEP_MS;
    if (tMs <= schedule.calmFromMs) for (const fault of schedule.faults) apply(fault, tMs);
    if (hasFailover && tMs % 250 === 0 && !redisPaused) {
      knewAt = [...knewAt, { atMs: tMs, contents: redis.save() }].slice(-12);
    }
    const beatsFirst = random() < 0.5;
    if (beatsFirst) beats(tMs);
    for (const monitor of random() < 0.5 ? monitors : monitors.toReversed()) runMonitor(monitor, tMs);
    if (!beatsFirst) beats(tMs);
    if (violations.length > 0) return violations;
    if (tMs <= schedule.calmFromMs) continue;
    calmTicks = processes.every((process) => unsettled(process) === undefined) ? calmTicks + 1 : 0;
    // long enough for what is still to come: probes, and another TTL
    if (calmTicks * SWEEP_MS > (sawEviction ? ttlMs : 2 * ttlMs)) return [];
  }
  return processes.flatMap((process) => unsettled(process) ?? []).map((what) => `in the end: ${what}`);
}
