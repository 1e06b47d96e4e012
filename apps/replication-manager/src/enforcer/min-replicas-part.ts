// How many replicas must a write reach? Kept at what the group can afford: at least one while there is one, none when that would stop
// all writes and the group's policy is availability.
import {
  addressKey,
  defaultLimits,
  goodReplicas,
  isSeen,
  minReplicasState,
  noFindings,
  operatorsFloor,
  sameAddress,
  stepMinReplicas,
  type Address,
  type Findings,
  type MinReplicas,
  type NodeObservation,
} from '@switchyard/replication';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';
import { createMinReplicasMemory } from './min-replicas-memory.ts';

const countName = 'min-replicas-to-write';
const lagName = 'min-replicas-max-lag';
/** Somebody else may change it. */
const readEveryMs = 10_000;
/** After a refusal, so that a node that does not let us is not asked all the time. */
const retryMs = 5_000;
const hurryMs = 80;

interface NodeSetting {
  values: MinReplicas | null;
  runId: string | null;
  readAtMs: number;
  busy: boolean;
  heldUntilMs: number;
}

/** The part; without `manages`, and in groups of a single node, it does nothing. */
export const createMinReplicas = (tools: GroupTools, maxLagMs: number): GroupPart => {
  const { definition, observer, gate, clock, logger } = tools;
  const group = definition.name;
  const { policy } = definition.input;
  const maxLagSeconds = Math.max(1, Math.ceil(maxLagMs / 1_000));
  const memory = createMinReplicasMemory(tools.stateDir, logger);
  const settings = new Map<string, NodeSetting>();
  let state = minReplicasState;
  let findings: Findings = noFindings;
  let isHurried = false;
  let seenBefore = 0;

  /** Looks sooner than it is due: each moment without an answer is one in which writes are refused. */
  const hurry = (): void => {
    if (isHurried) return;
    isHurried = true;
    void clock.sleep(hurryMs).then(() => {
      isHurried = false;
      tools.wake();
    });
  };

  const settingOf = (node: Address): NodeSetting => {
    const key = addressKey(node);
    const known = settings.get(key);
    if (known !== undefined) return known;
    const fresh = { values: null, runId: null, readAtMs: -Infinity, busy: false, heldUntilMs: -Infinity };
    settings.set(key, fresh);
    return fresh;
  };

  const exclusively = (setting: NodeSetting, work: () => Promise<void>): void => {
    if (setting.busy || clock.monotonicMs() < setting.heldUntilMs) return;
    setting.busy = true;
    void work()
      .catch((error: unknown) => {
        setting.heldUntilMs = clock.monotonicMs() + retryMs;
        logger.debug({ group, err: error }, 'redis.min_replicas_failed');
      })
      .finally(() => {
        setting.busy = false;
      });
  };

  const read = (node: NodeObservation): void => {
    const setting = settingOf(node);
    const runId = node.info?.runId ?? null;
    const isDue = setting.runId !== runId || clock.monotonicMs() - setting.readAtMs >= readEveryMs;
    const admin = observer.nodeAt(node);
    if (!isDue || admin === undefined) return;
    exclusively(setting, async () => {
      const [toWrite, lag] = [await admin.configGet(countName), await admin.configGet(lagName)];
      if (toWrite === undefined || lag === undefined) return;
      setting.values = { toWrite: Number(toWrite), maxLagSeconds: Number(lag) };
      setting.runId = runId;
      setting.readAtMs = clock.monotonicMs();
      memory.seen(node, setting.values);
    });
  };

  const write = (node: NodeObservation, values: MinReplicas, because: string): void => {
    const setting = settingOf(node);
    const admin = observer.nodeAt(node);
    if (admin === undefined || gate.isHeld(node)) return;
    exclusively(setting, async () => {
      await admin.call('CONFIG', 'SET', lagName, values.maxLagSeconds, countName, values.toWrite);
      const before = setting.values;
      setting.values = values;
      memory.set(node, values);
      logger.warn({ group, node: node.name, before, now: values, because }, 'redis.min_replicas_set');
    });
  };

  /** What a replica should have for the moment of its promotion: nothing that stops it, unless that is the policy. */
  const prepare = (node: NodeObservation): void => {
    const { values } = settingOf(node);
    const operators = memory.operators(node);
    if (values === null || operators === undefined) return;
    const floor = operatorsFloor({ operators });
    if (policy === 'consistency' && values.toWrite < floor) write(node, { ...values, toWrite: floor }, 'policy');
    if (policy === 'availability' && operators.toWrite === 0 && values.toWrite > 0)
      write(node, { ...values, toWrite: 0 }, 'it is a replica');
  };

  const primaryOf = ({
    observation,
    verdict,
    follower,
    nowMs,
  }: GroupLook): { node: NodeObservation; isNew: boolean } | null => {
    const serving = observation.nodes.filter(
      (node) => isSeen(node, nowMs, defaultLimits.staleAfterMs) && node.info?.role === 'primary' && !node.info.loading,
    );
    const selected = follower.attempt?.selected ?? null;
    const promoted = serving.find((node) => sameAddress(node, selected));
    // Once the leader has promoted it, it is the primary, though the majority says so a second later.
    if (promoted !== undefined) return { node: promoted, isNew: true };
    const named = serving.find((node) => sameAddress(node, verdict.named));
    return named === undefined ? null : { node: named, isNew: false };
  };

  const look = (seen: GroupLook): void => {
    const { observation, verdict, follower, nowMs } = seen;
    findings = noFindings;
    // A group that never had a replica has nobody to wait for.
    if (observation.kind !== 'sentinel' || observation.nodes.length < 2) return;
    const fresh = observation.nodes.filter((node) => isSeen(node, nowMs, defaultLimits.staleAfterMs));
    if (tools.manages) for (const node of fresh) read(node);
    const found = primaryOf(seen);
    if (found === null) return;
    const { node, isNew } = found;
    if (node.info === null) return;
    const { values } = settingOf(node);
    const others = fresh.some((one) => one.info?.role === 'primary' && !sameAddress(one, node));
    const isUnderWay =
      (follower.attempt !== null && follower.attempt.target === null) ||
      observation.sentinels.some(({ view }) => view?.flags.includes('failover_in_progress'));
    const isCertain = verdict.by === 'sentinels' && sameAddress(verdict.named, node) && !others && !isUnderWay;
    const step = stepMinReplicas(state, {
      primary: node,
      good: goodReplicas(node.info, values?.maxLagSeconds ?? maxLagSeconds),
      now: values,
      operators: memory.operators(node) ?? values ?? { toWrite: 0, maxLagSeconds },
      policy,
      isCertain,
      isNew,
      maxLagSeconds,
      nowMs,
    });
    state = step.state;
    findings = step.findings;
    const isRefusing =
      policy === 'availability' && (values?.toWrite ?? 0) > 0 && state.noneSinceMs !== null && isCertain;
    if (tools.manages && (isRefusing || fresh.length < seenBefore)) hurry();
    seenBefore = fresh.length;
    if (!tools.manages) return;
    if (step.set !== null) write(node, step.set, `${String(node.info.replicas.length)} replicas`);
    if (!isCertain) return;
    for (const one of fresh) if (one.info?.role === 'replica') prepare(one);
  };

  return {
    name: 'min-replicas',
    start: () => memory.load(),
    look,
    findings: () => findings,
  };
};
