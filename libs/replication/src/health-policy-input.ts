// What is the health of a group judged by? What each node said, how it was configured, how fast the primary writes.
import type { Endpoint } from './address.ts';
import type { NodeMachine, NodeSettings, NodeVitals } from './health-policy-facts.ts';

/** One node that answers. */
export interface HealthNode extends Endpoint {
  readonly role: 'primary' | 'replica' | null;
  readonly version: string | null;
  readonly vitals: NodeVitals | null;
  readonly settings: NodeSettings | null;
  readonly machine: NodeMachine | null;
}

/** A group at one moment; nodes that are unreachable are not in it. */
export interface HealthInput {
  readonly nodes: readonly HealthNode[];
  /** At its busiest lately; null while nothing is known. */
  readonly peakBytesPerSecond: number | null;
  readonly downAfterMs: number | null;
  readonly policy: 'availability' | 'consistency';
  /** A node or its network that was away for so long is to come back without a copy of everything. */
  readonly allowedOutageMs: number;
}

/** The allowed outage unless given. */
export const usualAllowedOutageMs = 60_000;

const kib = 1_024;
const mib = kib * kib;
const gib = kib * mib;

/** The node that calls itself primary; the first one if several do. */
export const primaryOf = ({ nodes }: HealthInput): HealthNode | null =>
  nodes.find((node) => node.role === 'primary') ?? null;

/** `64 MiB`, for people. */
export const sizeText = (bytes: number): string => {
  if (bytes >= gib) return `${(bytes / gib).toFixed(1)} GiB`;
  if (bytes >= mib) return `${(bytes / mib).toFixed(bytes >= 10 * mib ? 0 : 1)} MiB`;
  return bytes >= kib ? `${(bytes / kib).toFixed(0)} KiB` : `${bytes.toFixed(0)} B`;
};

/** The next power of two, in bytes; at least 1 MiB. */
export const roundedUp = (bytes: number): number => 2 ** Math.ceil(Math.log2(Math.max(mib, bytes)));

/**
 * How long a copy of everything takes, in seconds: written by the primary, loaded by the replica. Both at 50 MB of memory a second,
 * which is a third of what one core did with small keys on loopback: machines are busy, networks are not loopback.
 */
export const fullSyncSeconds = (node: HealthNode): number => (2 * (node.vitals?.usedMemoryBytes ?? 0)) / 50e6;

/** How long it loads after a restart, in seconds: from an RDB at 100 MB of memory a second, from commands much slower. */
export const reloadSeconds = (node: HealthNode): number => (node.vitals?.usedMemoryBytes ?? 0) / 100e6;
