// How does a test get a group whose replicas are far away? Every node is announced under the address of a relay that holds back only
// what replicas send and get: those connect from 127.0.0.2, everybody else from 127.0.0.1.
import { eventually, freePort, startDelayProxy, startRedis, startSentinel } from '@switchyard/testing';
import type { DelayProxy, TestRedis } from '@switchyard/testing';

interface SlowNode {
  readonly redis: TestRedis;
  readonly link: DelayProxy;
}

export interface SlowGroup {
  /** The first is the primary at the start. */
  readonly nodes: readonly SlowNode[];
  readonly sentinels: readonly { readonly host: string; readonly port: number }[];
  /** The node at the address that most Sentinels name. */
  primary(): Promise<SlowNode>;
  stop(): Promise<void>;
}

const host = '127.0.0.1';
const replicaHost = '127.0.0.2';

/** One primary, two replicas `delayMs` away (each way), and three Sentinels when a failover is wanted. */
export async function startSlowGroup(options: {
  readonly delayMs: number;
  readonly downAfterMs?: number;
}): Promise<SlowGroup> {
  const { delayMs, downAfterMs } = options;
  const nodes: SlowNode[] = [];
  const sentinels: TestRedis[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all([...sentinels, ...nodes.map(({ redis }) => redis)].map((one) => one.stop()));
    await Promise.all(nodes.map(({ link }) => link.stop()));
  };
  try {
    for (let i = 0; i < 3; i += 1) {
      const [port, announced] = [await freePort(), await freePort()];
      const link = await startDelayProxy({ to: { host, port }, delayMs, onlyFrom: replicaHost, port: announced });
      const args = ['--replica-announce-port', String(announced), '--bind-source-addr', replicaHost];
      const first = nodes[0]?.link.port;
      const replicaOf = first === undefined ? {} : { replicaOf: { host, port: first } };
      const redis = await startRedis({ port, args, ...replicaOf });
      nodes.push({ redis, link });
    }
    const [first] = nodes;
    if (first === undefined) throw new Error('there are three nodes');
    await eventually(async () => (await first.redis.info('replication', 'connected_slaves')) === '2', {
      timeoutMs: 15_000,
    });
    const config = [
      'sentinel announce-ip 127.0.0.1',
      `sentinel monitor main ${host} ${first.link.port} 2`,
      `sentinel down-after-milliseconds main ${downAfterMs ?? 1_000}`,
      'sentinel failover-timeout main 3000',
    ];
    for (let i = 0; i < (downAfterMs === undefined ? 0 : 3); i += 1) sentinels.push(await startSentinel(config));
    for (const one of sentinels) await one.cli('SENTINEL', 'DEBUG', 'PUBLISH-PERIOD', 200);
    await eventually(
      async () => {
        const known = await Promise.all(sentinels.map((one) => one.cli('SENTINEL', 'SENTINELS', 'main')));
        const replicas = await Promise.all(sentinels.map((one) => one.cli('SENTINEL', 'REPLICAS', 'main')));
        return [...known, ...replicas].every((list) => Array.isArray(list) && list.length === 2);
      },
      { timeoutMs: 20_000, what: 'The acquaintance of the Sentinels' },
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    nodes,
    sentinels,
    async primary() {
      const ask = (one: TestRedis): Promise<unknown> =>
        one.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main').catch(() => null);
      const named = await Promise.all(sentinels.map(ask));
      const votes = (node: SlowNode): number =>
        named.filter((address) => Array.isArray(address) && Number(address[1]) === node.link.port).length;
      const found = nodes.find((node) => votes(node) >= 2);
      if (found === undefined) throw new Error(`the Sentinels do not agree: ${JSON.stringify(named)}`);
      return found;
    },
    stop,
  };
}
