// Which settings of the nodes would keep data or time, and why? Present and proposed values with reasons; nothing is set here.
import type { HealthInput, HealthNode } from './health-policy-input.ts';
import { fullSyncSeconds, primaryOf, roundedUp, sizeText } from './health-policy-input.ts';
import { settingNumber } from './health-policy-facts.ts';

/** One setting of one node. */
export interface SettingAdvice {
  readonly setting: string;
  readonly node: Pick<HealthNode, 'name' | 'host' | 'port'>;
  readonly present: string;
  /** As CONFIG SET takes it; null when it cannot be set from here. */
  readonly proposed: string | null;
  /** Of the problem that it would mend; the same for all nodes. */
  readonly code: string;
  readonly reason: string;
  /** `advice`: will hurt some day, and is among the problems of the group; `note`: could be better. */
  readonly level: 'advice' | 'note';
}

type Draft = Omit<SettingAdvice, 'node'>;
type Check = (node: HealthNode, input: HealthInput) => Draft | null;

const outputLimit = 'client-output-buffer-limit';
/** A copy, or a backlog, needs this much more than was measured: the next busy hour is busier. */
const reserve = 1.25;
/** No backlog may take more of the machine's memory. */
const mostOfMemory = 1 / 16;

/** What could be better, the gravest first; the same input gives the same list. */
export const settingsAdvice = (input: HealthInput): readonly SettingAdvice[] =>
  checks.flatMap((check) =>
    input.nodes.flatMap((node) => {
      const draft = node.settings === null ? null : check(node, input);
      return draft === null ? [] : [{ ...draft, node: { name: node.name, host: node.host, port: node.port } }];
    }),
  );

/** Memory that the backlog should have for what was written at the busiest time; null while that is not known. */
export const neededBacklogBytes = (input: HealthInput): number | null =>
  input.peakBytesPerSecond === null ? null : (input.peakBytesPerSecond * input.allowedOutageMs) / 1_000;

const valueOf = (node: HealthNode, setting: string): string => node.settings?.[setting] ?? '';
const isOff = (node: HealthNode, setting: string): boolean => valueOf(node, setting) === 'no';

const noPersistence: Check = (node) => {
  if (!isOff(node, 'appendonly') || valueOf(node, 'save') !== '') return null;
  const keys = node.vitals?.keys ?? null;
  const lost = keys === null ? 'all data' : `${String(keys)} keys`;
  const reason =
    node.role === 'primary'
      ? `nothing is written to disk: restarted, ${node.name} is empty, and as a primary it empties its replicas within a second: ${lost}`
      : `nothing is written to disk: after a failover to ${node.name}, its restart would empty all nodes: ${lost}`;
  return { setting: 'appendonly', present: 'no', proposed: 'yes', code: 'no_persistence', reason, level: 'advice' };
};

const consistencyNeedsAof: Check = (node, { policy }) => {
  if (policy !== 'consistency' || !isOff(node, 'appendonly') || valueOf(node, 'save') === '') return null;
  const changes = node.vitals?.changesSinceSave ?? null;
  const now = changes === null ? '' : ` (now ${String(changes)} changes)`;
  const reason = `the policy is consistency, but a restart of ${node.name} loses what was written since its last snapshot${now}`;
  return { setting: 'appendonly', present: 'no', proposed: 'yes', code: 'rdb_only', reason, level: 'advice' };
};

const fsyncNever: Check = (node, { policy }) => {
  if (isOff(node, 'appendonly') || !isOff(node, 'appendfsync')) return null;
  const reason = `the operating system decides when the AOF of ${node.name} reaches the disk: a power loss costs up to 30 s of writes, not 1 s`;
  const level = policy === 'consistency' ? 'advice' : 'note';
  return { setting: 'appendfsync', present: 'no', proposed: 'everysec', code: 'fsync_never', reason, level };
};

const backlogTooSmall: Check = (node, input) => {
  const need = neededBacklogBytes(input);
  const present = settingNumber(node.settings, 'repl-backlog-size');
  if (need === null || present === null || present >= need) return null;
  const memory = Math.max(node.vitals?.systemMemoryBytes ?? 0, 0) * mostOfMemory;
  const wanted = roundedUp(need * reserve);
  const proposed = memory > 0 ? Math.min(wanted, roundedUp(memory / 2)) : wanted;
  const rate = sizeText(input.peakBytesPerSecond ?? 0);
  const holdsSeconds = Math.floor((present * input.allowedOutageMs) / 1_000 / need);
  const reason =
    `${rate}/s were written at the busiest time: the backlog of ${node.name} (${sizeText(present)}) holds ${String(holdsSeconds)} s of it; ` +
    `a replica that is away for longer copies everything, and ${String(input.allowedOutageMs / 1_000)} s are to be allowed: ${sizeText(need)}`;
  return {
    setting: 'repl-backlog-size',
    present: String(present),
    proposed: proposed > present ? String(proposed) : null,
    code: 'backlog_too_small',
    reason,
    level: 'advice',
  };
};

