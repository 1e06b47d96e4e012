// What was seen when everybody that a definition names was asked once? The raw material of the admission of a group.
import type { RedisGroupInput } from '@switchyard/protocol';
import { addressKey, sameAddress, type Address } from './address.ts';
import type { NodeInfo } from './info-parser.ts';
import type { Failure } from './observation.ts';
import type { SentinelPeer, SentinelReplica, SentinelView } from './sentinel-parser.ts';

/** A group as one Sentinel lists it. */
export interface ListedGroup {
  readonly view: SentinelView;
  /** Only of the group that is asked about; empty for all others. */
  readonly replicas: readonly SentinelReplica[];
  readonly peers: readonly SentinelPeer[];
}

/** One process that was asked. */
export interface Surveyed extends Address {
  /** As what it was named in the definition; null when another process named it. */
  readonly given: 'seed' | 'sentinel' | null;
  readonly failure: Failure | null;
  /** It does not speak the way it was told to (`plain`: no TLS where TLS was asked for); null when that is not known. */
  readonly speaks: 'tls' | 'plain' | null;
  readonly info: NodeInfo | null;
  readonly isCluster: boolean;
  /** Of a Sentinel: the id that it has among the others. */
  readonly sentinelId: string | null;
  readonly groups: readonly ListedGroup[];
  /** Its clock minus ours; null of Sentinels, which do not tell. */
  readonly clockOffsetMs: number | null;
  /** Commands that the user may not run there; empty when nobody may ask. */
  readonly lacks: readonly string[];
}

/** Everybody that was asked. */
export interface Survey {
  readonly surveyed: readonly Surveyed[];
  /** How far our own wall clock moved against our monotonic one meanwhile. */
  readonly clockStepMs: number;
}

/** A group that is looked after already. */
export interface OtherGroup {
  readonly name: string;
  readonly nodes: readonly Address[];
  readonly runIds: readonly string[];
}

/** What is to be admitted, and what is known. */
export interface AdmissionInput {
  readonly name: string;
  readonly input: RedisGroupInput;
  readonly survey: Survey;
  readonly others: readonly OtherGroup[];
}

/** Something that speaks against the group, or only deserves a word. */
export interface AdmissionProblem {
  readonly code: string;
  readonly detail: string;
  readonly next: string;
  /** `refused`: the group is not taken on; `warning`: it is, degraded; `advice`: it works. */
  readonly weight: 'refused' | 'warning' | 'advice';
}

/** Who belongs to the group, by what was seen. */
export interface Members {
  readonly primary: Address | null;
  /** As others reach them. */
  readonly nodes: readonly Address[];
  readonly sentinels: readonly Address[];
  /** Sentinels that answer and do not know the group yet. */
  readonly unaware: readonly Address[];
}

/** Makes problems. */
export const problem =
  (weight: AdmissionProblem['weight']) =>
  (code: string, detail: string, next: string): AdmissionProblem => ({ code, detail, next, weight });
export const refused = problem('refused');
export const warned = problem('warning');
export const advised = problem('advice');

/** Reads `host:port` and `[v6]:port`. */
export const addressOf = (text: string): Address => {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
};

/** `host:port` as it is written in a definition. */
export const seedOf = ({ host, port }: Address): string => `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;

/** Who was asked at this address. */
export const surveyedAt = ({ surveyed }: Survey, at: Address | null): Surveyed | undefined =>
  surveyed.find((one) => sameAddress(one, at));

/** What makes two addresses one process: its run id, or the address when nobody answered there. */
export const identityOf = (survey: Survey, at: Address): string => {
  const one = surveyedAt(survey, at);
  return one?.sentinelId ?? one?.info?.runId ?? addressKey(at);
};

export const isSentinel = ({ info }: Surveyed): boolean => info?.mode === 'sentinel';
export const isNode = (one: Surveyed): boolean => one.info !== null && !isSentinel(one);

/** One of each process; of several addresses the first. */
export const distinct = <T extends Address>(survey: Survey, list: readonly T[]): readonly T[] => {
  const seen = new Set<string>();
  return list.filter((one) => {
    const id = identityOf(survey, one);
    return !seen.has(id) && seen.add(id);
  });
};

/** The group of this name as the Sentinel knows it. */
export const knownAs = (one: Surveyed, name: string): ListedGroup | undefined =>
  one.groups.find(({ view }) => view.group === name);
