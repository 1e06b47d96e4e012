// May a rollback begin? Every check with its outcome, so that a dry run says all that is in the way at once, and changes nothing.
import { isSame, nameOf } from './rollback-turn.ts';
import type { RollbackAddress } from './rollback-plan.ts';

/** One check. `ok` null: it could not be told. Only a failed `blocking` one forbids the rollback. */
export interface RollbackCheck {
  readonly name: string;
  readonly ok: boolean | null;
  readonly detail: string;
  /** What to do about it; empty when it is well. */
  readonly next: string;
  readonly blocking: boolean;
}

/** A node as it was read for the preflight; null = it did not say. */
export interface RollbackNodeFacts extends RollbackAddress {
  readonly reachable: boolean;
  readonly role: 'primary' | 'replica' | null;
  readonly replicationId: string | null;
  readonly offset: number | null;
  readonly follows: RollbackAddress | null;
  readonly link: 'up' | 'down' | null;
  readonly loading: boolean;
  readonly version: string | null;
  readonly usedMemoryBytes: number | null;
  readonly totalMemoryBytes: number | null;
  /** A save or a rewrite of the AOF that runs now. */
  readonly forking: boolean;
  readonly failingOver: boolean;
  readonly lastSaveOk: boolean;
  readonly lastAofWriteOk: boolean;
}

/** Everything that the preflight looks at. */
export interface RollbackFacts {
  readonly group: string;
  readonly kind: 'sentinel' | 'single';
  readonly primary: RollbackNodeFacts | null;
  readonly replicas: readonly RollbackNodeFacts[];
  readonly named: RollbackAddress | null;
  readonly epoch: number | null;
  readonly sentinels: readonly {
    readonly at: RollbackAddress;
    readonly reachable: boolean;
    readonly tilted: boolean | null;
    readonly names: RollbackAddress | null;
    readonly inProgress: boolean;
    readonly downAfterMs: number | null;
  }[];
  /** How far the archive is; null when this worker does not follow the group. */
  readonly archive: { readonly offset: number; readonly replicationId: string } | null;
  /** Other rollbacks, switchovers, maintenance, as far as they could be asked. */
  readonly underWay: readonly string[];
  /** Settings that could not be read. */
  readonly unreadable: readonly string[];
  /** Bytes that the old data set takes in memory, and the version of the server that loaded it. */
  readonly target: { readonly keys: number; readonly memoryBytes: number | null; readonly version: string };
  /** Where the node is told to fetch it. */
  readonly servedHost: string;
  /** Room on the disk for throw-away servers and the primary's own transfer; null = unknown. */
  readonly freeDiskBytes: number | null;
  readonly neededDiskBytes: number;
  readonly maxLagBytes: number;
}

/** The outcome. */
export interface RollbackPreflight {
  readonly checks: readonly RollbackCheck[];
  readonly allowed: boolean;
  readonly loads: 'swapdb' | 'plain';
}

/** Weighs all facts. Pure. */
export function rollbackPreflight(facts: RollbackFacts): RollbackPreflight {
  const loads = fitsTwice(facts) ? 'swapdb' : 'plain';
  const checks = [
    ...groupChecks(facts),
    ...sentinelChecks(facts),
    archiveCheck(facts),
    ...workChecks(facts),
    ...nodeChecks(facts, loads),
    reachCheck(facts),
  ];
  return { checks, loads, allowed: checks.every(({ ok, blocking }) => ok !== false || !blocking) };
}

const must = (name: string, ok: boolean | null, detail: string, next: string): RollbackCheck => ({
  name,
  ok,
  detail,
  next: ok === true ? '' : next,
  blocking: true,
});
const should = (name: string, ok: boolean | null, detail: string, next: string): RollbackCheck => ({
  ...must(name, ok, detail, next),
  blocking: false,
});

