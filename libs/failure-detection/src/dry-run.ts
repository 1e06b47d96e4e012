// What would other settings have done? The silences that were recorded, judged again by the same detector. Quiet times are skipped:
// silences that overlap, or follow each other closely, are one episode, and each episode is swept through from its beginning.
import { memberOf, splitMember } from '@switchyard/protocol';
import type { Liveness, SwitchyardEvent } from '@switchyard/protocol';
import { defaultDetectorSettings } from './detector-facts.ts';
import type { CatalogFacts, DetectorSettings, ProbeOutcome, SweepFacts } from './detector-facts.ts';
import { initialDetectorState, membersToAsk, stepDetector } from './detector.ts';
import type { DetectorState } from './detector.ts';

/** One instance that was not heard for a while. Times are Redis's clock in ms. */
export interface RecordedSilence {
  readonly service: string;
  readonly id: string;
  readonly ttlMs: number;
  readonly lastBeatMs: number;
  /** heard again, registered again or deregistered; undefined when it never was */
  readonly endMs: number | undefined;
  /** how the probes of that time ended, the last one for all that would follow */
  readonly probes: readonly ProbeOutcome[];
}

/** What to try; what is left out stays as it is. */
export interface TrialSettings {
  readonly crowdMinimum?: number | undefined;
  readonly crowdPercent?: number | undefined;
  readonly crowdPatienceTtls?: number | undefined;
  /** in place of every instance's own */
  readonly ttlMs?: number | undefined;
  /** in place of every service's own */
  readonly maxUnhealthyPercent?: number | undefined;
}

/** Who would have been evicted, and who would have been kept in spite of a silence. */
export interface Trial {
  readonly episodes: number;
  readonly suspected: readonly string[];
  readonly evicted: readonly { readonly member: string; readonly atMs: number; readonly because: string }[];
  readonly held: readonly { readonly member: string; readonly reason: string }[];
  /** episodes that were too long to be judged to their end */
  readonly cut: number;
}

const SWEEP_MS = 100;
const MAX_EPISODE_MS = 600_000;
const MAX_ASKED = 512;
const HEALTHY: Pick<SweepFacts, 'roundTripMs' | 'doubts' | 'leader'> = { leader: true, roundTripMs: 1, doubts: [] };

/** The silences that `events`, oldest first, tell of. */
export function silencesIn(events: readonly SwitchyardEvent[]): RecordedSilence[] {
  const open = new Map<string, { -readonly [K in keyof RecordedSilence]: RecordedSilence[K] }>();
  const found: RecordedSilence[] = [];
  const close = (member: string, endMs: number | undefined): void => {
    const silence = open.get(member);
    if (!silence) return;
    open.delete(member);
    found.push({ ...silence, endMs });
  };
  for (const event of events) {
    const atMs = Date.parse(event.time);
    if (event.type === 'instance.suspected' || event.type === 'instance.evicted') {
      const { instance, evidence } = event.data;
      const { service, id, ttlMs } = instance;
      const member = memberOf(service, id);
      const lastBeatMs = evidence?.deadlineMs === undefined ? atMs : Math.min(atMs, evidence.deadlineMs - ttlMs);
      const silence = open.get(member) ?? { service, id, ttlMs, lastBeatMs, endMs: undefined, probes: [] };
      const probes = (evidence?.probes ?? []).map(({ outcome }) => outcome as ProbeOutcome);
      open.set(member, { ...silence, probes: probes.length > 0 ? probes : silence.probes });
    } else if (event.type === 'instance.revived' || event.type === 'instance.registered') {
      close(memberOf(event.data.instance.service, event.data.instance.id), atMs);
    } else if (event.type === 'instance.deregistered') close(memberOf(event.data.service, event.data.id), atMs);
  }
  for (const member of open.keys()) close(member, undefined);
  return found;
}

/** Judges `silences` anew. `instances`: how many of each service there are, the silent ones included. */
export function dryRun(
  silences: readonly RecordedSilence[],
  instances: ReadonlyMap<string, number>,
  trial: TrialSettings & {
    readonly maxUnhealthyPercentOf: (service: string) => number;
    /** nobody knows what came after this */
    readonly untilMs: number;
  },
): Trial {
  const total = {
    suspected: new Set<string>(),
    evicted: [] as Trial['evicted'][number][],
    held: [] as Trial['held'][number][],
    cut: 0,
  };
  const episodes = episodesOf(silences, trial.ttlMs);
  for (const episode of episodes) {
    const { suspected, evicted, held, cut } = judgeEpisode(episode, instances, trial);
    for (const member of suspected) total.suspected.add(member);
    total.evicted.push(...evicted);
    total.held.push(...held);
    total.cut += cut ? 1 : 0;
  }
  return { ...total, suspected: [...total.suspected].sort(), episodes: episodes.length };
}

function episodesOf(silences: readonly RecordedSilence[], ttlMs: number | undefined): RecordedSilence[][] {
  const sorted = silences.toSorted((a, b) => a.lastBeatMs - b.lastBeatMs);
  const episodes: RecordedSilence[][] = [];
  let endMs = -Infinity;
  for (const silence of sorted) {
    const settleMs = 4 * (ttlMs ?? silence.ttlMs);
    if (silence.lastBeatMs > endMs) episodes.push([]);
    episodes.at(-1)?.push(silence);
    endMs = Math.max(endMs, (silence.endMs ?? silence.lastBeatMs) + settleMs);
  }
  return episodes;
}

