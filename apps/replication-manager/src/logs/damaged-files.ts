// Did a node go because its files are damaged, and is it whole again? The part of a group that reads the log of a node that is gone, says
// what is wrong with its files and what next, and compares its data once it is back. Nothing is changed here: the node's own start puts its
// files aside (tools/dev, docker/redis), or a person does.
import type { RedisNodeView } from '@switchyard/protocol';
import {
  addressKey,
  damageIn,
  type DataDamage,
  type GroupProblem,
  type NodeObservation,
} from '@switchyard/replication';
import type { Consistency } from '../consistency/consistency.ts';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';
import { createDockerLogs } from './log-evidence-docker.ts';
import { logFileOf } from './log-evidence-files.ts';
import type { LogEvidenceSettings } from './log-evidence.ts';
import { logFilesOf, logOf } from './log-source.ts';

/** A log is read so often while its node is gone. */
const readEveryMs = 3_000;
/** What a container said so lately. */
const windowMs = 120_000;
/** Another comparison is under way. */
const compareAgainMs = 3_000;
const compareDeadlineMs = 600_000;
/** Of more keys than that a sample is compared. */
const sampling = { above: 100_000, keys: 20_000 } as const;
const mostNodes = 64;

interface Damaged {
  readonly node: NodeObservation;
  readonly damage: DataDamage;
  readonly dir: string | undefined;
  comparing: 'no' | 'under-way';
  triedAtMs: number;
}

/** The part. */
export const createDamagedFiles = (
  tools: GroupTools,
  settings: LogEvidenceSettings,
  consistency: Pick<Consistency, 'check'>,
): GroupPart => {
  const { clock, logger, definition, observer } = tools;
  const group = definition.name;
  const docker = settings.dockerSocket === undefined ? null : createDockerLogs(settings.dockerSocket);
  const files = logFilesOf(group === settings.group ? settings.logFiles : []);
  const stopped = new AbortController();
  /** Where a node keeps its log, as it said while it answered. */
  const logs = new Map<string, string | undefined>();
  const damaged = new Map<string, Damaged>();
  const readAtMs = new Map<string, number>();
  const asking = new Set<string>();
  let last: GroupLook | null = null;

  const begin = (key: string, work: () => Promise<void>): void => {
    if (asking.has(key)) return;
    asking.add(key);
    void work()
      .catch((error: unknown) => logger.debug({ group, node: key, err: error }, 'redis.damage_unread'))
      .finally(() => asking.delete(key));
  };

  const learn = (node: NodeObservation): void => {
    const key = addressKey(node);
    const admin = observer.nodeAt(node);
    if (logs.has(key) || logs.size >= mostNodes || admin === undefined) return;
    begin(key, async () => void logs.set(key, await admin.configGet('logfile')));
  };

  const read = (node: NodeObservation): void => {
    const key = addressKey(node);
    const nowMs = clock.monotonicMs();
    if (damaged.has(key) || nowMs - (readAtMs.get(key) ?? -Infinity) < readEveryMs) return;
    readAtMs.set(key, nowMs);
    begin(key, async () => {
      const { name, host, port } = node;
      const dir = node.config?.['dir'];
      const file = () => Promise.resolve(logFileOf({ logfile: logs.get(key), dir }));
      const toMs = clock.unixMs();
      const log = await logOf({ name, host, port, file }, { fromMs: toMs - windowMs, toMs }, { docker, files });
      const damage = log === null ? null : damageIn(log.text);
      if (damage === null) return;
      damaged.set(key, { node, damage, dir, comparing: 'no', triedAtMs: -Infinity });
      logger.error({ group, node: name, ...damage }, 'redis.data_files_damaged');
      tools.wake();
    });
  };

  const compare = (one: Damaged, name: string): void => {
    if (one.comparing === 'under-way' || clock.monotonicMs() - one.triedAtMs < compareAgainMs) return;
    one.comparing = 'under-way';
    one.triedAtMs = clock.monotonicMs();
    const input = { nodes: [name], digest: true };
    const cause = `${name} began anew: its files were damaged`;
    void consistency
      .check({ input, cause, deadlineMs: compareDeadlineMs, sampling }, { signal: stopped.signal, progress: () => {} })
      .then((checked) => {
        const found = checked.ok ? checked.value.nodes.find(({ node }) => node === name) : undefined;
        if (found === undefined || found.verdict === 'unknown') return;
        damaged.delete(addressKey(one.node));
        const { verdict, digest, keys } = found;
        logger.warn({ group, node: name, verdict, digest, keys }, 'redis.damaged_node_back');
      })
      .catch((error: unknown) => logger.warn({ group, node: name, err: error }, 'redis.damaged_node_not_compared'))
      .finally(() => {
        one.comparing = 'no';
      });
  };

  return {
    name: 'damaged-files',
    look(look) {
      last = look;
      for (const node of look.observation.nodes) {
        const seen = look.view.nodes.find((one) => addressKey(one) === addressKey(node));
        if (node.failure === null && node.info !== null) learn(node);
        if (node.failure?.kind === 'gone') read(node);
        const one = damaged.get(addressKey(node));
        if (one === undefined || node.failure !== null || node.info?.loading !== false) continue;
        if (node.info.role === 'primary') damaged.delete(addressKey(node));
        else if (node.info.link === 'up' && seen !== undefined && seen.state === 'ok') compare(one, seen.name);
      }
      for (const key of damaged.keys()) {
        if (!look.observation.nodes.some((node) => addressKey(node) === key)) damaged.delete(key);
      }
    },
    findings: () => ({
      problems: [...damaged.values()].map((one) => problemOf(one, last)),
      nodes: [],
    }),
    stop() {
      stopped.abort();
      return Promise.resolve();
    },
  };
};

const problemOf = ({ node, damage, dir }: Damaged, look: GroupLook | null): GroupProblem => {
  const { name } = node;
  const view = look?.view;
  const seen = view?.nodes.find((one) => addressKey(one) === addressKey(node));
  const what = damage.file === null ? 'its data files are damaged' : `its file ${damage.file} is damaged`;
  const words = damage.line.replace(/^\d+:\S+ .*? [.\-*#] /, '');
  return {
    code: 'corrupt_data_files',
    detail: `${name} could not start because ${what}: ${words}`,
    next: nextOf({ name, dir, seen, primary: view?.primary?.name ?? null }),
    advice: false,
  };
};

const nextOf = (facts: {
  readonly name: string;
  readonly dir: string | undefined;
  readonly seen: RedisNodeView | undefined;
  readonly primary: string | null;
}): string => {
  const { name, dir = 'its data directory', seen, primary } = facts;
  if (seen !== undefined && seen.state !== 'unreachable') {
    return 'it has begun anew and is compared when its copy is whole; the files that were put aside may go then';
  }
  if (primary !== null && primary !== name) {
    return `${primary} has the data: the yard and the containers put the files aside by themselves; elsewhere: cd ${dir} && mkdir damaged && mv dump.rdb appendonlydir damaged/ and start it, it copies everything`;
  }
  return `nobody else is known to have its data: keep a copy of ${dir}, then redis-check-aof --fix or redis-check-rdb on it, or restore a backup (POST /v1/restores)`;
};