function groupChecks({ group, primary, replicas, maxLagBytes }: RollbackFacts): readonly RollbackCheck[] {
  const health = `GET /v1/redis/groups/${group} names each node and its problem`;
  if (primary === null) return [must('primary', false, `nobody is known as primary of ${group}`, health)];
  const isFine = primary.reachable && primary.role === 'primary' && !primary.loading;
  const where = nameOf(primary);
  const troubled = replicas.flatMap((node) => {
    const lag = (primary.offset ?? 0) - (node.offset ?? 0);
    if (!node.reachable) return [`${nameOf(node)} does not answer`];
    if (node.link !== 'up' || node.loading) return [`${nameOf(node)} is not in step`];
    if (!isSame(node.follows, primary)) return [`${nameOf(node)} follows another node`];
    return lag > maxLagBytes ? [`${nameOf(node)} lags ${lag} bytes`] : [];
  });
  return [
    must('primary', isFine, isFine ? `${where} is primary` : `${where} does not answer as a primary`, health),
    must(
      'replicas',
      troubled.length === 0,
      troubled.length === 0 ? `${replicas.length} replicas are in step` : troubled.join('; '),
      'wait until they are in step, or take the broken ones out of the group: they hold the only other copy while it is changed',
    ),
  ];
}

function sentinelChecks({ kind, sentinels, named, epoch }: RollbackFacts): readonly RollbackCheck[] {
  if (kind === 'single') return [];
  const away = sentinels.filter(({ reachable }) => !reachable).map(({ at }) => nameOf(at));
  const tilted = sentinels.filter((one) => one.tilted === true).map(({ at }) => nameOf(at));
  const busy = sentinels.filter(({ inProgress }) => inProgress).map(({ at }) => nameOf(at));
  const others = sentinels.filter((one) => one.reachable && !isSame(one.names, named)).map(({ at }) => nameOf(at));
  const agree = named !== null && epoch !== null && others.length === 0;
  return [
    must(
      'sentinels-reachable',
      away.length === 0,
      away.length === 0 ? `all ${sentinels.length} answer` : `no answer from ${away.join(', ')}`,
      'start them, or remove them from the group: one that is not told to wait may fail the primary over in the middle',
    ),
    must(
      'sentinels-agree',
      agree,
      agree ? `they name ${nameOf(named)} in epoch ${epoch}` : `they do not agree on a primary`,
      'wait until they agree: SENTINEL MASTER <group> at each of them',
    ),
    must(
      'sentinels-untilted',
      tilted.length === 0,
      tilted.length === 0 ? 'none is in TILT mode' : `in TILT mode: ${tilted.join(', ')}`,
      'wait 30 s; look for a stalled machine or a clock that jumped',
    ),
    must(
      'no-failover',
      busy.length === 0,
      busy.length === 0 ? 'no failover is under way' : `a failover is under way at ${busy.join(', ')}`,
      'wait for its end, then look again',
    ),
  ];
}

function archiveCheck({ archive, primary }: RollbackFacts): RollbackCheck {
  const name = 'safety-point';
  const next =
    'see the health of the archive at GET /readyz?verbose and GET /v1/backups/window; without it nothing could be undone';
  if (archive === null)
    return must(name, false, 'this worker does not follow the group, so it could keep no safety point', next);
  const isSameHistory = primary !== null && archive.replicationId === primary.replicationId;
  const lag = Math.max(0, (primary?.offset ?? 0) - archive.offset);
  return must(
    name,
    isSameHistory,
    isSameHistory
      ? `the archive is ${lag} bytes behind the primary`
      : 'the archive follows another history than that of the primary',
    next,
  );
}

function workChecks({ underWay, primary }: RollbackFacts): readonly RollbackCheck[] {
  const busy = [...underWay, ...(primary?.failingOver === true ? ['a handover by FAILOVER'] : [])];
  return [
    must(
      'nothing-under-way',
      busy.length === 0,
      busy.length === 0 ? 'no other work on the group is known' : busy.join('; '),
      'wait for its end: GET /v1/operations here, GET /v1/redis/operations at the managers',
    ),
    should(
      'no-fork',
      primary?.forking !== true,
      primary?.forking === true
        ? 'the primary saves or rewrites its AOF just now: its replicas wait for that'
        : 'no save is running',
      'wait for its end if the replicas are to be back soon',
    ),
  ];
}

