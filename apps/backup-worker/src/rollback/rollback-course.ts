// How is a rollback that was decided carried through, also by the next process? The machine is driven, each step is written down, what no
// node can do is done here, and what it cost is measured.
import { beginRollback, type RollbackState, type RollbackWork } from '@switchyard/backup';
import { redisProbeKey, type Result } from '@switchyard/protocol';
import type { DirectWorkTools } from '../operations/operation-runner.ts';
import { probeAvailability, type AvailabilityProbe, type Unavailability } from './availability.ts';
import { proveData, type DataProof } from './data-proof.ts';
import { createGroupContacts } from './group-contacts.ts';
import { driveRollback, type RollbackDrive } from './rollback-drive.ts';
import { thisWorker, type RollbackRecord } from './rollback-journal.ts';
import type { RollbackTools } from './rollback-tools.ts';
import { createServedData, prepareTarget, type PreparedTarget } from './served-data.ts';

/** How it went. */
export interface CourseEnd {
  readonly record: RollbackRecord;
  readonly unavailable: Unavailability;
  readonly proof: DataProof | null;
  readonly resumed: boolean;
}

/** What is carried through. `prepared`: what this process has made real already. */
export interface Course {
  readonly record: RollbackRecord;
  readonly resumed: boolean;
  readonly prepared: PreparedTarget | null;
  readonly credentials: { readonly username?: string; readonly password?: string };
  readonly work: DirectWorkTools;
}

type Answer = Awaited<ReturnType<RollbackDrive['work']>>;

const probePatienceMs = 5_000;
const probeScript = "redis.call('SET', KEYS[1], ARGV[1], 'PX', 1000) return redis.call('DEL', KEYS[1])";
/** An operation's step for each of the machine's. */
const shown: Readonly<Partial<Record<RollbackState['waitsFor'], number>>> = {
  'target-served': 4,
  'guards-raised': 4,
  'writes-paused': 4,
  'point-sealed': 4,
  'data-taken': 5,
  'data-proven': 6,
  promoted: 6,
  'writes-resumed': 6,
  'replicas-level': 7,
  'settings-restored': 8,
};

/** A record that says nothing was done yet. */
export function newRecord(
  facts: Pick<RollbackRecord, 'request' | 'point' | 'marked' | 'keys' | 'diff' | 'warnings' | 'managers'> & {
    readonly plan: RollbackState['plan'];
  },
  tools: RollbackTools,
): RollbackRecord {
  const { plan, ...rest } = facts;
  const nowMs = tools.clock.unixMs();
  return {
    formatVersion: 1,
    id: plan.id,
    group: plan.group,
    ...rest,
    beganAtMs: nowMs,
    writtenAtMs: nowMs,
    by: thisWorker(tools.instanceId),
    safetyPoint: null,
    state: beginRollback(plan, tools.clock.monotonicMs()),
    steps: [],
    result: null,
    left: [],
  };
}

