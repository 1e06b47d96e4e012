// Which instances of one service does a discovery client know, and which one next? The last word of the catalog, less what failed
// here a moment ago. It is changed by news and by failures, never by a connection that breaks.
import { pickByKey, pickerFor } from '@switchyard/balancing';
import type { Candidate, Picker } from '@switchyard/balancing';
import { createOutlierDetector, defaultEjectionSettings, isPanic } from '@switchyard/failure-detection';
import type { EjectionSettings, FailureKind } from '@switchyard/failure-detection';
import { defaultServicePolicy, parseDurationMs } from '@switchyard/protocol';
import type { PolicyName, ServicePolicy } from '@switchyard/protocol';
import { isBefore } from './discovery-news.ts';
import type { DiscoveredInstance, Position, ServiceSnapshot } from './discovery-news.ts';

/** How to pick. */
export interface PickOptions {
  /** The same key gets the same instance, as long as that one may take traffic. */
  readonly key?: string;
  /** Ids that are out of the question: where this request was tried before. */
  readonly exclude?: readonly string[];
}

/** What a service is in this process. */
export interface DiscoveryTable {
  readonly name: string;
  /** Where the catalog stood when it was told; undefined until it was. */
  readonly position: Position | undefined;
  readonly policy: ServicePolicy;
  instances(): readonly DiscoveredInstance[];
  pick(options?: PickOptions): DiscoveredInstance | undefined;
  /** False when the snapshot is older than what is known; nothing changes then, unless it is `forced`. */
  load(snapshot: ServiceSnapshot, at: Position, forced?: boolean): boolean;
  put(instances: readonly DiscoveredInstance[], at: Position): void;
  remove(id: string, at: Position): void;
  setPolicy(policy: ServicePolicy, at: Position): void;
  /** A request failed there. */
  failed(id: string, kind: FailureKind, reason: string): void;
  answered(id: string): void;
  /** Notes a request under way there; call the result when it is over. */
  begin(id: string): () => void;
  /** Calls back when the instance is evicted or leaves the table; the result ends that. */
  onGone(id: string, callback: () => void): () => void;
}

interface Target extends Candidate {
  readonly instance: DiscoveredInstance;
}

