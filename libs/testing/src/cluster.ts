// How does a test get a Redis Cluster? Primaries that share all slots and replicas of each, every one a real process.
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { startRedis, type TestRedis } from './redis.ts';

/** Size and patience of the cluster. */
export interface ClusterOptions {
  /** Default 3; fewer cannot elect anybody. */
  readonly primaries?: number;
  /** Replicas of each primary, default 1. */
  readonly replicas?: number;
  /** After so long a silent node has failed; default 1000. */
  readonly nodeTimeoutMs?: number;
  /** Added to the command line of each node. */
  readonly args?: readonly string[];
}

/** A running cluster. Primaries come first in `nodes`. */
export interface TestCluster {
  readonly nodes: readonly TestRedis[];
  /** `host:port,host:port` as SWITCHYARD_REDIS_CLUSTER takes it. */
  readonly addresses: string;
  /** The primary that owns the slot of `key`, as most running nodes see it; throws when there is none. */
  ownerOf(key: string): Promise<TestRedis>;
  /** Its id, as CLUSTER commands take it. */
  idOf(node: TestRedis): Promise<string>;
  /** Ends every process. May be called twice. */
  stop(): Promise<void>;
}

const SLOTS = 16_384;

/** Starts a cluster and resolves when every node says that it is whole and every replica is in sync. */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const { primaries: primaryCount = 3, replicas: replicaCount = 1, nodeTimeoutMs = 1_000, args = [] } = options;
  const nodes: TestRedis[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  try {
    const busPorts = new Map<TestRedis, number>();
    const start = async (): Promise<TestRedis> => {
      const busPort = await freePort();
      const cluster = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)];
      const node = await startRedis({ args: [...cluster, '--cluster-node-timeout', String(nodeTimeoutMs), ...args] });
      nodes.push(node);
      busPorts.set(node, busPort);
      return node;
    };
    // one after the other: two of them must not be given the same free port
    for (let n = 0; n < primaryCount * (1 + replicaCount); n += 1) await start();
    const primaries = nodes.slice(0, primaryCount);
    const [first] = nodes as [TestRedis];
    for (const [at, primary] of primaries.entries()) {
      const from = Math.floor((at * SLOTS) / primaryCount);
      await primary.cli('CLUSTER', 'ADDSLOTSRANGE', from, Math.floor(((at + 1) * SLOTS) / primaryCount) - 1);
      await primary.cli('CLUSTER', 'SET-CONFIG-EPOCH', at + 1);
    }
    for (const node of nodes.slice(1)) {
      await node.cli('CLUSTER', 'MEET', first.host, first.port, busPorts.get(first) ?? 0);
    }
    await allAgree(nodes, (info) => info.includes(`cluster_known_nodes:${nodes.length}\r\n`));
    for (const [at, replica] of nodes.slice(primaryCount).entries()) {
      await replicate(replica, primaries[at % primaryCount] as TestRedis);
    }
    await allAgree(nodes, (info) => info.includes('cluster_state:ok\r\n'));
    for (const replica of nodes.slice(primaryCount)) {
      await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up', {
        timeoutMs: 15_000,
        what: `The replication link of ${replica.port}`,
      });
    }
    return {
      nodes,
      addresses: nodes.map(({ host, port }) => `${host}:${port}`).join(','),
      ownerOf: (key) => ownerOf(nodes, key),
      idOf,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const idOf = async (node: TestRedis): Promise<string> => String(await node.cli('CLUSTER', 'MYID'));

async function allAgree(nodes: readonly TestRedis[], holds: (info: string) => boolean): Promise<void> {
  for (const node of nodes) {
    await eventually(async () => holds(String(await node.cli('CLUSTER', 'INFO'))), {
      timeoutMs: 20_000,
      what: `The cluster as ${node.port} sees it`,
    });
  }
}

/** A node can only follow one that it has met. */
async function replicate(replica: TestRedis, primary: TestRedis): Promise<void> {
  const id = await idOf(primary);
  await eventually(() => replica.cli('CLUSTER', 'REPLICATE', id), {
    timeoutMs: 15_000,
    what: `The acquaintance of ${replica.port} with its primary`,
  });
}

async function ownerOf(nodes: readonly TestRedis[], key: string): Promise<TestRedis> {
  const votes = new Map<number, number>();
  const running = nodes.filter((node) => node.running());
  for (const node of running) {
    const slot = Number(await node.cli('CLUSTER', 'KEYSLOT', key));
    const ranges = (await node.cli('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
    const owner = ranges.find(([from, to]) => slot >= from && slot <= to)?.[2][1];
    if (owner !== undefined) votes.set(owner, (votes.get(owner) ?? 0) + 1);
  }
  const owner = running.find(({ port }) => (votes.get(port) ?? 0) > running.length / 2);
  if (owner === undefined) throw new Error(`Nobody owns the slot of ${key} in the eyes of most nodes.`);
  return owner;
}
