// Who owns which slots, who follows whom, and who has failed? The answers of all nodes of a Redis Cluster become one picture.
//
// Of two claims to a slot the one of the higher config epoch is right, as among the nodes themselves. About its role each node
// is asked itself; about one that does not answer the others are.
import type { Address, Endpoint } from './address.ts';
import { sameAddress } from './address.ts';
import type { ClusterLine } from './cluster-parser.ts';
import type { ClusterNodeObservation, ClusterObservation } from './cluster-observation.ts';
import { clusterSlots, slotText, type SlotRange } from './cluster-slot.ts';
import { isSeen, type TopologyLimits } from './observation.ts';

/** A node that belongs to the cluster. */
export interface ClusterMember extends Endpoint {
  readonly id: string;
  readonly role: 'primary' | 'replica' | null;
  /** Id of the primary that it follows. */
  readonly follows: string | null;
  readonly epoch: number;
  /** What it owns after all claims were weighed. */
  readonly slots: readonly SlotRange[];
  readonly open: ClusterLine['open'];
  /** Names of the nodes that miss it, and of those who know that a majority does. */
  readonly suspectedBy: readonly string[];
  readonly failedBy: readonly string[];
  readonly hasAddress: boolean;
  /** Null when it is not watched. */
  readonly observation: ClusterNodeObservation | null;
  /** Its own answer counts. */
  readonly seen: boolean;
}

/** Two primaries with the same config epoch: between their claims nothing decides. */
export interface EpochCollision {
  readonly epoch: number;
  readonly ids: readonly string[];
}

/** The cluster as one picture. */
export interface ClusterTopology {
  readonly members: readonly ClusterMember[];
  /** Watched, but not of this cluster: alone, of another one, or without cluster support. */
  readonly strangers: readonly ClusterNodeObservation[];
  /** Nodes that somebody is meeting just now. */
  readonly handshakes: number;
  readonly uncovered: readonly SlotRange[];
  readonly collisions: readonly EpochCollision[];
  readonly currentEpoch: number | null;
  /** Watched nodes whose own map of the slots is not the weighed one. */
  readonly dissenting: readonly string[];
  /** A failure is found, and a replica elected, by this many primaries that own slots. */
  readonly quorum: {
    readonly needed: number;
    readonly primaries: number;
    readonly reachable: number;
    readonly agreeing: number;
  };
}

interface Answer {
  readonly from: ClusterNodeObservation;
  readonly myId: string;
  readonly lines: readonly ClusterLine[];
}

/** Puts the answers together. Never throws; answers that are too old do not count. */
export const mergeCluster = (
  cluster: ClusterObservation,
  { nowMs, limits }: { readonly nowMs: number; readonly limits: TopologyLimits },
): ClusterTopology => {
  const all = cluster.nodes.flatMap((node) => answerOf(node, nowMs, limits) ?? []);
  const answers = sameCluster(all);
  const owners = slotOwners(answers);
  const ids = [...new Set(answers.flatMap(({ lines }) => lines.filter((line) => !line.handshake).map(({ id }) => id)))];
  const members = ids.map((id) => memberOf(id, { answers, owners, cluster }));
  const primaries = members.filter(({ slots }) => slots.length > 0);
  const reachable = primaries.filter(({ seen }) => seen);
  const dissenting = answers.filter((answer) => !agrees(answer, owners)).map(({ from }) => from.name);
  const epochs = answers.map(({ from }) => from.cluster?.state?.currentEpoch ?? -1);
  return {
    members,
    strangers: cluster.nodes.filter((node) => !members.some(({ observation }) => observation === node)),
    handshakes: new Set(answers.flatMap(({ lines }) => lines.filter((line) => line.handshake).map(({ id }) => id)))
      .size,
    uncovered: rangesOf(owners, null),
    collisions: collisionsOf(answers),
    currentEpoch: epochs.length === 0 || Math.max(...epochs) < 0 ? null : Math.max(...epochs),
    dissenting,
    quorum: {
      needed: Math.floor(primaries.length / 2) + 1,
      primaries: primaries.length,
      reachable: reachable.length,
      agreeing: reachable.filter(({ name }) => !dissenting.includes(name)).length,
    },
  };
};

const answerOf = (node: ClusterNodeObservation, nowMs: number, limits: TopologyLimits): Answer | null => {
  const lines = node.cluster?.lines ?? [];
  const myId = lines.find(({ isMyself }) => isMyself)?.id;
  return myId === undefined || !isSeen(node, nowMs, limits.staleAfterMs) ? null : { from: node, myId, lines };
};

/** The answers of the cluster that most of the nodes that answer know each other in. */
const sameCluster = (answers: readonly Answer[]): readonly Answer[] => {
  let best: readonly Answer[] = [];
  const placed = new Set<Answer>();
  for (const first of answers) {
    if (placed.has(first)) continue;
    const group = [first];
    placed.add(first);
    for (const one of group) {
      for (const other of answers) {
        if (placed.has(other) || !(knows(one, other) && knows(other, one))) continue;
        placed.add(other);
        group.push(other);
      }
    }
    if (weightOf(group) > weightOf(best)) best = group;
  }
  return best;
};

