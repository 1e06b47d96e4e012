// Is the group one and the same thing everywhere? One check from its beginning to its result: probe, lineage, offsets, and the
// data of all nodes. Reads only, but for the probe's own key.
import type { RedisCheck, RedisCheckInput, RedisGroupView, RedisNodeCheck } from '@switchyard/protocol';
import type { Endpoint } from '@switchyard/replication';
import type { DigestReader, RedisNodeAdmin } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { compareNodes, type Comparison } from './consistency-compare.ts';
import { probeNodes, type Check, type ProbedNode } from './consistency-probe.ts';
import { compareSample } from './consistency-sample.ts';

/** What a check works with. */
export interface CheckTools {
  readonly group: string;
  readonly clock: Clock;
  connect(at: Endpoint): RedisNodeAdmin;
  /** A reader of a node's data, as fast as the check may be. */
  open(at: Endpoint, signal: AbortSignal): Promise<DigestReader>;
}

/** One check. */
export interface CheckRequest {
  readonly view: RedisGroupView;
  readonly input: RedisCheckInput;
  readonly cause: string;
  readonly signal: AbortSignal;
  /** Compare only some keys of each node when the primary has more than `above`. */
  readonly sampling?: { readonly above: number; readonly keys: number } | undefined;
  readonly onProgress: (percent: number, detail: string) => void;
}

/** A primary and those that copy it: one pair in a group with Sentinels, one for each shard of a cluster. */
export interface CheckPair {
  readonly primary: Endpoint;
  readonly replicas: readonly Endpoint[];
}

/** Who is to be compared with whom; nodes that cannot be reached are left out. */
export const pairsOf = (view: RedisGroupView, names: readonly string[] | undefined): readonly CheckPair[] => {
  const wanted = (node: Endpoint): boolean =>
    (names === undefined || names.includes(node.name)) &&
    view.nodes.some(({ name, state }) => name === node.name && state !== 'unreachable');
  if (view.shards !== undefined) {
    return view.shards.map(({ primary, replicas }) => ({ primary, replicas: replicas.filter(wanted) }));
  }
  if (view.primary === null) return [];
  const { primary } = view;
  return [{ primary, replicas: view.nodes.filter((node) => node.name !== primary.name && wanted(node)) }];
};

/** Runs it. What cannot be read is told in the result; rejects only by the signal. */
export const runCheck = async (request: CheckRequest, tools: CheckTools): Promise<RedisCheck> => {
  const { view, input, cause, signal } = request;
  const { clock } = tools;
  const startedMs = clock.monotonicMs();
  const at = new Date(clock.unixMs()).toISOString();
  const pairs = pairsOf(view, input.nodes);
  const checks: Check[] = [];
  const nodes: RedisNodeCheck[] = [];
  let callsP99Ms: number | null = null;
  for (const [index, pair] of pairs.entries()) {
    signal.throwIfAborted();
    const onProgress = (percent: number, detail: string): void =>
      request.onProgress((index * 100 + percent) / pairs.length, detail);
    const one = await checkPair(pair, { ...request, onProgress }, tools);
    checks.push(...one.checks);
    nodes.push(...one.nodes);
    callsP99Ms = one.callsP99Ms === null ? callsP99Ms : Math.max(callsP99Ms ?? 0, one.callsP99Ms);
  }
  const isLeftOut = ({ name, state }: RedisGroupView['nodes'][number]): boolean =>
    state === 'unreachable' && (input.nodes === undefined || input.nodes.includes(name));
  for (const { name, role, reason } of view.nodes.filter(isLeftOut)) {
    nodes.push(unread({ node: name, role, detail: reason ?? 'it cannot be reached' }));
  }
  return {
    group: tools.group,
    at,
    cause,
    verdict: verdictOf(nodes, checks),
    nodes,
    checks,
    tookMs: Math.round(clock.monotonicMs() - startedMs),
    callsP99Ms,
  };
};

