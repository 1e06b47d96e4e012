// Which instances do probes of one process speak against? A few failures in a row against it, a few answers in a row for it
// (HAProxy's fall and rise). For checks that are made all the time, and for the time when the catalog cannot be read: nobody
// hears heartbeats then.
//
//   IN --`fall` failed probes in a row--> OUT --`rise` answers in a row | the catalog can judge again--> IN
import type { Liveness } from '@switchyard/protocol';

export interface ProbeWatchSettings {
  /** Failed probes in a row that speak against an instance. */
  readonly fall: number;
  /** Answers in a row that speak for it again. */
  readonly rise: number;
}

export const defaultProbeWatchSettings: ProbeWatchSettings = Object.freeze({ fall: 3, rise: 2 });

/** How a probe of an instance ended. */
export interface ProbeSeen {
  readonly service: string;
  readonly id: string;
  readonly answered: boolean;
  /** For people, about the instance: "its address refuses connections". */
  readonly detail: string;
  /** What holds for this instance; the watch's own unless given. */
  readonly settings?: ProbeWatchSettings;
}

/** The memory of one process. Holds no more records than there are instances whose last probe failed or that are out. */
export interface ProbeWatch {
  /** Takes in a probe; what it changed. */
  record(seen: ProbeSeen): 'out' | 'in' | undefined;
  /** Takes over that somebody else's probes speak against an instance: answers bring it back as if it had fallen here. */
  adopt(service: string, id: string, reason: string): void;
  /** True between two verdicts: failures are counted against one that is in, or answers for one that is out. */
  isTurning(service: string, id: string): boolean;
  /** Why probes speak against an instance; undefined when they do not. */
  reasonOf(service: string, id: string): string | undefined;
  /** Everybody who is out. */
  out(): readonly { readonly service: string; readonly id: string }[];
  /** Forgets one; true when it was out. */
  forget(service: string, id: string): boolean;
  /** Forgets failures of those who are not out: they are no longer in a row with what may come. */
  calm(): void;
  /** Forgets instances that are gone. */
  retain(isKnown: (service: string, id: string) => boolean): void;
}

interface Memory {
  readonly service: string;
  readonly id: string;
  failures: number;
  answers: number;
  reason: string | undefined;
}

const inARow = (failures: number): string =>
  failures === 1 ? 'its probe failed' : `${failures} probes in a row failed, the last one`;

/** Nobody is out. */
export function createProbeWatch(settings: ProbeWatchSettings = defaultProbeWatchSettings): ProbeWatch {
  const memories = new Map<string, Memory>();
  const keyOf = (service: string, id: string): string => `${service}/${id}`;

  const answered = (key: string, rise: number): 'in' | undefined => {
    const memory = memories.get(key);
    if (memory === undefined) return undefined;
    memory.answers += 1;
    memory.failures = 0;
    if (memory.reason !== undefined && memory.answers < rise) return undefined;
    memories.delete(key);
    return memory.reason === undefined ? undefined : 'in';
  };

  return {
    record({ service, id, answered: isAnswer, detail, settings: { rise, fall } = settings }) {
      const key = keyOf(service, id);
      if (isAnswer) return answered(key, rise);
      const memory = memories.get(key) ?? { service, id, failures: 0, answers: 0, reason: undefined };
      memories.set(key, memory);
      memory.failures += 1;
      memory.answers = 0;
      if (memory.reason !== undefined || memory.failures < fall) return undefined;
      memory.reason = `${inARow(memory.failures)}: ${detail}`;
      return 'out';
    },
    adopt(service, id, reason) {
      memories.set(keyOf(service, id), { service, id, failures: 0, answers: 0, reason });
    },
    isTurning(service, id) {
      const memory = memories.get(keyOf(service, id));
      return memory !== undefined && (memory.reason === undefined || memory.answers > 0);
    },
    reasonOf: (service, id) => memories.get(keyOf(service, id))?.reason,
    out: () => [...memories.values()].filter(({ reason }) => reason !== undefined),
    forget(service, id) {
      const key = keyOf(service, id);
      const wasOut = memories.get(key)?.reason !== undefined;
      memories.delete(key);
      return wasOut;
    },
    calm() {
      for (const [key, { reason }] of memories) if (reason === undefined) memories.delete(key);
    },
    retain(isKnown) {
      for (const [key, { service, id }] of memories) if (!isKnown(service, id)) memories.delete(key);
    },
  };
}

/**
 * Whether a verdict of probes still counts when the catalog can be read again. The catalog says "alive" of everybody at first,
 * because nobody could say otherwise: monitors let two TTLs pass, and suspect after another one. Until then the verdict stands.
 */
export function outlastsOutage(facts: {
  /** What the catalog says; undefined when it does not know the instance. */
  readonly liveness: Liveness | undefined;
  readonly ttlMs: number;
  /** Ms since the catalog can be read again. */
  readonly readableMs: number;
}): boolean {
  return facts.liveness === 'alive' && facts.readableMs < TTLS_TO_JUDGE * facts.ttlMs;
}

const TTLS_TO_JUDGE = 4;
