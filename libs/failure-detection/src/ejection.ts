// Which instance does one dispatcher leave out for a moment, because of what it sees itself? Consecutive failures only, as
// Envoy's outlier detection and gRFC A50 have it, with shorter times: the catalog's verdict on a dead instance follows soon.
//
//   IN USE --a failed connection | 5 failures in a row--> EJECTED (1 s, doubled each time, at most 30 s) --time--> ON TRIAL
//     ^----------------------------------------------------an answer------------------------------------------------'
//                                              a failure on trial --> EJECTED again

/**
 * What an attempt came to. connect: no connection; timeout: no answer in time; reset: closed before its answer was whole;
 * gateway-error: 502, 503 or 504.
 */
export type FailureKind = 'connect' | 'timeout' | 'reset' | 'gateway-error';

export interface EjectionSettings {
  /** Failed connections in a row that eject. */
  readonly connectFailures: number;
  /** Failures of any kind in a row that eject. */
  readonly failures: number;
  readonly firstMs: number;
  readonly longestMs: number;
  /** So long without an ejection, and one repetition is forgotten. */
  readonly calmMs: number;
  /** Never more than this part of a service's instances, and never the last one. */
  readonly mostPercent: number;
}

export const defaultEjectionSettings: EjectionSettings = Object.freeze({
  connectFailures: 1,
  failures: 5,
  firstMs: 1_000,
  longestMs: 30_000,
  calmMs: 10_000,
  mostPercent: 50,
});

/** A failure that speaks against its instance. A request that has failed elsewhere before is no such witness. */
export interface FailureSeen {
  readonly service: string;
  readonly id: string;
  readonly kind: FailureKind;
  /** For people, about the instance: "it refused the connection". */
  readonly reason: string;
  /** Instances of the service that may take traffic, the ejected ones included. */
  readonly instances: number;
  /** Those of its service; the default ones unless given. */
  readonly settings?: EjectionSettings | undefined;
  readonly nowMs: number;
}

/** An instance that is left out now. */
export interface Ejection {
  readonly service: string;
  readonly id: string;
  readonly kind: FailureKind;
  readonly reason: string;
  readonly forMs: number;
  readonly untilMs: number;
}

/** The memory of one dispatcher. Holds no more records than there are instances that failed since they came. */
export interface OutlierDetector {
  /** Counts a failure; the ejection when this one began it. */
  failed(seen: FailureSeen): Ejection | undefined;
  /** Takes in an answer; true while answers of this instance still matter. */
  answered(service: string, id: string): boolean;
  /** The ejection that holds, until `end` has ended it. */
  ejectionOf(service: string, id: string): Ejection | undefined;
  /** Ends the ejections whose time is over; those instances are on trial now. */
  end(nowMs: number): readonly Ejection[];
  /** When the next ejection ends; Infinity when there is none. */
  nextEndMs(): number;
  /** Ejections of this instance so far. */
  countOf(service: string, id: string): number;
  /** Forgets instances that are gone. */
  retain(isKnown: (service: string, id: string) => boolean): void;
}

interface Memory {
  readonly service: string;
  readonly id: string;
  connectFailures: number;
  failures: number;
  onTrial: boolean;
  /** ejections that make the next one longer */
  repetitions: number;
  count: number;
  lastEndMs: number;
  ejection: Ejection | undefined;
}

/** Nothing is remembered. */
export function createOutlierDetector(): OutlierDetector {
  const memories = new Map<string, Memory>();
  const keyOf = (service: string, id: string): string => `${service}/${id}`;
  const ejections = (): Ejection[] => [...memories.values()].flatMap(({ ejection }) => ejection ?? []);

  const memoryOf = (service: string, id: string): Memory => {
    const key = keyOf(service, id);
    let memory = memories.get(key);
    if (memory === undefined) memories.set(key, (memory = newMemory(service, id)));
    return memory;
  };
  const hasRoom = ({ service, instances }: FailureSeen, settings: EjectionSettings): boolean => {
    const most = Math.min(Math.floor((instances * settings.mostPercent) / 100), instances - 1);
    return ejections().filter((one) => one.service === service).length < most;
  };

  return {
    failed(seen) {
      const { service, id, kind, reason, settings = defaultEjectionSettings, nowMs } = seen;
      const memory = memoryOf(service, id);
      // what was under way when it was ejected says nothing new
      if (memory.ejection !== undefined) return undefined;
      memory.failures += 1;
      memory.connectFailures = kind === 'connect' ? memory.connectFailures + 1 : 0;
      const tooMany =
        memory.onTrial || memory.connectFailures >= settings.connectFailures || memory.failures >= settings.failures;
      if (!tooMany || !hasRoom(seen, settings)) return undefined;
      const calm = memory.count === 0 ? 0 : Math.floor((nowMs - memory.lastEndMs) / settings.calmMs);
      const repetitions = Math.max(0, memory.repetitions - calm);
      const forMs = Math.min(settings.longestMs, settings.firstMs * 2 ** repetitions);
      const told = memory.failures > 1 ? `${memory.failures} failures in a row, the last one: ${reason}` : reason;
      memory.ejection = { service, id, kind, reason: told, forMs, untilMs: nowMs + forMs };
      memory.repetitions = forMs < settings.longestMs ? repetitions + 1 : repetitions;
      memory.count += 1;
      return memory.ejection;
    },
    answered(service, id) {
      const memory = memories.get(keyOf(service, id));
      if (memory === undefined) return false;
      // connections that stood before can go on answering while new ones fail
      if (memory.ejection !== undefined) return true;
      memory.failures = 0;
      memory.connectFailures = 0;
      memory.onTrial = false;
      return false;
    },
    ejectionOf: (service, id) => memories.get(keyOf(service, id))?.ejection,
    end(nowMs) {
      const ended = ejections().filter(({ untilMs }) => untilMs <= nowMs);
      for (const { service, id, untilMs } of ended) {
        const memory = memoryOf(service, id);
        memory.ejection = undefined;
        memory.failures = 0;
        memory.connectFailures = 0;
        memory.onTrial = true;
        memory.lastEndMs = untilMs;
      }
      return ended;
    },
    nextEndMs: () => Math.min(...ejections().map(({ untilMs }) => untilMs)),
    countOf: (service, id) => memories.get(keyOf(service, id))?.count ?? 0,
    retain(isKnown) {
      for (const [key, { service, id }] of memories) if (!isKnown(service, id)) memories.delete(key);
    },
  };
}

/** What isPanic judges. */
export interface LeftOut {
  /** Instances of the service that may take traffic, those included that are left out. */
  readonly instances: number;
  readonly ejected: number;
  /** What the service allows to be ejected at once; 50 unless given. */
  readonly mostPercent?: number | undefined;
}

/**
 * Too few are left by ejections alone: these are ignored then (Envoy's panic threshold). Too few is nobody, or fewer than half; a
 * service that allows more than half to be ejected moves the threshold to what that leaves.
 */
export function isPanic({ instances, ejected, mostPercent = defaultEjectionSettings.mostPercent }: LeftOut): boolean {
  if (ejected === 0) return false;
  return ejected >= instances || ejected * 100 > instances * Math.max(50, mostPercent);
}

function newMemory(service: string, id: string): Memory {
  return {
    service,
    id,
    connectFailures: 0,
    failures: 0,
    onTrial: false,
    repetitions: 0,
    count: 0,
    lastEndMs: 0,
    ejection: undefined,
  };
}