/** Slots count before heads: a crowd of empty nodes is not the cluster. */
const weightOf = (answers: readonly Answer[]): number => {
  const owned = new Set(answers.flatMap(({ lines }) => lines.flatMap(({ slots }) => slots.map(({ from }) => from))));
  return (owned.size > 0 ? clusterSlots : 0) + answers.length;
};

const knows = (one: Answer, other: Answer): boolean =>
  one.lines.some(({ id, handshake }) => id === other.myId && !handshake);

/** Who owns which part of the slots; the parts are in order and cover all 16,384. */
interface OwnedPart extends SlotRange {
  readonly owner: string | null;
}

/** Slots between two neighbouring ends of claims have the same owner, so a map of a few parts is enough. */
const paint = (claims: readonly ClusterLine[]): readonly OwnedPart[] => {
  const ends = new Set([0]);
  for (const { slots } of claims) for (const { from, to } of slots) ends.add(from).add(to + 1);
  ends.delete(clusterSlots);
  const starts = [...ends].toSorted((a, b) => a - b);
  const owners = new Map<number, string>();
  for (const { id, slots } of claims) {
    for (const { from, to } of slots)
      for (const start of starts) if (start >= from && start <= to) owners.set(start, id);
  }
  return starts.map((from, at) => ({
    from,
    to: (starts[at + 1] ?? clusterSlots) - 1,
    owner: owners.get(from) ?? null,
  }));
};

/** The claim of the highest epoch wins; of two equal ones the primary's own word. */
const slotOwners = (answers: readonly Answer[]): readonly OwnedPart[] =>
  paint(
    answers
      .flatMap(({ lines }) => lines)
      .filter(({ role, slots }) => role === 'primary' && slots.length > 0)
      .toSorted((a, b) => a.epoch - b.epoch || Number(a.isMyself) - Number(b.isMyself)),
  );

const rangesOf = (parts: readonly OwnedPart[], id: string | null): readonly SlotRange[] => {
  const ranges: SlotRange[] = [];
  for (const { from, to, owner } of parts) {
    if (owner !== id) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last.to === from - 1) ranges[ranges.length - 1] = { from: last.from, to };
    else ranges.push({ from, to });
  }
  return ranges;
};

/** Whether this node would send clients to the same owners. */
const agrees = ({ lines }: Answer, owners: readonly OwnedPart[]): boolean => {
  const mine = paint(lines.filter(({ role }) => role === 'primary'));
  const ids = new Set([...mine, ...owners].map(({ owner }) => owner));
  return [...ids].every((id) => slotText(rangesOf(mine, id)) === slotText(rangesOf(owners, id)));
};

const collisionsOf = (answers: readonly Answer[]): readonly EpochCollision[] => {
  const byEpoch = new Map<number, Set<string>>();
  for (const { lines } of answers) {
    for (const { isMyself, role, slots, epoch, id } of lines) {
      if (!isMyself || role !== 'primary' || slots.length === 0) continue;
      byEpoch.set(epoch, (byEpoch.get(epoch) ?? new Set()).add(id));
    }
  }
  return [...byEpoch].filter(([, ids]) => ids.size > 1).map(([epoch, ids]) => ({ epoch, ids: [...ids] }));
};

const memberOf = (
  id: string,
  context: {
    readonly answers: readonly Answer[];
    readonly owners: readonly OwnedPart[];
    readonly cluster: ClusterObservation;
  },
): ClusterMember => {
  const { answers, owners, cluster } = context;
  const own = answers.find(({ myId }) => myId === id);
  const said = answers.flatMap(({ from, lines }) =>
    lines.filter((line) => line.id === id).map((line) => ({ from, line })),
  );
  const newest = said.toSorted((a, b) => b.line.epoch - a.line.epoch)[0]?.line;
  const line = own?.lines.find(({ isMyself }) => isMyself) ?? newest;
  const at: Address | null = own?.from ?? said.map((one) => one.line.at).find((one) => one !== null) ?? null;
  const observation = own?.from ?? cluster.nodes.find((node) => sameAddress(node, at) && !isOther(node, id)) ?? null;
  const place = observation ?? at;
  return {
    id,
    name: observation?.name ?? (at === null ? id.slice(0, 8) : `${at.host}:${String(at.port)}`),
    host: place?.host ?? '?',
    port: place?.port ?? 0,
    role: line?.role ?? null,
    follows: line?.follows ?? null,
    epoch: line?.epoch ?? 0,
    slots: rangesOf(owners, id),
    open: own?.lines.find(({ isMyself }) => isMyself)?.open ?? [],
    suspectedBy: said.filter((one) => one.line.failed === 'suspected').map(({ from }) => from.name),
    failedBy: said.filter((one) => one.line.failed === 'agreed').map(({ from }) => from.name),
    hasAddress: at !== null,
    observation,
    seen: own !== undefined,
  };
};

/** Another node took the address: what is seen there is not this one. */
const isOther = (node: ClusterNodeObservation, id: string): boolean => {
  const myId = node.cluster?.lines.find(({ isMyself }) => isMyself)?.id;
  return myId !== undefined && myId !== id;
};
