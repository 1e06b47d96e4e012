// Is the target fit to be primary? The part of the preflight about it.
import { sameAddress } from './address.ts';
import { must, should, type CheckContext, type SwitchoverCheck } from './switchover-check.ts';

const versionOf = (text: string | null): number => {
  const [major = 0, minor = 0, patch = 0] = (text ?? '').split('.').map(Number);
  return major * 1_000_000 + minor * 1_000 + patch;
};

/** One failed check when there is no target; otherwise all about it. */
export const targetChecks = ({ facts, from, target, others }: CheckContext): readonly SwitchoverCheck[] => {
  if (target === null) {
    const detail = facts.to === null ? 'no replica is fit to take over' : `there is no node ${facts.to} in the group`;
    return [must('target_exists', false, detail, 'GET /v1/redis/groups/{group} lists the nodes and their reasons')];
  }
  const { name, info } = target;
  const known = info !== null;
  const primary = from?.info ?? null;
  const isReplica = info?.role === 'replica';
  const lag = known && primary !== null ? Math.max(0, (primary.offset ?? 0) - (info.offset ?? 0)) : null;
  const limit = Number(target.config['maxmemory'] ?? info?.maxMemoryBytes ?? 0);
  const primaryLimit = Number(from?.config['maxmemory'] ?? primary?.maxMemoryBytes ?? 0);
  const isRoomy =
    limit === 0 || (primaryLimit !== 0 ? limit >= primaryLimit : limit > 1.2 * (from?.usedMemoryBytes ?? 0));
  const eviction = target.config['maxmemory-policy'] ?? info?.evictionPolicy ?? null;
  const needed = Number(target.config['min-replicas-to-write'] ?? 0);
  const followers = others.filter((node) => node.info?.role === 'replica').length + 1;
  const persistence = info?.persistence ?? null;
  const savesNothing = target.config['appendonly'] === 'no' && target.config['save'] === '';
  const primarySaves = from?.config['appendonly'] === 'yes' || (from?.config['save'] ?? '') !== '';
  return [
    must('target_exists', true, `${name} is in the group`, ''),
    must(
      'target_reachable',
      known,
      known ? `${name} answers` : `${name} does not answer`,
      'start it, or choose another',
    ),
    must(
      'target_is_replica',
      known ? isReplica : null,
      isReplica ? `${name} is a replica` : `${name} is no replica`,
      sameAddress(target, from) ? 'it is primary already: nothing to do' : 'wait until it has joined',
    ),
    must(
      'target_follows_primary',
      isReplica ? sameAddress(info.follows, from) : null,
      'it has to follow the primary directly',
      'REPLICAOF it, or choose another',
    ),
    must(
      'same_lineage',
      isReplica && primary !== null ? info.lineage === primary.lineage : null,
      'their streams have to be of one lineage',
      'wait for its full synchronisation',
    ),
    must(
      'target_link_up',
      isReplica ? info.link === 'up' : null,
      `its link is ${info?.link ?? 'unknown'}`,
      'wait until it is in sync',
    ),
    must(
      'target_lag',
      lag === null ? null : lag <= facts.maxLagBytes,
      lag === null ? 'its lag is not known' : `it lags ${String(lag)} bytes; ${String(facts.maxLagBytes)} are allowed`,
      'wait until it has caught up, or write less',
    ),
    must(
      'target_not_loading',
      known ? !info.loading && !info.syncing : null,
      'it must not load or copy data',
      'wait until it has finished',
    ),
    must(
      'target_priority',
      known ? info.priority !== 0 : null,
      `its replica-priority is ${String(info?.priority ?? 'unknown')}`,
      `CONFIG SET replica-priority 100 on ${name}`,
    ),
    must(
      'target_saves_well',
      persistence === null ? null : persistence.lastSaveOk && persistence.lastAofWriteOk,
      'its last write to disk has to have succeeded',
      'read its log: most often the disk is full',
    ),
    should(
      'target_persists',
      !(savesNothing && primarySaves),
      savesNothing ? `${name} writes nothing to disk` : `${name} writes to disk`,
      `CONFIG SET appendonly yes on ${name}`,
    ),
    must(
      'target_not_forking',
      known ? !target.saving && !target.rewriting : null,
      target.saving || target.rewriting ? `${name} is forking for its persistence` : `${name} is not forking`,
      'wait until that has ended: INFO persistence',
    ),
    must(
      'version_not_older',
      known && primary !== null ? versionOf(info.version) >= versionOf(primary.version) : null,
      `${info?.version ?? '?'} would follow ${primary?.version ?? '?'}`,
      'an older version cannot read what a newer one writes: upgrade it first',
    ),
    must(
      'maxmemory_not_smaller',
      isRoomy,
      `maxmemory is ${String(limit)}, at the primary ${String(primaryLimit)} (0 = no limit)`,
      `CONFIG SET maxmemory ${String(primaryLimit)} on ${name}`,
    ),
    should(
      'noeviction',
      eviction === null ? null : eviction === 'noeviction' || limit === 0,
      `its eviction policy is ${eviction ?? 'unknown'}`,
      `CONFIG SET maxmemory-policy noeviction on ${name}`,
    ),
    must(
      'min_replicas_satisfiable',
      followers >= needed,
      `it would require ${String(needed)} replicas and have ${String(followers)}`,
      `CONFIG SET min-replicas-to-write ${String(followers)} on ${name}`,
    ),
    should(
      'others_reachable',
      others.every((node) => node.info !== null),
      others.every((node) => node.info !== null) ? 'all other nodes answer' : 'another node does not answer',
      'it joins when it is back',
    ),
  ];
};