/** An empty table. `policy` overrules the one of the service. */
export function createDiscoveryTable(options: {
  readonly name: string;
  readonly policy?: PolicyName | undefined;
  readonly nowMs: () => number;
  readonly random: () => number;
}): DiscoveryTable {
  const { name, nowMs, random } = options;
  const detector = createOutlierDetector();
  const known = new Map<string, DiscoveredInstance>();
  const inFlight = new Map<string, number>();
  const watchers = new Map<string, Set<() => void>>();
  let position: Position | undefined;
  let policy = defaultServicePolicy;
  let picker: Picker<Target> | undefined;
  let isChanged = true;
  let nextEndMs = Infinity;

  const eligible = (): DiscoveredInstance[] => [...known.values()].filter((one) => one.eligible);
  const isOut = ({ id }: DiscoveredInstance): boolean => detector.ejectionOf(name, id) !== undefined;

  /** The eligible ones but those left out here; who is better than nothing when there are none. */
  const usable = (): DiscoveredInstance[] => {
    const able = eligible();
    if (able.length === 0) return [...known.values()].filter((one) => one.lastResort);
    const left = able.filter((one) => !isOut(one));
    const mostPercent = policy.outlier.maxEjectedPercent;
    return isPanic({ instances: able.length, ejected: able.length - left.length, mostPercent }) ? able : left;
  };
  const rebuilt = (): Picker<Target> => {
    const instances = usable().sort((one, other) => (one.id < other.id ? -1 : 1));
    const candidates = instances.map((instance) => ({ id: instance.id, weight: instance.weight, instance }));
    const context = { random, inFlight: ({ id }: Target) => inFlight.get(id) ?? 0 };
    isChanged = false;
    return pickerFor({ policy: options.policy ?? policy.policy, candidates, context }, picker);
  };
  const current = (): Picker<Target> => {
    if (nextEndMs <= nowMs()) {
      detector.end(nowMs());
      nextEndMs = detector.nextEndMs();
      isChanged = true;
    }
    if (picker === undefined || isChanged) picker = rebuilt();
    return picker;
  };
  /** For a request that has been everywhere else: somebody who is left out here is better than nobody. */
  const reserve = (exclude: readonly string[]): DiscoveredInstance | undefined =>
    eligible().find((one) => isOut(one) && !exclude.includes(one.id));
  const told = (at: Position): void => {
    position = at;
    isChanged = true;
  };
  /** News of another epoch, or of what is known already, change nothing. */
  const isNews = (at: Position): boolean => position?.epoch === at.epoch && isBefore(position, at);
  const leaves = (id: string): void => {
    const callbacks = [...(watchers.get(id) ?? [])];
    watchers.delete(id);
    for (const callback of callbacks) callback();
  };
  const forget = (): void => detector.retain((_service, id) => known.has(id));

  return {
    name,
    get position() {
      return position;
    },
    get policy() {
      return policy;
    },
    instances: () => [...known.values()],
    pick({ key, exclude = [] } = {}) {
      const picking = current();
      if (key !== undefined) return pickByKey(picking.candidates, key, exclude)?.instance ?? reserve(exclude);
      const result = picking.pick(exclude);
      return result.picked ? result.candidate.instance : reserve(exclude);
    },
    load(snapshot, at, forced = false) {
      if (!forced && position !== undefined && isBefore(at, position)) return false;
      const before = [...known.keys()];
      known.clear();
      for (const instance of snapshot.instances) known.set(instance.id, instance);
      ({ policy } = snapshot);
      told(at);
      forget();
      for (const id of before) if ((known.get(id)?.liveness ?? 'dead') === 'dead') leaves(id);
      return true;
    },
    put(instances, at) {
      if (!isNews(at)) return;
      for (const instance of instances) known.set(instance.id, instance);
      told(at);
      for (const { id, liveness } of instances) if (liveness === 'dead') leaves(id);
    },
    remove(id, at) {
      if (!isNews(at)) return;
      known.delete(id);
      told(at);
      forget();
      leaves(id);
    },
    setPolicy(next, at) {
      if (!isNews(at)) return;
      policy = next;
      told(at);
    },
    failed(id, kind, reason) {
      const settings = ejectionSettingsOf(policy);
      if (settings === undefined || !known.has(id)) return;
      const seen = { service: name, id, kind, reason, settings, instances: eligible().length, nowMs: nowMs() };
      if (detector.failed(seen) === undefined) return;
      nextEndMs = detector.nextEndMs();
      isChanged = true;
    },
    answered: (id) => void detector.answered(name, id),
    begin(id) {
      inFlight.set(id, (inFlight.get(id) ?? 0) + 1);
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        const left = (inFlight.get(id) ?? 1) - 1;
        if (left > 0) inFlight.set(id, left);
        else inFlight.delete(id);
      };
    },
    onGone(id, callback) {
      const callbacks = watchers.get(id) ?? new Set();
      watchers.set(id, callbacks.add(callback));
      return () => {
        callbacks.delete(callback);
        if (callbacks.size === 0 && watchers.get(id) === callbacks) watchers.delete(id);
      };
    },
  };
}

/** When an instance is left out here; undefined when the service wants none left out. */
function ejectionSettingsOf({ outlier }: ServicePolicy): EjectionSettings | undefined {
  if (!outlier.enabled) return undefined;
  const firstMs = parseDurationMs(outlier.baseEjectionTime) ?? defaultEjectionSettings.firstMs;
  return {
    ...defaultEjectionSettings,
    failures: outlier.consecutiveFailures,
    connectFailures: outlier.consecutiveConnectFailures,
    firstMs,
    longestMs: Math.max(firstMs, parseDurationMs(outlier.maxEjectionTime) ?? defaultEjectionSettings.longestMs),
    mostPercent: outlier.maxEjectedPercent,
  };
}