function nodeChecks(facts: RollbackFacts, loads: 'swapdb' | 'plain'): readonly RollbackCheck[] {
  const { primary, target, freeDiskBytes, neededDiskBytes, unreadable } = facts;
  if (primary === null) return [];
  const fits = isAtLeast(primary.version, target.version);
  const persists = primary.lastSaveOk && primary.lastAofWriteOk;
  const hasRoom = freeDiskBytes === null ? null : freeDiskBytes >= neededDiskBytes;
  return [
    must(
      'version',
      fits,
      `the primary runs ${primary.version ?? 'an unknown version'}, the data set was written by ${target.version}`,
      'give the worker a redis-server that is not newer than the primary (SWITCHYARD_REDIS_SERVER)',
    ),
    must(
      'settings',
      unreadable.length === 0,
      unreadable.length === 0
        ? 'all settings that change for a while could be read'
        : `not allowed to read ${unreadable.join(', ')}`,
      'allow the worker CONFIG GET and CONFIG SET, REPLICAOF, CLIENT PAUSE and INFO',
    ),
    should(
      'memory',
      loads === 'swapdb',
      loads === 'swapdb'
        ? 'there is room for both data sets: the present one can be read while the old one loads'
        : 'there may be no room for both data sets: reads wait while the old one loads',
      'nothing, if that is acceptable; otherwise give the machine more memory',
    ),
    should(
      'persistence',
      persists,
      persists
        ? 'its last save and its AOF are well'
        : 'its last save or its AOF failed: it may refuse writes, also afterwards',
      'make room on its disk; see rdb_last_bgsave_status and aof_last_write_status in INFO persistence',
    ),
    must(
      'disk',
      hasRoom,
      hasRoom === null
        ? 'the room on the disk of the worker is not known'
        : `${freeDiskBytes} bytes are free, ${neededDiskBytes} are needed`,
      'make room on the disk of SWITCHYARD_BACKUP_SCRATCH',
    ),
  ];
}

function reachCheck({ primary, servedHost }: RollbackFacts): RollbackCheck {
  const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');
  const isOdd = primary !== null && isLoopback(servedHost) && !isLoopback(primary.host);
  return must(
    'node-reaches-us',
    !isOdd,
    isOdd
      ? `${nameOf(primary)} would be told to fetch the data from ${servedHost}, which is itself`
      : `the primary is told to fetch the data from ${servedHost}; if it cannot, it is taken back within seconds`,
    'set SWITCHYARD_HOST and SWITCHYARD_ADVERTISE_HOST of the worker to an address that the Redis nodes reach',
  );
}

/** Loading beside the present data needs room for both; a fifth is left for everything else. */
function fitsTwice({ primary, target }: RollbackFacts): boolean {
  if (primary === null) return false;
  const { usedMemoryBytes, totalMemoryBytes } = primary;
  if (usedMemoryBytes === null || totalMemoryBytes === null || target.memoryBytes === null) return false;
  return usedMemoryBytes + target.memoryBytes < totalMemoryBytes * 0.8;
}

/** Data sets of an older or the same minor version can be read. */
function isAtLeast(version: string | null, wanted: string): boolean | null {
  const [have, want] = [version, wanted].map((text) =>
    /(\d+)\.(\d+)/
      .exec(text ?? '')
      ?.slice(1)
      .map(Number),
  );
  if (have === undefined || want === undefined) return null;
  const [major = 0, minor = 0] = have;
  const [wantMajor = 0, wantMinor = 0] = want;
  return major > wantMajor || (major === wantMajor && minor >= wantMinor);
}

/** What a person should be told about the outcome in advance, loudly. */
export function rollbackWarnings(diff: {
  readonly now: number;
  readonly target: number;
  readonly removed: number | null;
}): readonly string[] {
  const { now, target, removed } = diff;
  if (target === 0 && now > 0) return [`At that moment there was NO key at all: all ${now} keys of now would be gone.`];
  const gone = removed ?? Math.max(0, now - target);
  return now > 0 && gone > now * 0.9 ? [`${gone} of ${now} keys of now would be gone (more than 90 %).`] : [];
}
