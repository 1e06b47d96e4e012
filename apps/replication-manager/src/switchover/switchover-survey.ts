// What has the preflight to know? Asked anew, with commands that change nothing.
import {
  lookAtAll,
  parseInfo,
  parseReportedReplicas,
  parseSentinelView,
  readSettings,
  sameAddress,
  switchoverReading,
  type Endpoint,
  type PreflightFacts,
  type SentinelReading,
  type SwitchoverReading,
} from '@switchyard/replication';
import { RedisNodeError, type RedisNodeAdmin } from '@switchyard/redis';
import { createContacts, type Contacts } from './switchover-contacts.ts';
import type { GroupTools } from '../group-part.ts';

/** What else the preflight has to be told. */
export type KnownElsewhere = Pick<
  PreflightFacts,
  | 'to'
  | 'primary'
  | 'named'
  | 'epoch'
  | 'quorumOk'
  | 'underWay'
  | 'maintenance'
  | 'flapping'
  | 'failoverUnderWay'
  | 'lastFailoverAgoMs'
  | 'digestAgoMs'
  | 'maxLagBytes'
>;

const questionMs = 1_000;

/** Asks all nodes and Sentinels of the group; resolves within two seconds, whoever is silent. */
export const surveyGroup = async (tools: GroupTools, known: KnownElsewhere): Promise<PreflightFacts> => {
  const contacts = createContacts(tools, questionMs);
  try {
    const observation = tools.observer.observe();
    const group = tools.definition.name;
    const [nodes, sentinels] = await Promise.all([
      Promise.all(observation.nodes.map(async (at) => readNode(contacts, at))),
      Promise.all(observation.sentinels.map(async (at) => readSentinel(contacts, at, group))),
    ]);
    const fresh = observation.kind === 'sentinel' ? verdictOf(known, nodes, sentinels) : known;
    return { ...fresh, group, kind: observation.kind, managed: tools.manages, nodes, sentinels };
  } finally {
    contacts.close();
  }
};

/** Whom the majority names by these answers: the watch may have been starved for a second, the answers are of now. */
const verdictOf = (
  known: KnownElsewhere,
  nodes: readonly SwitchoverReading[],
  sentinels: readonly SentinelReading[],
): KnownElsewhere => {
  const { named, epoch } = lookAtAll(
    [],
    sentinels.map((one) => ({ ...one, inProgress: false, picks: null })),
  );
  if (named === null) return { ...known, quorumOk: false };
  const primary = nodes.find((node) => sameAddress(node, named) && node.info?.role === 'primary') ?? null;
  const agreeing = sentinels.filter((one) => one.reachable && one.tilted !== true && sameAddress(one.names, named));
  const needed = Math.max(Math.floor(sentinels.length / 2) + 1, ...sentinels.map(({ quorum }) => quorum ?? 0));
  return { ...known, named, epoch, primary, quorumOk: agreeing.length >= needed };
};

/** The answer, or null when it refuses or does not answer. */
const orNull = async <T>(asked: Promise<T>): Promise<T | null> => {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof RedisNodeError) return null;
    throw error;
  }
};

const readNode = async (contacts: Contacts, at: Endpoint): Promise<SwitchoverReading> => {
  const eye = contacts.eye(at, 'node');
  const info = await orNull(eye.info());
  if (info === null) return switchoverReading(at, { info, config: {}, mayPause: null });
  const [config, mayPause] = await Promise.all([readConfig(eye), readPermission(eye)]);
  return switchoverReading(at, { info, config, mayPause });
};

/** Of several settings with one question, which Redis answers since 7.0. */
const readConfig = async (eye: RedisNodeAdmin): Promise<Readonly<Record<string, string>>> => {
  const reply = await orNull(eye.call('CONFIG', 'GET', ...readSettings));
  const words = Array.isArray(reply) ? reply.map(String) : [];
  const pairs = words.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, words[at + 1] ?? '']] : []));
  return Object.fromEntries(pairs);
};

const readPermission = async (eye: RedisNodeAdmin): Promise<boolean | null> => {
  const user = await orNull(eye.call('ACL', 'WHOAMI'));
  if (typeof user !== 'string') return null;
  const verdict = await orNull(eye.call('ACL', 'DRYRUN', user, 'CLIENT', 'PAUSE', 1, 'WRITE'));
  return verdict === null ? null : verdict === 'OK';
};

const readSentinel = async (contacts: Contacts, at: Endpoint, group: string): Promise<SentinelReading> => {
  const eye = contacts.eye(at, 'sentinel');
  const [said, replicas, debug, info] = await Promise.all([
    orNull(eye.call('SENTINEL', 'MASTER', group)),
    orNull(eye.call('SENTINEL', 'REPLICAS', group)),
    orNull(eye.call('SENTINEL', 'DEBUG')),
    orNull(eye.info()),
  ]);
  const view = parseSentinelView(said);
  const words = Array.isArray(debug) ? debug.map(String) : [];
  const period = Number(words[words.indexOf('INFO-PERIOD') + 1]);
  const version = /^valkey_version:(\d+)/m.exec(info ?? '')?.[1];
  const { name, host, port } = at;
  return {
    name,
    host,
    port,
    reachable: view !== null,
    tilted: info === null ? null : parseInfo(info).tilted,
    names: view?.primary ?? null,
    epoch: view?.epoch ?? null,
    flags: view?.flags ?? [],
    quorum: view?.quorum ?? null,
    downAfterMs: view?.downAfterMs ?? null,
    failoverTimeoutMs: view?.failoverTimeoutMs ?? null,
    replicas: parseReportedReplicas(replicas),
    infoPeriodMs: words.includes('INFO-PERIOD') && Number.isFinite(period) ? period : null,
    valkeyMajor: version === undefined ? null : Number(version),
  };
};
