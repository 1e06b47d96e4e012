// How does a test get a Redis group that fails over? One primary, replicas and Sentinels, each a real process.
import { eventually } from './eventually.ts';
import { startRedis, startSentinel, type TestRedis } from './redis.ts';

/** Size and patience of the group; the defaults are those of the local yard. */
export interface SentinelGroupOptions {
  /** Replicas besides the primary, default 2. */
  readonly replicas?: number;
  /** Sentinels, default 3; the quorum is their majority. */
  readonly sentinels?: number;
  /** Default 1000. */
  readonly downAfterMs?: number;
  /** Default 15000: after a failed attempt Sentinel waits twice as long. */
  readonly failoverTimeoutMs?: number;
  /** Name of the group, default `main`. */
  readonly group?: string;
  /** Added to the command line of each node. */
  readonly args?: readonly string[];
}

/** A running group. `nodes[0]` is the first primary; who is it now, `primary()` says. */
export interface SentinelGroup {
  readonly group: string;
  readonly nodes: readonly TestRedis[];
  readonly sentinels: readonly TestRedis[];
  /** `host:port,host:port` as SWITCHYARD_REDIS_SENTINELS takes it. */
  readonly sentinelAddresses: string;
  /** The node that most reachable Sentinels name; throws when they do not agree. */
  primary(): Promise<TestRedis>;
  /** Resolves with the new primary once most Sentinels name another node than `than` and it takes writes. */
  primaryOtherThan(than: TestRedis, timeoutMs?: number): Promise<TestRedis>;
  /** Ends every process and removes every directory. May be called twice. */
  stop(): Promise<void>;
}

/** Starts the group and resolves when all replicas are in sync and all Sentinels know all others. */
export async function startSentinelGroup(options: SentinelGroupOptions = {}): Promise<SentinelGroup> {
  const group = options.group ?? 'main';
  const replicaCount = options.replicas ?? 2;
  const sentinelCount = options.sentinels ?? 3;
  const started: TestRedis[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((node) => node.stop()));
  };
  const keep = (node: TestRedis): TestRedis => {
    started.push(node);
    return node;
  };
  try {
    const args = options.args ?? [];
    const first = keep(await startRedis({ args }));
    const replicas = await allOrNone(replicaCount, async () => keep(await startRedis({ args, replicaOf: first })));
    await Promise.all(replicas.map(replicaInSync));
    const config = [
      'sentinel announce-ip 127.0.0.1',
      `sentinel monitor ${group} ${first.host} ${first.port} ${Math.floor(sentinelCount / 2) + 1}`,
      `sentinel down-after-milliseconds ${group} ${options.downAfterMs ?? 1_000}`,
      `sentinel failover-timeout ${group} ${options.failoverTimeoutMs ?? 15_000}`,
      `sentinel parallel-syncs ${group} 1`,
    ];
    const sentinels = await allOrNone(sentinelCount, async () => keep(await startSentinel(config)));
    await introduced({ group, sentinels, replicaCount });
    const nodes = [first, ...replicas];
    const primary = (): Promise<TestRedis> => majorityPrimary(group, nodes, sentinels);
    return {
      group,
      nodes,
      sentinels,
      sentinelAddresses: sentinels.map((sentinel) => `${sentinel.host}:${sentinel.port}`).join(','),
      primary,
      primaryOtherThan: (than, timeoutMs = 15_000) =>
        eventually(
          async () => {
            const now = await primary();
            if (now.port === than.port) return null;
            return (await now.info('replication', 'role')) === 'master' ? now : null;
          },
          { timeoutMs, what: 'A new primary' },
        ),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

// Waits for all, also when one fails: a node that is still starting must not escape the clean-up.
async function allOrNone(count: number, start: () => Promise<TestRedis>): Promise<TestRedis[]> {
  const results = await Promise.allSettled(Array.from({ length: count }, start));
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

async function replicaInSync(replica: TestRedis): Promise<void> {
  await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up', {
    timeoutMs: 15_000,
    what: `The replication link of ${replica.port}`,
  });
}

interface Introduction {
  readonly group: string;
  readonly sentinels: readonly TestRedis[];
  readonly replicaCount: number;
}

// Sentinels find each other by a greeting every 2 s; for the start alone they are told to greet faster.
async function introduced({ group, sentinels, replicaCount }: Introduction): Promise<void> {
  await greetEvery(sentinels, 100);
  for (const sentinel of sentinels) {
    await eventually(
      async () => {
        const facts = await sentinel.cli('SENTINEL', 'MASTER', group);
        const fact = (name: string): number => (Array.isArray(facts) ? Number(facts[facts.indexOf(name) + 1]) : -1);
        return fact('num-slaves') === replicaCount && fact('num-other-sentinels') === sentinels.length - 1;
      },
      { timeoutMs: 15_000, what: `The acquaintance of Sentinel ${sentinel.port} with its group` },
    );
  }
  await greetEvery(sentinels, 2_000);
}

async function greetEvery(sentinels: readonly TestRedis[], ms: number): Promise<void> {
  await Promise.all(sentinels.map((sentinel) => sentinel.cli('SENTINEL', 'DEBUG', 'PUBLISH-PERIOD', ms)));
}

async function majorityPrimary(
  group: string,
  nodes: readonly TestRedis[],
  sentinels: readonly TestRedis[],
): Promise<TestRedis> {
  const answers = await Promise.all(
    sentinels.map(async (sentinel) => {
      const address = await sentinel.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', group).catch(() => null);
      return Array.isArray(address) ? Number(address[1]) : undefined;
    }),
  );
  for (const node of nodes) {
    const votes = answers.filter((port) => port === node.port).length;
    if (votes > answers.length / 2) return node;
  }
  throw new Error(`The Sentinels do not agree on a primary: ${JSON.stringify(answers)}`);
}
