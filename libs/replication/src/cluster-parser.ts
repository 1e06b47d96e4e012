// What does a node of a Redis Cluster say about the cluster? CLUSTER NODES and CLUSTER INFO become typed facts. Here, too, the
// words of the wire (`master`, `slave`) end.
import { address, type Address } from './address.ts';
import { clusterSlots, type SlotRange } from './cluster-slot.ts';

/** One node as another one, or it itself, describes it. */
export interface ClusterLine {
  readonly id: string;
  /** Null when the describer does not know where it is. */
  readonly at: Address | null;
  readonly isMyself: boolean;
  readonly role: 'primary' | 'replica' | null;
  /** `suspected`: the describer alone misses it; `agreed`: a majority of the primaries does. */
  readonly failed: 'no' | 'suspected' | 'agreed';
  readonly handshake: boolean;
  /** Id of its primary. */
  readonly follows: string | null;
  readonly epoch: number;
  readonly slots: readonly SlotRange[];
  /** Slots on their way to, or from, another node. */
  readonly open: readonly { readonly slot: number; readonly way: 'migrating' | 'importing'; readonly peer: string }[];
}

/** CLUSTER INFO. */
export interface ClusterState {
  readonly ok: boolean;
  readonly knownNodes: number | null;
  readonly currentEpoch: number | null;
}

const mostLines = 512;

/** Reads CLUSTER NODES; `asked` is where it was asked, for a node that does not know its own address. Never throws. */
export const parseClusterNodes = (text: string, asked: Address): readonly ClusterLine[] =>
  text
    .split(/\r?\n/)
    .slice(0, mostLines)
    .flatMap((line) => lineOf(line, asked) ?? []);

const lineOf = (line: string, asked: Address): ClusterLine | null => {
  const [id = '', place = '', flagWords = '', follows = '', , , epoch = '', , ...words] = line.trim().split(' ');
  if (!/^[0-9a-f]{40}$/.test(id)) return null;
  const flags = new Set(flagWords.split(','));
  const isMyself = flags.has('myself');
  return {
    id,
    at: flags.has('noaddr') ? null : placeOf(place, isMyself ? asked : null),
    isMyself,
    role: flags.has('master') ? 'primary' : flags.has('slave') ? 'replica' : null,
    failed: flags.has('fail') ? 'agreed' : flags.has('fail?') ? 'suspected' : 'no',
    handshake: flags.has('handshake'),
    follows: /^[0-9a-f]{40}$/.test(follows) ? follows : null,
    epoch: /^\d+$/.test(epoch) ? Number(epoch) : 0,
    slots: words.flatMap((word) => rangeOf(word) ?? []),
    open: words.flatMap((word) => openOf(word) ?? []),
  };
};

/** `ip:port@bus,hostname`; an empty host means that the node does not know its own yet. */
const placeOf = (place: string, self: Address | null): Address | null => {
  const [ipAndPort = '', ...names] = place.split(',');
  const [data = ''] = ipAndPort.split('@');
  const at = data.lastIndexOf(':');
  const named = names.find((name) => name !== '' && !name.includes('='));
  const host = data.slice(0, Math.max(at, 0)) || (self?.host ?? named ?? '');
  return address(host, Number(data.slice(at + 1)));
};

const rangeOf = (word: string): SlotRange | null => {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(word);
  if (match === null) return null;
  const from = Number(match[1]);
  const to = Number(match[2] ?? match[1]);
  return from <= to && to < clusterSlots ? { from, to } : null;
};

const openOf = (word: string): ClusterLine['open'][number] | null => {
  const match = /^\[(\d{1,5})-([<>])-([0-9a-f]{40})\]$/.exec(word);
  if (match === null) return null;
  return { slot: Number(match[1]), way: match[2] === '>' ? 'migrating' : 'importing', peer: match[3] ?? '' };
};

/** Reads CLUSTER INFO; null when it is none. */
export const parseClusterInfo = (text: string): ClusterState | null => {
  const field = (name: string): string | null => new RegExp(`^${name}:(\\S+)`, 'm').exec(text)?.[1] ?? null;
  const count = (name: string): number | null => {
    const value = field(name);
    return value !== null && /^\d+$/.test(value) ? Number(value) : null;
  };
  const state = field('cluster_state');
  if (state === null) return null;
  return { ok: state === 'ok', knownNodes: count('cluster_known_nodes'), currentEpoch: count('cluster_current_epoch') };
};
