// On which kind of Redis does the yard run? SWITCHYARD_REDIS_KIND: one primary with replicas and Sentinels, or a cluster.
//
// A kind is `{ name, nodeNames, earlierTopology(home), prepare({ home, ports, wanted }), environment(ports), specs(setup, group),
// describe(ports, group), settled(ports, patienceMs), stopOrder(ports) }`: what it says about processes and files is all that
// the rest of the yard knows.
import { clusterKind } from './redis-cluster.mjs';
import { sentinelKind } from './redis-group.mjs';

const kinds = { sentinel: sentinelKind, cluster: clusterKind };

/** The kind that the environment names. @returns {{ ok: true, kind: object } | { ok: false, why: string }} */
export function redisKindOf(env) {
  const name = env.SWITCHYARD_REDIS_KIND || 'sentinel';
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
  return kind === undefined
    ? { ok: false, why: `SWITCHYARD_REDIS_KIND must be ${Object.keys(kinds).join(' or ')}, not "${name}"` }
    : { ok: true, kind };
}