const checkPair = async (
  pair: CheckPair,
  request: CheckRequest,
  tools: CheckTools,
): Promise<Pick<RedisCheck, 'checks' | 'nodes' | 'callsP99Ms'>> => {
  const { primary, replicas } = pair;
  const probed = ({ name, host, port }: Endpoint): ProbedNode => ({
    name,
    host,
    port,
    admin: tools.connect({ name, host, port }),
  });
  const [own, ...others] = [primary, ...replicas].map(probed) as [ProbedNode, ...ProbedNode[]];
  const readers: DigestReader[] = [];
  try {
    const { checks, infos } = await probeNodes({
      signal: request.signal,
      cluster: request.view.shards !== undefined,
      clock: tools.clock,
      primary: own,
      replicas: others,
    });
    const offsets = new Map([...infos].map(([name, { offset }]) => [name, offset]));
    const told = (node: RedisNodeCheck): RedisNodeCheck => ({ ...node, offset: offsets.get(node.node) ?? null });
    if (!request.input.digest) {
      const quick = 'only the probe, the lineage and the offsets were looked at';
      const nodes = [
        unread({ node: primary.name, role: 'primary', detail: quick }),
        ...replicas.map(({ name }) => unread({ node: name, role: 'replica', detail: quick })),
      ];
      return { checks: [...checks], nodes: nodes.map(told), callsP99Ms: null };
    }
    const open = async (node: Endpoint): Promise<DigestReader> => {
      const reader = await tools.open(node, request.signal);
      readers.push(reader);
      return reader;
    };
    const nodes = await compared(pair, open, request, tools);
    const measured = readers.map(({ pace }) => pace.measured().p99Ms);
    return {
      checks: [...checks],
      nodes: nodes.map(told),
      callsP99Ms: measured.length === 0 ? null : Number(Math.max(...measured).toFixed(2)),
    };
  } finally {
    for (const { admin } of [own, ...others]) admin.close();
    for (const reader of readers) reader.close();
  }
};

const compared = async (
  { primary, replicas }: CheckPair,
  open: (node: Endpoint) => Promise<DigestReader>,
  request: CheckRequest,
  { clock }: CheckTools,
): Promise<readonly RedisNodeCheck[]> => {
  const { signal, onProgress, sampling } = request;
  const failed = (node: Endpoint, role: RedisNodeCheck['role'], error: unknown): RedisNodeCheck =>
    unread({ node: node.name, role, detail: error instanceof Error ? error.message : String(error) });
  const opened = await Promise.allSettled(replicas.map(open));
  const readable = replicas.flatMap((node, at) => {
    const one = opened[at];
    return one?.status === 'fulfilled' ? [{ node, reader: one.value }] : [];
  });
  const unreadable = replicas.flatMap((node, at) => {
    const one = opened[at];
    return one?.status === 'rejected' ? [failed(node, 'replica', one.reason)] : [];
  });
  try {
    const options = {
      primary: await open(primary),
      replicas: readable.map(({ reader }) => reader),
      clock,
      signal,
      onProgress,
    };
    const keys = [...(await options.primary.databases()).values()].reduce((a, b) => a + b, 0);
    const found =
      sampling !== undefined && keys > sampling.above
        ? await compareSample(options, sampling.keys)
        : await compareNodes(options);
    return [
      ...told(
        found,
        primary,
        readable.map(({ node }) => node),
      ),
      ...unreadable,
    ];
  } catch (error) {
    signal.throwIfAborted();
    // One that stops answering ends the comparison: what was read of the others says nothing without it.
    return [
      failed(primary, 'primary', error),
      ...readable.map(({ node }) => failed(node, 'replica', error)),
      ...unreadable,
    ];
  }
};

const told = (found: Comparison, primary: Endpoint, replicas: readonly Endpoint[]): RedisNodeCheck[] => [
  {
    ...unread({ node: primary.name, role: 'primary', detail: 'what the others are compared with' }),
    ...found.primary,
    verdict: 'same',
  },
  ...replicas.map((node, at): RedisNodeCheck => {
    const data = found.replicas[at];
    const base = unread({ node: node.name, role: 'replica', detail: '' });
    if (data === undefined) return base;
    return { ...base, ...data, samples: [...data.samples], ...judged(data) };
  }),
];

const judged = (data: Comparison['replicas'][number]): Pick<RedisNodeCheck, 'verdict' | 'detail'> => {
  if (data.differing > 0) {
    const count = `${data.more ? 'at least ' : ''}${String(data.differing)}`;
    return {
      verdict: 'different',
      detail: `${count} ${data.differing === 1 ? 'key differs' : 'keys differ'} from the primary's`,
    };
  }
  if (data.unsettled > 0) {
    return {
      verdict: 'unsure',
      detail: `${String(data.unsettled)} keys were written all the time and could not be compared`,
    };
  }
  return {
    verdict: 'same',
    detail: data.digest === null ? 'all keys of the sample are the same' : 'all keys are the same',
  };
};

const unread = (node: Pick<RedisNodeCheck, 'node' | 'role' | 'detail'>): RedisNodeCheck => ({
  verdict: 'unknown',
  digest: null,
  keys: null,
  offset: null,
  differing: 0,
  more: false,
  unsettled: 0,
  samples: [],
  ...node,
});

const verdictOf = (nodes: readonly RedisNodeCheck[], checks: readonly Check[]): RedisCheck['verdict'] => {
  const has = (verdict: RedisCheck['verdict']): boolean => nodes.some((node) => node.verdict === verdict);
  if (has('different')) return 'different';
  if (nodes.length === 0 || has('unknown')) return 'unknown';
  return has('unsure') || checks.some(({ ok }) => ok === false) ? 'unsure' : 'same';
};
