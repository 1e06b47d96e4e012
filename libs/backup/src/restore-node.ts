// May this node be given other data? What is looked at when a restore is planned, and again at the last moment: a restore that was planned
// for an idle node must not run on what has become a primary meanwhile (Wikimedia GitLab, 2023-02-28: two hours of data lost).
import { refuse, type Result } from '@switchyard/protocol';
import { serverText, whyNotReadable, type ServerVersion } from './server-version.ts';

/** A node as it is now. */
export interface RestoreNode {
  /** `host:port`. */
  readonly name: string;
  readonly mode: 'standalone' | 'cluster' | 'sentinel';
  readonly server: ServerVersion;
  readonly runId: string;
  readonly role: 'primary' | 'replica';
  /** Whom it replicates, `host:port`; null for a primary. */
  readonly primary: string | null;
  readonly isLinkUp: boolean;
  /** Replicas that are connected to it. */
  readonly replicas: number;
  readonly keys: number;
  /** How many databases it may have; null when it does not say. */
  readonly databases: number | null;
  readonly isLoading: boolean;
  /** Replication over TLS, which we do not serve. */
  readonly needsTls: boolean;
  /** What the group of the settings takes it for; null: it is none of its nodes. */
  readonly member: 'primary' | 'replica' | null;
  /** Whether anybody could say what it is to the group. */
  readonly isGroupKnown: boolean;
}

/** What is wanted. */
export interface NodeWish {
  readonly group: string;
  readonly as: 'primary' | 'replica';
  readonly overwrite: boolean;
  /** Which server wrote what it would read. */
  readonly writer: ServerVersion;
  /** Databases that the data needs; 1 while nobody knows. */
  readonly databases: number;
}

/** Null when it may be given other data; otherwise every reason against it. */
export function whyNotInto(node: RestoreNode, wish: NodeWish): Result<never> | null {
  const { name } = node;
  const unreadable = whyNotReadable(wish.writer, node.server);
  if (unreadable !== null)
    return refuse('not_restorable', `${name} cannot read the data.`, {
      why: [unreadable],
      next: `Start ${serverText(wish.writer)} or newer there.`,
    });
  if (node.mode !== 'standalone')
    return refuse(
      'not_restorable',
      `${name} is ${node.mode === 'cluster' ? 'a node of a Redis Cluster' : 'a Sentinel'}.`,
      {
        next: 'Name a redis-server of its own.',
      },
    );
  if (node.needsTls)
    return refuse('not_implemented', `${name} replicates over TLS only, which a restore does not serve yet.`, {
      next: 'Restore into a directory, and start the server there.',
    });
  // It would end itself while it loads.
  if (node.databases !== null && node.databases < wish.databases)
    return refuse('not_restorable', `${name} has ${node.databases} databases; the data needs ${wish.databases}.`, {
      next: `Start it with databases ${wish.databases}.`,
    });
  const why = reasonsAgainst(node, wish);
  if (why.length === 0) return null;
  return refuse('refused_for_safety', `${name} is not given other data.`, {
    why,
    next:
      wish.as === 'primary'
        ? 'Name an empty server of its own. To bring the group itself back, POST /v1/rollbacks.'
        : 'Name a server that is a replica of the group, or empty.',
  });
}

/** What is different at the last moment; empty when nothing that matters is. */
export function whatChanged(planned: RestoreNode, now: RestoreNode): readonly string[] {
  const changes: string[] = [];
  const say = (what: string, before: unknown, after: unknown): void => {
    if (before !== after) changes.push(`${what}: it was ${String(before)}, it is ${String(after)} now`);
  };
  say('run id', planned.runId, now.runId);
  say('role', planned.role, now.role);
  say('its primary', planned.primary, now.primary);
  say('place in the group', planned.member ?? 'none', now.member ?? 'none');
  if (now.replicas > planned.replicas) say('replicas', planned.replicas, now.replicas);
  if (planned.keys === 0) say('keys', 0, now.keys);
  return changes;
}

function reasonsAgainst(node: RestoreNode, { as, group, overwrite }: NodeWish): readonly string[] {
  const why: string[] = [];
  if (node.isLoading) why.push('it is loading data at this moment');
  if (node.replicas > 0) why.push(`${node.replicas} replicas follow it and would lose their data, too`);
  if (node.member === 'primary') why.push(`it is the primary of ${group}`);
  else if (as === 'primary' && node.member === 'replica') why.push(`it is a replica of ${group}`);
  else if (as === 'primary' && node.role === 'replica')
    why.push(`it is a replica of ${node.primary ?? 'another node'}`);
  else if (as === 'replica' && node.role === 'replica' && node.member === null && node.isLinkUp)
    why.push(`it is a replica of ${node.primary ?? 'another node'}, which is not in ${group}`);
  if (node.keys > 0 && !overwrite) why.push(`it holds ${node.keys} keys; say overwrite: true if they may go`);
  if (node.keys > 0 && overwrite && !node.isGroupKnown)
    why.push(`nobody can say whether it is in use: no node of ${group} and no Sentinel answers`);
  return why;
}

/** How many databases data with keys in these ones needs: the numbers begin with 0. */
export function databasesNeeded(perDatabase: Readonly<Record<string, number>>): number {
  return Object.keys(perDatabase).reduce((most, database) => Math.max(most, Number(database) + 1), 1);
}
