// What is this node, and what is it to the group? Asked anew each time: what was true a minute ago is no reason to overwrite anything.
import type { RestoreNode } from '@switchyard/backup';
import { addressKey, parseInfo, parseSentinelReplicas, parseSentinelView, type Address } from '@switchyard/replication';
import { createRedisNodeAdmin, type RedisNodeAdmin, type RedisSettings } from '@switchyard/redis';
import type { Clock, Logger } from '@switchyard/runtime';
import type { GroupProbe } from '../source/group-probe.ts';
import { serverOf } from '../source/node-facts.ts';

/** Looks at a node. Rejects with a RedisNodeError when it does not answer. */
export type NodeLook = (at: Address) => Promise<RestoreNode>;

/** Looks with the credentials of the group. */
export function createNodeLook(options: {
  readonly settings: RedisSettings;
  readonly probe: GroupProbe;
  readonly admin: (at: Address) => RedisNodeAdmin;
}): NodeLook {
  const { settings, probe } = options;
  return async (at) => {
    const [info, group, settled] = await Promise.all([
      probe.node(at),
      membersOf(settings, probe),
      settingsOf(options.admin(at)),
    ]);
    const field = (name: string): string | undefined => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];
    const runId = field('run_id') ?? '';
    const role = field('role') === 'slave' ? 'replica' : 'primary';
    const mode = field('redis_mode');
    const found = group.members.find((member) => member.name === addressKey(at) || member.runId === runId);
    return {
      name: addressKey(at),
      mode: mode === 'cluster' || mode === 'sentinel' ? mode : 'standalone',
      server: serverOf(info) ?? { kind: 'redis', version: 'unknown' },
      runId,
      role,
      primary: role === 'replica' ? `${field('master_host') ?? ''}:${field('master_port') ?? ''}` : null,
      isLinkUp: field('master_link_status') === 'up',
      // Without the archive, which follows a node of the group, too: it goes on wherever it can.
      replicas: parseInfo(info).replicas.length,
      keys: [...info.matchAll(/^db\d+:keys=(\d+)/gm)].reduce((sum, [, keys]) => sum + Number(keys), 0),
      isLoading: field('loading') === '1',
      ...settled,
      member: found?.role ?? null,
      isGroupKnown: group.isKnown,
    };
  };
}

/** Direct connections to nodes, with the credentials of the group. */
export function nodeAdmins(
  settings: RedisSettings,
  context: { readonly name: string; readonly clock: Clock; readonly logger: Logger },
): (at: Address) => RedisNodeAdmin {
  const { username, password, tls } = settings;
  const access = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };
  // A node that loads or swaps a large data set answers late.
  return ({ host, port }) => createRedisNodeAdmin({ host, port, ...access, ...context, deadlineMs: 5_000 });
}

interface Member {
  readonly name: string;
  readonly runId: string | undefined;
  readonly role: 'primary' | 'replica';
}

/** Every node that a Sentinel names, or the one that the settings name, also those that do not answer. */
async function membersOf(
  settings: RedisSettings,
  probe: GroupProbe,
): Promise<{ readonly members: readonly Member[]; readonly isKnown: boolean }> {
  const roles = new Map<string, { readonly at: Address; role: Member['role'] }>();
  let isKnown = false;
  if (settings.kind === 'single') roles.set(addressKey(settings.endpoint), { at: settings.endpoint, role: 'primary' });
  else if (settings.kind === 'sentinel') {
    const answers = await Promise.allSettled(settings.sentinels.map((at) => probe.sentinel(at)));
    for (const answer of answers) {
      if (answer.status === 'rejected') continue;
      isKnown = true;
      for (const at of parseSentinelReplicas(answer.value.replicas).replicas)
        if (!roles.has(addressKey(at))) roles.set(addressKey(at), { at, role: 'replica' });
      const view = parseSentinelView(answer.value.master);
      // One that a single Sentinel takes for the primary is treated as one.
      if (view !== null) roles.set(addressKey(view.primary), { at: view.primary, role: 'primary' });
    }
  }
  const members = await Promise.all(
    [...roles].map(async ([name, { at, role }]): Promise<Member> => {
      const info = await probe.node(at).catch(() => undefined);
      if (info !== undefined) isKnown = true;
      return { name, runId: info === undefined ? undefined : /^run_id:(\S+)/m.exec(info)?.[1], role };
    }),
  );
  return { members, isKnown };
}

// A user that may not read the settings learns it when the node does not come, or ends.
async function settingsOf(admin: RedisNodeAdmin): Promise<Pick<RestoreNode, 'needsTls' | 'databases'>> {
  try {
    const [tls, databases] = await Promise.all(
      ['tls-replication', 'databases'].map((name) => admin.configGet(name).catch(() => undefined)),
    );
    return { needsTls: tls === 'yes', databases: databases === undefined ? null : Number(databases) };
  } finally {
    admin.close();
  }
}
