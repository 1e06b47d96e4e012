// What does the detector see in a test? A fleet with deadlines, a catalog and probes, on a clock that the test moves.
import type { Doubt, Liveness } from '@switchyard/protocol';
import { initialDetectorState, membersToAsk, stepDetector } from './index.ts';
import type {
  CatalogFacts,
  DetectorAction,
  DetectorState,
  Hold,
  MemberFacts,
  ProbeOutcome,
  SweepFacts,
} from './index.ts';

export const TTL = 700;
export const SWEEP = 50;

/** A fleet with deadlines, a catalog and probes: the detector's whole world, on a clock that the test moves. */
export function world(
  members: readonly string[],
  options: { readonly probes?: boolean; readonly askLimit?: number; readonly kind?: 'http' | 'tcp' } = {},
) {
  const known = new Map<string, MemberFacts>();
  const put = (member: string, more: Partial<MemberFacts> = {}): void => {
    const before = known.get(member);
    const fresh = { liveness: 'alive', suspectedBy: undefined, sinceMs: 0, ttlMs: TTL, probes: options.probes ?? true };
    known.set(member, { ...(before ?? (fresh as MemberFacts)), ...more });
  };
  for (const member of members) put(member);
  const deadline = new Map<string, number>();
  const answers = new Map<string, ProbeOutcome>();
  const log: { atMs: number; action: DetectorAction }[] = [];
  const holds: Hold[] = [];
  let state: DetectorState = initialDetectorState;
  let probed: {
    member: string;
    result: { kind: 'http' | 'tcp'; outcome: ProbeOutcome; tookMs: number; detail: string };
  }[] = [];
  let doubts: Doubt[] = [];
  let nowMs = 10_000;
  const catalog: CatalogFacts = {
    find: (member) => known.get(member),
    count(service) {
      const recorded = [...known].filter(([member]) => member.startsWith(`${service}/`));
      return { recorded: recorded.length, living: recorded.filter(([, { liveness }]) => liveness !== 'dead').length };
    },
    maxUnhealthyPercent: () => 30,
  };
  const is = (member: string): Liveness | undefined => known.get(member)?.liveness;
  const beat = (member: string): void => {
    if (is(member) !== 'dead') deadline.set(member, nowMs + TTL);
  };
  const carryOut = (action: DetectorAction): void => {
    const { type, member } = action;
    if (type === 'suspect') put(member, { liveness: 'suspect', suspectedBy: action.by, sinceMs: nowMs });
    if (type === 'revive') put(member, { liveness: 'alive', suspectedBy: undefined, sinceMs: nowMs });
    if (type === 'evict') {
      put(member, { liveness: 'dead', sinceMs: nowMs });
      deadline.delete(member);
    }
    if (type !== 'probe') return;
    const outcome = answers.get(member) ?? 'answered';
    probed.push({
      member,
      result: { kind: options.kind ?? 'tcp', outcome, tookMs: 1, detail: `the probe ${outcome}` },
    });
  };
  const sweepOnce = (leader = true): void => {
    const suspects = [...known].filter(
      ([, { liveness, suspectedBy }]) => liveness === 'suspect' && suspectedBy !== 'check',
    );
    const asked = membersToAsk(
      state,
      suspects.map(([member]) => member),
      options.askLimit ?? 512,
    );
    const passed = [...deadline]
      .filter(([, at]) => at <= nowMs && at > state.cursorMs)
      .map(([member, deadlineMs]) => ({ member, deadlineMs, ttlMs: TTL }));
    const sweep: SweepFacts = {
      leader,
      nowMs,
      roundTripMs: 1,
      known: deadline.size,
      late: [...deadline.values()].filter((at) => at <= nowMs + TTL / 3).length,
      cursorMs: nowMs,
      passed,
      asked: asked.map((member) => ({ member, deadlineMs: deadline.get(member) })),
      doubts,
      probed,
    };
    [doubts, probed] = [[], []];
    const step = stepDetector(state, sweep, catalog);
    state = step.state;
    holds.push(...step.newHolds);
    for (const action of step.actions) {
      log.push({ atMs: nowMs, action });
      carryOut(action);
    }
  };
  for (const member of members) beat(member);
  return {
    /** Passes time; `alive` beat every 200 ms, sweeps run unless the monitor stalls. */
    run(forMs: number, alive: (member: string) => boolean, stalled = false) {
      for (const endMs = nowMs + forMs; nowMs < endMs; nowMs += SWEEP) {
        if (nowMs % 200 === 0) for (const member of members) if (alive(member)) beat(member);
        if (!stalled) sweepOnce();
      }
    },
    jump: (ms: number) => (nowMs += ms),
    answer: (member: string, outcome: ProbeOutcome) => answers.set(member, outcome),
    evicted: () => log.flatMap(({ action }) => (action.type === 'evict' ? [action.member] : [])),
    evidence: (member: string) =>
      log.flatMap(({ action }) => (action.type === 'evict' && action.member === member ? [action.evidence] : []))[0],
    is,
    put,
    holds,
    doubt(member: string, witness = 'd1', because: Doubt['because'] = 'connect-failed') {
      const [service = '', id = ''] = member.split('/');
      doubts.push({ service, id, because, detail: 'it refuses connections', witness });
    },
    health: () => state.health.score,
    suspicions: () => state.suspicions.size,
    nowMs: () => nowMs,
    log,
  };
}

export const fleet = (count: number, service = 'shop'): string[] =>
  Array.from({ length: count }, (_, i) => `${service}/${i}`);
export const everybody = (): boolean => true;
export const nobody = (): boolean => false;
