// What do the tests of switchovers ask a group and its manager?
import { operationSchema, type Operation } from '@switchyard/protocol';
import { eventually, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import type { TestManager } from '../manager-fixture.ts';

/** Where a switchover is asked for. */
export const path = '/v1/redis/groups/main/switchover';
const namesOf = (nodes: readonly TestRedis[]): string =>
  nodes.map(({ host, port }, at) => `r${String(at + 1)}=${host}:${String(port)}`).join(',');
/** Settings of a manager of this group; its nodes are r1, r2, r3. */
export const envOf = (group: SentinelGroup): NodeJS.ProcessEnv => ({
  SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
  SWITCHYARD_REPLICATION_NODE_NAMES: namesOf(group.nodes),
  SWITCHYARD_LOG_LEVEL: 'silent',
});
/** A POST that may take long. */
export const post = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
  signal: AbortSignal.timeout(50_000),
});
/** Resolves when all is well. */
export const isOk = async (manager: TestManager): Promise<void> => {
  await eventually(async () => expect((await manager.group()).state).toBe('ok'), {
    timeoutMs: 30_000,
    intervalMs: 100,
  });
};
/** Asks and waits for the end. */
export const switchOver = async (manager: TestManager, body: Record<string, unknown> = {}): Promise<Operation> => {
  const answer = await manager.get(`${path}?wait=40s`, post(body));
  if (answer.status !== 200) throw new Error(`${String(answer.status)} ${JSON.stringify(answer.body)}`);
  return operationSchema.parse(answer.body);
};
const setting = async (node: TestRedis, name: string): Promise<string> => {
  const reply = await node.cli('CONFIG', 'GET', name);
  return Array.isArray(reply) ? String(reply[1]) : '';
};
/** How often a node was copied anew, over all nodes. */
export const fullSyncs = async (group: SentinelGroup): Promise<number> => {
  const counts = await Promise.all(group.nodes.map(async (node) => Number(await node.info('stats', 'sync_full'))));
  return counts.reduce((sum, one) => sum + one, 0);
};
/** Nothing that a switchover sets may stay. */
export const nothingIsLeft = async (group: SentinelGroup): Promise<void> => {
  for (const node of group.nodes) {
    if (!node.running()) continue;
    expect(await setting(node, 'replica-priority')).toBe('100');
    expect(await setting(node, 'repl-ping-replica-period')).toBe('10');
  }
  for (const sentinel of group.sentinels) {
    if (!sentinel.running()) continue;
    const debug = (await sentinel.cli('SENTINEL', 'DEBUG')) as string[];
    expect(debug[debug.indexOf('INFO-PERIOD') + 1]).toBe('10000');
    const facts = (await sentinel.cli('SENTINEL', 'MASTER', 'main')) as string[];
    expect(facts[facts.indexOf('failover-timeout') + 1]).toBe('15000');
  }
};
/** Ports of the nodes that call themselves primary. */
export const primaries = async (group: SentinelGroup): Promise<readonly number[]> => {
  const roles = await Promise.all(
    group.nodes.map(
      async (node) => [node.port, node.running() ? await node.info('replication', 'role') : null] as const,
    ),
  );
  return roles.filter(([, role]) => role === 'master').map(([port]) => port);
};
