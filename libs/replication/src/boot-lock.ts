// May a node that was restarted serve as the primary that it was, or would it take its emptiness to all others?
//
// A primary without its data that is back before Sentinel has missed it stays primary, and its replicas copy the emptiness within a
// second. So it is compared with them before they may follow it again: it is trusted when nobody is ahead of it.
import type { Endpoint } from './address.ts';
import type { NodeInfo } from './info-parser.ts';

/** What counts of a node. */
export interface BootFacts extends Endpoint {
  readonly info: Pick<NodeInfo, 'lineage' | 'previousLineage' | 'sharedOffset' | 'offset'>;
  /** In all its databases; null when it did not say. */
  readonly keys: number | null;
}

/** The answer with its reason. */
export interface BootVerdict {
  readonly trusted: boolean;
  readonly detail: string;
}

/** Keys in all databases by an INFO answer that has the section `keyspace`; null when it has none. */
export const countKeys = (info: string): number | null => {
  if (!info.includes('# Keyspace')) return null;
  return [...info.matchAll(/^db\d+:keys=(\d+)/gm)].reduce((sum, [, keys]) => sum + Number(keys), 0);
};

/** Compares the restarted primary with those that followed it before. Never throws. */
export const judgeBoot = (node: BootFacts, others: readonly BootFacts[]): BootVerdict => {
  for (const other of others) {
    const why = ahead(node, other);
    if (why !== null) return { trusted: false, detail: why };
  }
  const whom = others.map(({ name }) => name).join(', ');
  return {
    trusted: true,
    detail: whom === '' ? `nobody is there to compare ${node.name} with` : `${node.name} has all that ${whom} have`,
  };
};

/** In what the other one is ahead; null when it is not. */
const ahead = (node: BootFacts, other: BootFacts): string | null => {
  const [mine, theirs] = [node.keys, other.keys];
  if (mine === 0 && theirs !== null && theirs > 0) {
    return `${node.name} is empty, ${other.name} has ${String(theirs)} keys`;
  }
  const place = offsetIn(node.info, other.info.lineage);
  if (place !== null && other.info.offset !== null) {
    const bytes = other.info.offset - place;
    return bytes > 0 ? `${other.name} has ${String(bytes)} bytes of the stream that ${node.name} lacks` : null;
  }
  // Streams that have nothing to do with each other: what is left is to count. A failover too many loses nothing, one too few all.
  return mine !== null && theirs !== null && theirs > mine
    ? `${node.name} has ${String(mine)} keys and a stream of its own, ${other.name} has ${String(theirs)}`
    : null;
};

/** How far the node is in the stream of this name; null when it does not know it. */
const offsetIn = (
  { lineage, previousLineage, sharedOffset, offset }: BootFacts['info'],
  name: string | null,
): number | null => {
  if (name === null) return null;
  if (lineage === name) return offset;
  return previousLineage === name ? sharedOffset : null;
};

/** Names of the users that a lock keeps out until the node was compared. */
export interface LockUsers {
  readonly applications: string;
  readonly replication: string;
  readonly manager: string;
  readonly sentinel: string;
}

/** The users unless given. */
export const defaultLockUsers: LockUsers = Object.freeze({
  applications: 'switchyard-app',
  replication: 'switchyard-replica',
  manager: 'switchyard-manager',
  sentinel: 'switchyard-sentinel',
});

/** Files for a group whose nodes start locked; passwords are to be put in. */
export interface LockConfig {
  /** `users.acl` of each node. */
  readonly aclFile: string;
  /** Lines of redis.conf of each node. */
  readonly redisConf: string;
  /** Lines of sentinel.conf. */
  readonly sentinelConf: string;
  /** What applications and Switchyard are given. */
  readonly clients: string;
}

/**
 * Lines that make each node start with its applications and replicas kept out. In a file of users of its own, and not in redis.conf:
 * Sentinel has Redis rewrite redis.conf at each failover, with the users as they are then, and the lock would be gone.
 */
export const lockConfig = (group: string, users: LockUsers = defaultLockUsers): LockConfig => ({
  aclFile: [
    'user default off',
    `user ${users.applications} off >APPLICATION-PASSWORD ~* &* +@all -@admin`,
    `user ${users.replication} off >REPLICATION-PASSWORD +psync +replconf +ping`,
    `user ${users.manager} on >MANAGER-PASSWORD ~* &* +@all`,
    `user ${users.sentinel} on >SENTINEL-PASSWORD allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill`,
    '',
  ].join('\n'),
  redisConf: [
    'aclfile /etc/redis/users.acl',
    `masteruser ${users.replication}`,
    'masterauth REPLICATION-PASSWORD',
    '# never ACL SAVE: what is saved unlocked starts unlocked',
    '',
  ].join('\n'),
  sentinelConf: [
    `sentinel auth-user ${group} ${users.sentinel}`,
    `sentinel auth-pass ${group} SENTINEL-PASSWORD`,
    '',
  ].join('\n'),
  clients: [
    `# applications: user ${users.applications}, password APPLICATION-PASSWORD; until a node is let in they get WRONGPASS`,
    `# replication-manager: user ${users.manager}, password MANAGER-PASSWORD, SWITCHYARD_REPLICATION_BOOT_LOCK=enforce`,
    '# without a running manager a node that restarts stays locked: run two',
    '',
  ].join('\n'),
});
