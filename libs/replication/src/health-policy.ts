// What will hurt this group one day, and what helps? Each problem with its numbers; what was raised stays until it is clearly better,
// so that nothing flaps around a threshold.
import type { GroupProblem } from './group-problems.ts';
import type { HealthInput, HealthNode } from './health-policy-input.ts';
import { primaryOf, reloadSeconds, sizeText } from './health-policy-input.ts';
import { settingNumber } from './health-policy-facts.ts';
import { settingsAdvice } from './settings-advice.ts';
import { olderRelease } from './replica-plan-version.ts';

/** A problem with an identity: the same one keeps it while its numbers change. */
export interface HealthProblem extends GroupProblem {
  readonly key: string;
}

/** Asked for a key: whether this problem was there the last time. */
type Was = (key: string) => boolean;
type Check = (node: HealthNode, input: HealthInput, was: Was) => Omit<HealthProblem, 'key'> | null;

/** What is raised at 1 goes away below this: a fifth better than what it takes to be raised. */
const clearBelow = 0.8;
/** Share of the used memory that a snapshot copies, unless the node's own last one says more. */
const usualCopyShare = 0.25;
const fullShare = 0.9;
const slowForkMs = 300;
const slowReloadSeconds = 20;
/** Told by describeGroup itself, for any group, also without all these facts. */
const toldElsewhere: ReadonlySet<string> = new Set(['no_persistence', 'evicting_policy']);

/** All problems, the gravest first. `before` are the keys of the last answer. */
export const healthProblems = (input: HealthInput, before: ReadonlySet<string>): readonly HealthProblem[] => {
  const found = checks.flatMap(([code, check]) =>
    input.nodes.flatMap((node) => {
      const problem = check(node, input, (key) => before.has(key));
      return problem === null ? [] : [{ ...problem, key: keyOf(code, node) }];
    }),
  );
  return [...found, ...adviceProblems(input)];
};

const keyOf = (code: string, { name }: HealthNode): string => `${code} ${name}`;

/** One line for each thing that a setting would mend, however many nodes have it. */
const adviceProblems = (input: HealthInput): readonly HealthProblem[] => {
  const grave = settingsAdvice(input).filter(({ level, code }) => level === 'advice' && !toldElsewhere.has(code));
  return [...new Set(grave.map(({ code }) => code))].flatMap((code) => {
    const all = grave.filter((one) => one.code === code);
    const [first] = all;
    if (first === undefined) return [];
    const others = all.slice(1).map(({ node }) => node.name);
    const also = others.length === 0 ? '' : ` (the same on ${others.join(', ')})`;
    const next =
      first.proposed === null
        ? `${first.setting} cannot be raised further: the machine has too little memory`
        : `POST /v1/redis/groups/{group}/settings { "apply": ["${first.setting}"] } sets ${first.proposed}`;
    return [{ key: code, code, detail: `${first.reason}${also}`, next, advice: true }];
  });
};

const warn = (code: string, detail: string, next: string): Omit<HealthProblem, 'key'> => ({
  code,
  detail,
  next,
  advice: true,
});

/** Whether a ratio of need to have is one to speak of. */
const exceeds = (ratio: number, raised: boolean): boolean => ratio >= (raised ? clearBelow : 1);

const versionOlder: Check = (node, input) => {
  const primary = primaryOf(input);
  if (primary === null || node.role !== 'replica') return null;
  if (olderRelease(node.version, primary.version)) {
    return {
      ...warn(
        'version_older',
        `${node.name} runs ${String(node.version)}, its primary ${primary.name} ${String(primary.version)}: an older server may be unable to load the snapshot of a newer one`,
        `upgrade ${node.name} first: replicas before the primary`,
      ),
      advice: false,
    };
  }
  return olderRelease(primary.version, node.version)
    ? warn(
        'version_mix',
        `${node.name} runs ${String(node.version)}, its primary ${primary.name} ${String(primary.version)}: after a failover to ${node.name} there is no way back to ${primary.name}`,
        'finish the upgrade: the other replicas, then a switchover, then the old primary',
      )
    : null;
};

const rewriteFails: Check = ({ name, vitals }) =>
  vitals?.lastRewriteOk === false
    ? warn(
        'aof_rewrite_failed',
        `the last AOF rewrite of ${name} failed: the AOF (${sizeText(vitals.aofBytes ?? 0)}) grows without end`,
        'read its log: most often the disk is full or a fork was refused for lack of memory',
      )
    : null;

