// Which node of a Redis Cluster owns a slot? By CLUSTER NODES of several nodes: the highest config epoch is right.
//
// All keys of Switchyard share the hash tag {switchyard}, so they live in one slot, and one connection to the primary that owns it
// is all that a process needs. Config epochs: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
import type { RedisEndpoint } from './connection-options.ts';

/** CLUSTER KEYSLOT of each key with the hash tag {switchyard}. */
export const SWITCHYARD_SLOT = 12_385;

/** What one node said about the cluster, and where it was asked. */
export interface NodesAnswer {
  readonly asked: RedisEndpoint;
  readonly text: string;
}

interface NodeLine {
  readonly at: RedisEndpoint;
  readonly isPrimary: boolean;
  readonly isFailed: boolean;
  readonly epoch: number;
  readonly slots: readonly string[];
}

/** One line: id, address, flags, primary, ping, pong, config epoch, link, slots. Undefined for a node without an address. */
function lineOf(line: string, asked: RedisEndpoint): NodeLine | undefined {
  const [, address = '', flags = '', , , , epoch = '', , ...slots] = line.split(' ');
  const [ipAndPort = '', ...names] = address.split(',');
  const [place = ''] = ipAndPort.split('@');
  const at = place.lastIndexOf(':');
  const port = Number(place.slice(at + 1));
  const isMyself = flags.split(',').includes('myself');
  // a node that nobody has met yet does not know its own address
  const host = place.slice(0, at) || (isMyself ? asked.host : (names.find((name) => !name.includes('=')) ?? ''));
  if (at < 0 || host === '' || !(port > 0)) return undefined;
  const words = new Set(flags.split(','));
  return {
    at: { host, port },
    isPrimary: words.has('master'),
    isFailed: words.has('fail'),
    epoch: Number(epoch),
    slots,
  };
}

const linesOf = ({ asked, text }: NodesAnswer): NodeLine[] =>
  text.split(/\r?\n/).flatMap((line) => {
    const read = line === '' ? undefined : lineOf(line, asked);
    return read ? [read] : [];
  });

/** `0-5460` or `77`; `[77->-id]` is one that is about to move and is not meant. */
function isIn(slot: number, range: string): boolean {
  const match = /^(\d+)(?:-(\d+))?$/.exec(range);
  return match !== null && slot >= Number(match[1]) && slot <= Number(match[2] ?? match[1]);
}

/** The primary that owns `slot`; undefined while it has failed and none of its replicas was promoted. */
export function ownerOf(slot: number, answers: readonly NodesAnswer[]): RedisEndpoint | undefined {
  const claims = answers
    .flatMap(linesOf)
    .filter((line) => line.isPrimary && line.slots.some((range) => isIn(slot, range)))
    .toSorted((a, b) => b.epoch - a.epoch);
  const [best] = claims;
  if (best === undefined) return undefined;
  // those who saw it fail know more than those who have not noticed yet
  const isFailed = claims.some((claim) => claim.epoch === best.epoch && claim.isFailed);
  return isFailed ? undefined : best.at;
}

/** Everybody whom the answers name. */
export function namedIn(answers: readonly NodesAnswer[]): RedisEndpoint[] {
  const all = answers.flatMap(linesOf).map(({ at }) => at);
  return [...new Map(all.map((at) => [`${at.host}:${String(at.port)}`, at])).values()];
}
