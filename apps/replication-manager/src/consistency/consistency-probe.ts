// Does what is written to the primary arrive, and is it one stream that all follow? The quick part of a check: a probe, the
// lineage and the offsets, without looking at the data.
import { redisProbeKey } from '@switchyard/protocol';
import { parseInfo, type Endpoint, type NodeInfo } from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';

/** One thing that was looked at; null: it could not be. */
export interface Check {
  readonly name: string;
  readonly ok: boolean | null;
  readonly detail: string;
}

/** A node and a connection to it. */
export interface ProbedNode extends Endpoint {
  readonly admin: RedisNodeAdmin;
}

/** What was found. */
export interface ProbeResult {
  readonly checks: readonly Check[];
  /** By the name of the node. */
  readonly infos: ReadonlyMap<string, NodeInfo>;
}

const probeTtlMs = 10_000;
const longestArrivalMs = 3_000;
const lookEveryMs = 20;

/** Probes; never rejects: what does not answer is told. */
export const probeNodes = async (options: {
  readonly primary: ProbedNode;
  readonly replicas: readonly ProbedNode[];
  /** Replicas of a cluster answer only those who say that they only read. */
  readonly cluster: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<ProbeResult> => {
  const { primary, replicas, clock } = options;
  const checks: Check[] = [];
  const writtenMs = clock.unixMs();
  const written = await attempt(async () => {
    const tookMs = await primary.admin.probeWrite(redisProbeKey, probeTtlMs);
    const read = Number(await primary.admin.call('GET', redisProbeKey));
    if (!(read >= writtenMs)) throw new Error(`it reads ${String(read)} instead of what was written`);
    return `acknowledged in ${tookMs.toFixed(1)} ms and read back`;
  });
  const elsewhere = written.ok === false && written.detail.startsWith('MOVED');
  checks.push({
    name: `write to ${primary.name}`,
    ...(elsewhere ? { ok: null, detail: 'the key of the probe belongs to another shard' } : written),
  });
  if (written.ok === true) {
    const arrivals = replicas.map(async (replica) => ({
      name: `arrival at ${replica.name}`,
      ...(await attempt(() => arrival(replica, writtenMs, options))),
    }));
    checks.push(...(await Promise.all(arrivals)));
  }

  const infos = new Map<string, NodeInfo>();
  for (const node of [primary, ...replicas]) {
    const said = await node.admin.info().then(parseInfo, () => null);
    if (said !== null) infos.set(node.name, said);
  }
  const own = infos.get(primary.name);
  for (const replica of replicas) {
    checks.push({ name: `lineage of ${replica.name}`, ...lineageOf(own, infos.get(replica.name), primary) });
  }
  return { checks, infos };
};

const arrival = async (
  replica: ProbedNode,
  writtenMs: number,
  { clock, signal, cluster }: { readonly clock: Clock; readonly signal: AbortSignal; readonly cluster: boolean },
): Promise<string> => {
  if (cluster) await replica.admin.call('READONLY');
  const startedMs = clock.monotonicMs();
  for (;;) {
    const read = Number(await replica.admin.call('GET', redisProbeKey));
    const tookMs = clock.monotonicMs() - startedMs;
    if (read >= writtenMs) return `there within ${tookMs.toFixed(0)} ms`;
    if (tookMs > longestArrivalMs) throw new Error(`what was written is not there after ${tookMs.toFixed(0)} ms`);
    await clock.sleep(lookEveryMs, signal);
  }
};

const lineageOf = (
  own: NodeInfo | undefined,
  info: NodeInfo | undefined,
  primary: Endpoint,
): Pick<Check, 'ok' | 'detail'> => {
  if (own === undefined || info === undefined) return { ok: null, detail: 'it did not answer INFO' };
  if (info.role !== 'replica') return { ok: false, detail: `it says it is ${info.role ?? 'nothing'}, not a replica` };
  if (info.link !== 'up') return { ok: false, detail: 'its link to the primary is down' };
  const { follows } = info;
  if (follows !== null && follows.port !== primary.port) {
    return { ok: false, detail: `it follows ${follows.host}:${String(follows.port)}` };
  }
  if (info.lineage !== own.lineage) {
    return { ok: false, detail: `its stream is ${info.lineage ?? 'none'}, the primary's is ${own.lineage ?? 'none'}` };
  }
  const behind = (own.offset ?? 0) - (info.offset ?? 0);
  return {
    ok: true,
    detail: `the same stream, at ${String(info.offset)} (${String(Math.max(0, behind))} bytes behind)`,
  };
};

const attempt = async (work: () => Promise<string>): Promise<Pick<Check, 'ok' | 'detail'>> => {
  try {
    return { ok: true, detail: await work() };
  } catch (error) {
    return { ok: false, detail: error instanceof Error ? error.message : String(error) };
  }
};