/** Carries it through to its end. The signal cancels it as far as that is possible; it ends well all the same. */
export async function carryThrough(tools: RollbackTools, course: Course): Promise<CourseEnd> {
  const { archive, clock, logger } = tools;
  const { work, resumed } = course;
  const { plan } = course.record.state;
  let { record } = course;
  // What is under way must end well although the operation was cancelled: it has a life of its own.
  const life = new AbortController();
  const { signal } = life;
  const contacts = createGroupContacts(tools.settings);
  const probes = createGroupContacts(tools.settings);
  let proof: DataProof | null = null;
  const measure: { probe: AvailabilityProbe | null; end: Promise<Unavailability> | null } = { probe: null, end: null };

  const served = createServedData({
    prepare: async (inTime): Promise<Result<PreparedTarget>> => {
      const made = await tools.materialise(record.point, { signal: inTime });
      if (!made.ok) return made;
      if (!record.marked)
        return { ok: true, value: { materialised: made.value, marked: false, keys: await made.value.keys(inTime) } };
      return { ok: true, value: await prepareTarget(made.value, record.id, inTime) };
    },
    prepared: course.prepared,
    keys: record.keys,
    materialise: tools.materialise,
    bindHost: tools.bindHost,
    advertisedHost: tools.advertisedHost,
    credentials: course.credentials,
    signal,
  });

  const seal = async (offset: number): Promise<Answer> => {
    const known = record.safetyPoint;
    if (known !== null && known.offset >= offset) return { outcome: 'ok', detail: known.label };
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(plan.limits.sealMs)]);
    const flushed = await archive.flush({ untilOffset: offset, signal: inTime });
    if (!flushed.ok) return { outcome: 'refused', detail: flushed.error.detail };
    const detail = `the present before the rollback to ${record.point.at}`;
    const safetyPoint = await tools.keepPoint(flushed.value, record.id, detail, signal);
    record = { ...record, safetyPoint };
    return { outcome: 'ok', detail: safetyPoint.label };
  };
  const serveSafety = async (replicationId: string): Promise<Answer> => {
    if (record.safetyPoint === null) return { outcome: 'lost', detail: 'there is no safety point' };
    const point = await archive.locate({ label: record.safetyPoint.label }, signal);
    const serving = point.ok
      ? await served.serveSafety(point.value, { replicationId, offset: plan.safetyOffset })
      : point;
    return serving.ok
      ? { outcome: 'ok', detail: '', address: serving.value }
      : { outcome: 'lost', detail: serving.error.detail };
  };
  const prove = async (what: 'target' | 'safety'): Promise<Answer> => {
    const { keys, source } = served.reference(what);
    if (keys === null) return { outcome: 'refused', detail: 'nothing to compare with' };
    const compared = await proveData({ contacts: probes, at: plan.primary, runId: plan.runId, keys, source, signal });
    if (!compared.ok) return { outcome: 'refused', detail: compared.error.detail };
    if (what === 'target') proof = compared.value;
    return { outcome: 'ok', detail: '' };
  };
  const carryOut = async (what: RollbackWork): Promise<Answer> => {
    switch (what.type) {
      case 'serve-target': {
        const serving = await served.serveTarget({ replicationId: plan.replicationId, offset: plan.targetOffset });
        if (serving.ok) return { outcome: 'ok', detail: '', address: serving.value };
        return { outcome: 'refused', detail: serving.error.detail };
      }
      case 'serve-safety':
        return serveSafety(what.replicationId);
      case 'seal':
        return seal(what.offset);
      case 'prove':
        return prove(what.what);
      case 'probe':
        await probes.node(plan.primary, ['EVAL', probeScript, '1', redisProbeKey, record.id], { runId: plan.runId });
        return { outcome: 'ok', detail: '' };
      case 'stop-serving':
        await served.stop();
        return { outcome: 'ok', detail: '' };
    }
  };

  const onStep = async (state: RollbackState): Promise<void> => {
    const { waitsFor } = state;
    const step = shown[waitsFor];
    if (step !== undefined) work.report(step, { detail: state.reason ?? waitsFor });
    if (waitsFor === 'target-served' || (resumed && measure.probe === null))
      measure.probe ??= probeAvailability(plan.primary, tools.settings, clock);
    const isNew = waitsFor === 'writes-resumed' || (waitsFor === 'writes-released' && state.takeAsked);
    if (isNew) archive.beginNewTimeline(`rollback ${record.id}`);
    if (waitsFor === 'replicas-level' || waitsFor === 'heir-known')
      measure.end ??= measure.probe?.finish(probePatienceMs) ?? null;
    await tools.onStep?.(state);
  };
  const write = async (state: RollbackState): Promise<void> => {
    const nowMs = clock.unixMs();
    const isNew = record.steps.at(-1)?.waitsFor !== state.waitsFor;
    const steps = isNew ? [...record.steps.slice(-63), { waitsFor: state.waitsFor, atMs: nowMs }] : record.steps;
    record = { ...record, state, steps, writtenAtMs: nowMs, by: thisWorker(tools.instanceId), left: state.left };
    // The end is written with its result.
    if (state.waitsFor !== 'ended') await tools.journal.write(record, signal);
  };

  try {
    const state = await driveRollback({
      state: record.state,
      resumed,
      contacts,
      served,
      work: carryOut,
      write,
      onStep,
      signal: work.signal,
      clock,
      logger,
    });
    record = { ...record, state, left: state.left };
    const unavailable = await (measure.end ?? measure.probe?.finish(1) ?? { writesMs: null, readsMs: null });
    return { record, unavailable: withGap(unavailable, record, resumed), proof, resumed };
  } finally {
    measure.probe?.stop();
    await served.close();
    contacts.close();
    probes.close();
    life.abort(new Error('the rollback is over'));
  }
}

/** What a process that died did not measure, its journal tells: from the pause until writers went on. */
function withGap(unavailable: Unavailability, { steps }: RollbackRecord, resumed: boolean): Unavailability {
  if (!resumed) return unavailable;
  const from = steps.find(({ waitsFor }) => waitsFor === 'writes-paused')?.atMs;
  const to = steps.findLast(({ waitsFor }) => waitsFor === 'replicas-level')?.atMs;
  if (from === undefined || to === undefined) return unavailable;
  return { ...unavailable, writesMs: Math.max(unavailable.writesMs ?? 0, to - from) };
}
