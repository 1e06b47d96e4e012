// On which kind of Redis do the scenarios run? SWITCHYARD_REDIS_KIND, as for the yard: Sentinels (the default), or a Redis Cluster.
import { keys } from '@switchyard/protocol';
import { startCluster, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import type { Yard } from './yard.ts';

/** One of Switchyard's keys: all of them are in the same slot. */
export const ownKey = keys.instances;

/** What the scenarios run on. */
export const redisKind: 'sentinel' | 'cluster' =
  process.env['SWITCHYARD_REDIS_KIND'] === 'cluster' ? 'cluster' : 'sentinel';
export const onCluster = redisKind === 'cluster';

/** How many Redis nodes a yard has. */
export const nodeCount = onCluster ? 6 : 3;

/** `it` where it applies; elsewhere the reason is printed, so that nothing is left out in silence. */
export const itUnless = (notApplicable: boolean, because: string): typeof it => {
  if (!notApplicable) return it;
  const skip = (title: string, ...rest: unknown[]): void => {
    process.stderr.write(`not applicable on ${redisKind}: "${title}" (${because})\n`);
    (it.skip as (...words: unknown[]) => void)(title, ...rest);
  };
  return skip as unknown as typeof it;
};

/** Where a further process of the yard finds Redis. */
export const redisEnvironment = (yard: Yard): Record<string, string> => {
  const at = (prefix: string, count: number): string =>
    Array.from({ length: count }, (_, index) => `127.0.0.1:${yard.ports[`${prefix}${index + 1}`]}`).join(',');
  return onCluster ? { SWITCHYARD_REDIS_CLUSTER: at('r', 6) } : { SWITCHYARD_REDIS_SENTINELS: at('s', 3) };
};

/** The Redis of a small stack, which is treated as one whole. */
export interface StackRedis {
  readonly env: Record<string, string>;
  /** The node that has the keys. */
  owner(): Promise<TestRedis>;
  freeze(): void;
  resume(): void;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** One node, or a Redis Cluster of six. */
export async function startStackRedis(args: readonly string[] = []): Promise<StackRedis> {
  const cluster = onCluster ? await startCluster({ args }) : undefined;
  const nodes = cluster?.nodes ?? [await startRedis({ args })];
  const [first] = nodes as [TestRedis];
  const each = async (work: (node: TestRedis) => Promise<void>): Promise<void> => {
    await Promise.all(nodes.map(work));
  };
  return {
    env: cluster === undefined ? { SWITCHYARD_REDIS_URL: first.url } : { SWITCHYARD_REDIS_CLUSTER: cluster.addresses },
    owner: async () => cluster?.ownerOf(ownKey) ?? first,
    freeze: () => nodes.forEach((node) => node.freeze()),
    resume: () => nodes.forEach((node) => node.resume()),
    kill: () => each((node) => node.kill()),
    restart: () => each((node) => node.restart()),
    stop: () => each((node) => node.stop()),
  };
}