function judgeEpisode(
  episode: readonly RecordedSilence[],
  instances: ReadonlyMap<string, number>,
  trial: Parameters<typeof dryRun>[2],
): Omit<Trial, 'episodes' | 'cut'> & { readonly cut: boolean } {
  const { ttlMs: ttlForAll, maxUnhealthyPercent, maxUnhealthyPercentOf, untilMs, ...detector } = trial;
  const given = Object.fromEntries(Object.entries(detector).filter(([, value]) => value !== undefined));
  const settings: DetectorSettings = { ...defaultDetectorSettings, ...given };
  const startMs = episode[0]?.lastBeatMs ?? 0;
  const byMember = new Map<string, RecordedSilence[]>();
  for (const each of episode) {
    const member = memberOf(each.service, each.id);
    byMember.set(member, [...(byMember.get(member) ?? []), each]);
  }
  const ttlOf = (member: string): number => ttlForAll ?? byMember.get(member)?.[0]?.ttlMs ?? 3_000;
  /** Its deadline as Redis would have it: a beat a TTL ago at most, unless it is silent. */
  const deadlineAt = (member: string, nowMs: number): number => {
    const silent = byMember
      .get(member)
      ?.find(({ lastBeatMs, endMs }) => nowMs >= lastBeatMs && nowMs < (endMs ?? Infinity));
    return (silent ? silent.lastBeatMs : nowMs) + ttlOf(member);
  };
  const longestTtlMs = Math.max(...[...byMember.keys()].map(ttlOf));
  const lastMs = Math.max(...episode.map(({ lastBeatMs, endMs }) => endMs ?? lastBeatMs));
  const wantedMs = Math.min(untilMs, lastMs + (settings.crowdPatienceTtls + 6) * longestTtlMs);
  const endMs = Math.min(wantedMs, startMs + MAX_EPISODE_MS);

  const liveness = new Map<string, Liveness>();
  const dead = new Map<string, number>();
  const suspected = new Set<string>();
  const evicted: Trial['evicted'][number][] = [];
  const held: Trial['held'][number][] = [];
  let state: DetectorState = initialDetectorState;
  let probed: SweepFacts['probed'] = [];
  let nowMs = startMs;
  const catalog: CatalogFacts = {
    find: (member) => ({
      liveness: liveness.get(member) ?? 'alive',
      suspectedBy: 'silence',
      sinceMs: startMs,
      ttlMs: ttlOf(member),
      probes: (byMember.get(member)?.[0]?.probes.length ?? 0) > 0,
    }),
    count(service) {
      const recorded = Math.max(
        instances.get(service) ?? 0,
        [...byMember.keys()].filter((one) => splitMember(one)?.service === service).length,
      );
      return { recorded, living: recorded - (dead.get(service) ?? 0) };
    },
    maxUnhealthyPercent: (service) => maxUnhealthyPercent ?? maxUnhealthyPercentOf(service),
  };
  const known = [...new Set([...instances.keys(), ...episode.map(({ service }) => service)])].reduce(
    (sum, service) => sum + catalog.count(service).recorded,
    0,
  );
  // from a steady state on: no grace
  const steady = { lastSweepMs: startMs - SWEEP_MS, rescannedAtMs: startMs, cursorMs: startMs };
  state = { ...state, ...steady };
  for (; nowMs <= endMs; nowMs += SWEEP_MS) {
    const waited = [...byMember.keys()].filter((member) => liveness.get(member) !== 'dead');
    const passed = waited.flatMap((member) => {
      const deadlineMs = deadlineAt(member, nowMs);
      return deadlineMs <= nowMs && deadlineMs > state.cursorMs ? [{ member, deadlineMs, ttlMs: ttlOf(member) }] : [];
    });
    const alsoSuspected = waited.filter((member) => liveness.get(member) === 'suspect');
    const asked = membersToAsk(state, alsoSuspected, MAX_ASKED).map((member) => ({
      member,
      deadlineMs: liveness.get(member) === 'dead' ? undefined : deadlineAt(member, nowMs),
    }));
    const late = waited.filter((member) => deadlineAt(member, nowMs) <= nowMs + ttlOf(member) / 3).length;
    const sweep: SweepFacts = { ...HEALTHY, nowMs, known, late, cursorMs: nowMs, passed, asked, probed };
    const step = stepDetector(state, sweep, catalog, settings);
    ({ state } = step);
    const ended: SweepFacts['probed'][number][] = [];
    for (const action of step.actions) {
      const { member } = action;
      if (action.type === 'probe') {
        const outcome = byMember.get(member)?.[0]?.probes.at(-1) ?? 'timeout';
        ended.push({
          member,
          result: { kind: 'tcp', outcome, tookMs: 0, detail: `its probe was recorded as ${outcome}` },
        });
      } else if (action.type === 'suspect') {
        liveness.set(member, 'suspect');
        suspected.add(member);
      } else if (action.type === 'revive') liveness.set(member, 'alive');
      else {
        liveness.set(member, 'dead');
        suspected.add(member);
        const service = splitMember(member)?.service ?? '';
        dead.set(service, (dead.get(service) ?? 0) + 1);
        evicted.push({ member, atMs: nowMs, because: action.evidence.detail });
      }
    }
    for (const { member, reason } of step.newHolds) held.push({ member, reason });
    probed = ended;
  }
  return { suspected: [...suspected], evicted, held, cut: endMs < wantedMs };
}