const forkHeadroom: Check = (node, { nodes }, was) => {
  const used = node.vitals?.usedMemoryBytes ?? null;
  const system = node.vitals?.systemMemoryBytes ?? null;
  if (used === null || system === null || system === 0) return null;
  const share = Math.max(usualCopyShare, (node.vitals?.copyOnWriteBytes ?? 0) / Math.max(used, 1));
  const copies = used * Math.min(1, share);
  // Nodes on the same host share its memory.
  const together = nodes
    .filter(({ host }) => host === node.host)
    .reduce((sum, one) => sum + (one.vitals?.rssBytes ?? 0), 0);
  const ratio = (together + copies) / (fullShare * system);
  if (!exceeds(ratio, was(keyOf('fork_headroom', node)))) return null;
  return warn(
    'fork_headroom',
    `${node.name} needs about ${sizeText(copies)} more while it writes a snapshot (${Math.round(share * 100)} % of ${sizeText(used)} copied on write), ` +
      `but its machine has ${sizeText(system)} and its Redis nodes use ${sizeText(together)}: a save, a rewrite or a copy for a replica may be killed`,
    'give the machine more memory, or lower maxmemory and what is stored',
  );
};

const memoryFull: Check = (node, _input, was) => {
  const most = settingNumber(node.settings, 'maxmemory') ?? 0;
  const used = node.vitals?.usedMemoryBytes ?? null;
  if (most === 0 || used === null || node.role !== 'primary') return null;
  if (!exceeds(used / (fullShare * most), was(keyOf('memory_full', node)))) return null;
  const keeps = node.settings?.['maxmemory-policy'] === 'noeviction';
  return warn(
    'memory_full',
    `${node.name} uses ${sizeText(used)} of the ${sizeText(most)} it may: soon ${keeps ? 'it refuses writes' : 'keys are thrown away'}`,
    'raise maxmemory if the machine has room, or store less',
  );
};

const diskHeadroom: Check = (node, _input, was) => {
  const free = node.machine?.diskFreeBytes ?? null;
  const used = node.vitals?.usedMemoryBytes ?? null;
  if (free === null || used === null) return null;
  // A snapshot and a rewritten AOF are both written anew before the old file goes; neither is larger than the data in memory, mostly.
  const files = (node.settings?.['save'] === '' ? 0 : 1) + (node.settings?.['appendonly'] === 'yes' ? 1 : 0);
  const need = files * used + (node.vitals?.aofBytes ?? 0) / 2;
  if (need === 0 || !exceeds(need / Math.max(free, 1), was(keyOf('disk_headroom', node)))) return null;
  return warn(
    'disk_headroom',
    `the disk of ${node.name} has ${sizeText(free)} left; the next save and rewrite may take ${sizeText(need)}: when one fails, Redis refuses writes`,
    'free or add disk space',
  );
};

const slowFork: Check = (node, { downAfterMs }, was) => {
  const took = node.vitals?.forkMs ?? null;
  const limit = Math.min(slowForkMs, (downAfterMs ?? Infinity) / 2);
  if (took === null || !exceeds(took / limit, was(keyOf('fork_slow', node)))) return null;
  const dead = downAfterMs === null ? '' : `; after ${String(downAfterMs)} ms Sentinel takes it for dead`;
  return warn(
    'fork_slow',
    `${node.name} answered nothing for ${took.toFixed(0)} ms while it forked${dead}`,
    'turn transparent huge pages off on its machine; keep less data in one node; raise down-after',
  );
};

const slowReload: Check = (node, { downAfterMs }, was) => {
  if (node.role !== 'primary') return null;
  const seconds = reloadSeconds(node);
  if (!exceeds(seconds / slowReloadSeconds, was(keyOf('slow_reload', node)))) return null;
  const dead = downAfterMs === null ? '' : ` (down-after ${String(downAfterMs)} ms)`;
  return warn(
    'slow_reload',
    `restarted, ${node.name} would load for about ${seconds.toFixed(0)} s (${sizeText(node.vitals?.usedMemoryBytes ?? 0)}); ` +
      `Sentinel takes a node that loads for one that lives, so nobody takes over meanwhile${dead}`,
    'before a planned restart do a switchover; after a crash that restarts it at once, ask for a failover',
  );
};

const checks: readonly (readonly [string, Check])[] = [
  ['version_older', versionOlder],
  ['aof_rewrite_failed', rewriteFails],
  ['disk_headroom', diskHeadroom],
  ['fork_headroom', forkHeadroom],
  ['memory_full', memoryFull],
  ['fork_slow', slowFork],
  ['slow_reload', slowReload],
];
