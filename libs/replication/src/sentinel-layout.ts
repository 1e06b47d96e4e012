// Can this number and placing of Sentinels and replicas bear a failure? And do their settings let them?
import { shortestDownAfterMs } from '@switchyard/protocol';
import { sameAddress } from './address.ts';
import { isSeen } from './observation.ts';
import { awareSentinels, suspicion, type AilmentInput, type Suspicion } from './sentinel-ailments.ts';

/** A host of numbers, or a name: names leave DNS when a container stops, and Sentinel then cannot fail over (redis#12753). */
const isIp = (host: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(host) || host.includes(':');
const isLoopback = (host: string): boolean => /^127\.|^::1$|^localhost$/.test(host);
const hostOf = (host: string): string => (isLoopback(host) ? 'loopback' : host);

/** Numbers, machines, priorities, settings. All of it is advice but what stops a failover altogether. */
export const layoutSuspicions = (input: AilmentInput): readonly Suspicion[] => [
  ...counts(input),
  ...machines(input),
  ...priorities(input),
  ...timings(input),
  ...names(input),
];

const counts = ({ group }: AilmentInput): readonly Suspicion[] => {
  const count = group.sentinels.length;
  const next = 'run three, on three machines';
  if (count === 1) {
    return [
      suspicion(
        { code: 'one_sentinel', detail: 'one Sentinel alone: when it is away, nothing is mended', next },
        { advice: true },
      ),
    ];
  }
  if (count === 2) {
    const detail = 'two Sentinels need each other: with either away, nothing is mended';
    return [suspicion({ code: 'two_sentinels', detail, next }, { advice: true })];
  }
  if (count % 2 === 1 || count === 0) return [];
  const detail = `${String(count)} Sentinels bear no more failures than ${String(count - 1)}`;
  return [suspicion({ code: 'even_sentinels', detail, next: 'add one, or take one out' }, { advice: true })];
};

const machines = ({ group }: AilmentInput): readonly Suspicion[] => {
  if (group.sentinels.length < 2) return [];
  const sentinelHosts = new Set(group.sentinels.map(({ host }) => hostOf(host)));
  const hosts = new Set([...group.nodes.map(({ host }) => hostOf(host)), ...sentinelHosts]);
  if (hosts.size === 1) {
    const detail =
      'all nodes and Sentinels are on one machine: its loss is the loss of everything (fine for development)';
    return [suspicion({ code: 'single_host', detail, next: 'see docs/redis.md, modes M1 and M2' }, { advice: true })];
  }
  if (sentinelHosts.size >= 3) return [];
  const detail = `the Sentinels are on ${sentinelHosts.size === 1 ? 'one machine' : 'two machines'}: without the one that has most of them nobody fails over`;
  const next =
    'run one Sentinel on a third machine, however small; until then failovers are assisted: POST /v1/redis/groups/{group}/failover';
  return [suspicion({ code: 'two_hosts_no_witness', detail, next }, { advice: true })];
};

const priorities = ({ group, nowMs, limits }: AilmentInput): readonly Suspicion[] => {
  const replicas = group.nodes.filter(
    (node) => isSeen(node, nowMs, limits.staleAfterMs) && node.info?.role === 'replica',
  );
  if (replicas.length === 0 || replicas.some((node) => node.info?.priority !== 0)) return [];
  const detail = 'every replica has replica-priority 0: none may ever become primary';
  return [
    suspicion({ code: 'priority_zero_everywhere', detail, next: 'CONFIG SET replica-priority 100 on those that may' }),
  ];
};

const timings = (input: AilmentInput): readonly Suspicion[] =>
  awareSentinels(input).flatMap(({ name, view }) => {
    const { downAfterMs, failoverTimeoutMs, group } = view;
    const found: Suspicion[] = [];
    if (downAfterMs !== null && downAfterMs < shortestDownAfterMs) {
      const detail = `Sentinel ${name} has down-after ${String(downAfterMs)} ms: a busy moment counts as a death, and failovers follow each other`;
      const next = `SENTINEL SET ${group} down-after-milliseconds 1000`;
      found.push(suspicion({ code: 'down_after_too_short', detail, next }, { about: name, advice: true }));
    }
    if (downAfterMs !== null && failoverTimeoutMs !== null && failoverTimeoutMs < 3 * downAfterMs) {
      const detail = `Sentinel ${name} has failover-timeout ${String(failoverTimeoutMs)} ms, less than three times its down-after: attempts are given up before they can end`;
      const next = `SENTINEL SET ${group} failover-timeout ${String(Math.max(15_000, 3 * downAfterMs))}`;
      found.push(suspicion({ code: 'short_failover_timeout', detail, next }, { about: name, advice: true }));
    }
    return found;
  });

const names = (input: AilmentInput): readonly Suspicion[] => {
  const { group } = input;
  const aware = awareSentinels(input);
  const announced = [
    ...aware.map(({ view }) => view.primary),
    ...aware.flatMap(({ replicas }) => replicas),
    ...aware.flatMap(({ peers }) => peers),
  ].filter(({ host }) => !isIp(host));
  const hosts = [...new Set(announced.map(({ host }) => host))];
  if (hosts.length === 0) return [];
  const nodes = group.nodes.filter((node) => announced.some((at) => sameAddress(at, node))).map((node) => node.name);
  const detail = `announced by name: ${hosts.slice(0, 5).join(', ')}${nodes.length === 0 ? '' : ` (${nodes.slice(0, 5).join(', ')})`}; a name that leaves DNS when its container stops blocks the failover`;
  return [
    suspicion(
      { code: 'announced_by_name', detail, next: 'give them fixed addresses and announce those' },
      { advice: true },
    ),
  ];
};