/** Since 7.0 a replica may always owe as much as the backlog has. */
const outputBufferTooSmall: Check = (node, input) => {
  const [, hard = 0, soft = 0, softSeconds = 0] = valueOf(node, outputLimit).split(' ').map(Number);
  const source = primaryOf(input) ?? node;
  const seconds = fullSyncSeconds(source);
  const need = (input.peakBytesPerSecond ?? 0) * seconds;
  const backlog = settingNumber(node.settings, 'repl-backlog-size') ?? 0;
  const allowed = Math.max(backlog, Math.min(hard || Infinity, soft > 0 && seconds > softSeconds ? soft : Infinity));
  if (need === 0 || need <= allowed) return null;
  const proposed = roundedUp(need * 2);
  const reason =
    `a copy of everything takes about ${seconds.toFixed(0)} s; at ${sizeText(input.peakBytesPerSecond ?? 0)}/s ${node.name} has to keep ${sizeText(need)} ` +
    `for the replica meanwhile and cuts it off at ${sizeText(allowed)}: the copy then begins anew, for ever`;
  return {
    setting: outputLimit,
    present: valueOf(node, outputLimit),
    proposed: `replica ${String(proposed)} ${String(proposed / 2)} 60`,
    code: 'output_buffer_too_small',
    reason,
    level: 'advice',
  };
};

const evicts: Check = (node) => {
  const present = valueOf(node, 'maxmemory-policy');
  if (present === '' || present === 'noeviction') return null;
  const most = settingNumber(node.settings, 'maxmemory') ?? 0;
  const when = most > 0 ? `once it holds ${sizeText(most)}` : 'as soon as somebody sets maxmemory';
  const reason = `${node.name} throws keys away ${when} (${present}): registrations and jobs may vanish`;
  const level = most > 0 ? 'advice' : 'note';
  return { setting: 'maxmemory-policy', present, proposed: 'noeviction', code: 'evicting_policy', reason, level };
};

const maxMemoryDiffers: Check = (node, input) => {
  const primary = primaryOf(input);
  if (primary === null || node.role !== 'replica') return null;
  const here = settingNumber(node.settings, 'maxmemory');
  const there = settingNumber(primary.settings, 'maxmemory');
  if (here === null || there === null || here === there) return null;
  const smaller = here > 0 && (there === 0 || here < there);
  const reason =
    `${node.name} may hold ${limitText(here)}, ${primary.name} ${limitText(there)}: a replica ignores its limit until it is promoted` +
    (smaller ? ', then it refuses or evicts at once' : '');
  return {
    setting: 'maxmemory',
    present: String(here),
    proposed: smaller ? String(there) : null,
    code: 'maxmemory_differs',
    reason,
    level: smaller ? 'advice' : 'note',
  };
};

const limitText = (bytes: number): string => (bytes === 0 ? 'any amount' : sizeText(bytes));

const persistenceDiffers: Check = (node, input) => {
  const primary = primaryOf(input);
  if (primary === null || primary.settings === null || node.role !== 'replica') return null;
  const present = valueOf(node, 'appendonly');
  if (present !== 'no' || valueOf(primary, 'appendonly') !== 'yes') return null;
  const reason = `${primary.name} writes an AOF, ${node.name} does not: after a failover the same restart loses more`;
  return { setting: 'appendonly', present, proposed: 'yes', code: 'persistence_differs', reason, level: 'advice' };
};

const disklessDelay: Check = (node) => {
  const present = settingNumber(node.settings, 'repl-diskless-sync-delay') ?? 0;
  if (!(present > 0) || valueOf(node, 'repl-diskless-sync') !== 'yes') return null;
  const reason = `each copy of everything from ${node.name} begins ${String(present)} s late, in case that a second replica asks`;
  const setting = 'repl-diskless-sync-delay';
  return { setting, present: String(present), proposed: '0', code: 'diskless_delay', reason, level: 'note' };
};

const replTimeout: Check = (node, { downAfterMs }) => {
  const present = settingNumber(node.settings, 'repl-timeout');
  const ping = settingNumber(node.settings, 'repl-ping-replica-period') ?? 10;
  if (present === null) return null;
  const soonest = Math.max(ping, Math.ceil((downAfterMs ?? 0) / 1_000));
  if (present > soonest) return null;
  const reason =
    present <= ping
      ? `${node.name} drops a quiet link after ${String(present)} s, but speaks on it every ${String(ping)} s only: links flap`
      : `${node.name} drops its link after ${String(present)} s, before Sentinel calls a node down: a short pause costs a resync`;
  return {
    setting: 'repl-timeout',
    present: String(present),
    proposed: '60',
    code: 'repl_timeout_short',
    reason,
    level: present <= ping ? 'advice' : 'note',
  };
};

const hugePages: Check = ({ name, machine }) =>
  machine?.hugePages === 'always'
    ? {
        setting: 'transparent_hugepage',
        present: 'always',
        proposed: null,
        code: 'huge_pages',
        reason: `transparent huge pages are on for ${name}: a fork takes longer and copies more; echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`,
        level: 'note',
      }
    : null;

const overcommit: Check = ({ name, machine }) => {
  const present = machine?.overcommit ?? 1;
  if (present === 1) return null;
  const reason = `the kernel may refuse ${name} a fork although there is memory: sysctl vm.overcommit_memory=1`;
  return {
    setting: 'vm.overcommit_memory',
    present: String(present),
    proposed: null,
    code: 'overcommit_off',
    reason,
    level: 'note',
  };
};

const checks: readonly Check[] = [
  noPersistence,
  consistencyNeedsAof,
  persistenceDiffers,
  evicts,
  outputBufferTooSmall,
  backlogTooSmall,
  maxMemoryDiffers,
  replTimeout,
  fsyncNever,
  disklessDelay,
  hugePages,
  overcommit,
];
