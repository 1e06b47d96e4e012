// What has to be known of a group before it may be rolled back? Everybody is asked, nothing is changed.
import { parseInfo, parseSentinelPeers, parseSentinelReplicas } from '@switchyard/replication';
import type { RollbackAddress, RollbackFacts, RollbackNodeFacts } from '@switchyard/backup';
import type { SentinelObservation } from '@switchyard/replication';
import type { RedisSettings } from '@switchyard/redis';
import { nameOf, type GroupContacts } from './group-contacts.ts';
import { majorityOf, observeSentinel, textsOf } from './group-look.ts';

/** Settings of the primary that a rollback changes for a while, as they are. */
export type PrimarySettings = Readonly<Record<(typeof watchedSettings)[number], string | null>>;

/** The group as it is now. */
export interface RollbackSurvey {
  readonly facts: Pick<RollbackFacts, 'kind' | 'primary' | 'replicas' | 'named' | 'epoch' | 'sentinels' | 'unreadable'>;
  readonly runId: string | null;
  readonly settings: PrimarySettings;
  /** What the node says as a replica; never written anywhere. */
  readonly credentials: { readonly username?: string; readonly password?: string };
}

const watchedSettings = [
  'min-replicas-to-write',
  'repl-diskless-load',
  'repl-diskless-sync-delay',
  'replica-read-only',
  'replica-serve-stale-data',
] as const;
const mostSentinels = 16;

/** Asks the Sentinels, the primary that most of them name, and its replicas. Never rejects for a node that does not answer. */
export async function surveyForRollback(
  contacts: GroupContacts,
  settings: Exclude<RedisSettings, { readonly kind: 'cluster' }>,
): Promise<RollbackSurvey> {
  const sentinels = settings.kind === 'single' ? [] : await allSentinels(contacts, settings);
  const observed = await Promise.all(sentinels.map((at) => observeSentinel(contacts, at, settings.group)));
  const tilted = await Promise.all(sentinels.map((at) => isTilted(contacts, at)));
  const { named, epoch } =
    settings.kind === 'single' ? { named: settings.endpoint, epoch: null } : majorityOf(observed, settings.group);
  const primary = named === null ? null : await readNode(contacts, named);
  const replicas = named === null ? [] : await allReplicas(contacts, { settings, sentinels, named, primary });
  const read = named === null ? nothing : await readSettings(contacts, named);
  return {
    facts: {
      kind: settings.kind,
      primary,
      replicas,
      named,
      epoch,
      sentinels: observed.map((one, at) => sentinelFacts(one, tilted[at] ?? null)),
      unreadable: [
        ...watchedSettings.filter((name) => named !== null && read[name] === null),
        ...observed.flatMap((one) =>
          one.view !== null && one.view.downAfterMs === null ? [`down-after of ${one.name}`] : [],
        ),
      ],
    },
    runId: named === null ? null : contacts.runIdOf(named),
    settings: read,
    credentials: named === null ? {} : await credentialsOf(contacts, named, settings),
  };
}

const nothing = Object.freeze(Object.fromEntries(watchedSettings.map((name) => [name, null]))) as PrimarySettings;

/** Those of the settings, and those that they know. */
async function allSentinels(
  contacts: GroupContacts,
  settings: Extract<RedisSettings, { readonly kind: 'sentinel' }>,
): Promise<readonly RollbackAddress[]> {
  const found = new Map<string, RollbackAddress>(settings.sentinels.map((at) => [nameOf(at), at]));
  const told = await Promise.all(
    settings.sentinels.map(async (at) => {
      const reply = await contacts.sentinel(at, ['SENTINEL', 'SENTINELS', settings.group]).catch(() => null);
      return parseSentinelPeers(textsOf(reply));
    }),
  );
  // A peer that is a name of one that the settings know counts once: by its port on the same machine it cannot be told.
  const ids = await Promise.all(
    settings.sentinels.map((at) => contacts.sentinel(at, ['SENTINEL', 'MYID']).then(String, () => '')),
  );
  for (const { host, port, id } of told.flat()) {
    if (!ids.includes(id) && found.size < mostSentinels) found.set(`${host}:${port}`, { host, port });
  }
  return [...found.values()];
}

async function isTilted(contacts: GroupContacts, at: RollbackAddress): Promise<boolean | null> {
  const info = await contacts.sentinel(at, ['INFO', 'sentinel']).then(String, () => null);
  return info === null ? null : !/^sentinel_tilt:0/m.test(info);
}

function sentinelFacts(one: SentinelObservation, tilted: boolean | null): RollbackFacts['sentinels'][number] {
  const { view } = one;
  return {
    at: { host: one.host, port: one.port },
    reachable: view !== null,
    tilted,
    names: view?.primary ?? null,
    inProgress: view?.flags.some((flag) => flag === 'failover_in_progress' || flag === 'o_down') ?? false,
    downAfterMs: view?.downAfterMs ?? null,
  };
}

/** Those that any Sentinel knows, and those that the primary lists; ghosts without a port are none. */
async function allReplicas(
  contacts: GroupContacts,
  group: {
    readonly settings: RedisSettings;
    readonly sentinels: readonly RollbackAddress[];
    readonly named: RollbackAddress;
    readonly primary: RollbackNodeFacts | null;
  },
): Promise<readonly RollbackNodeFacts[]> {
  const { settings, sentinels, named } = group;
  const told = await Promise.all(
    sentinels.map(async (at) => {
      const reply = await contacts.sentinel(at, ['SENTINEL', 'REPLICAS', settings.group]).catch(() => null);
      return parseSentinelReplicas(textsOf(reply)).replicas;
    }),
  );
  const info = await contacts.node(named, ['INFO', 'replication']).then(String, () => '');
  const listed = parseInfo(info).replicas;
  const found = new Map<string, RollbackAddress>();
  for (const { host, port } of [...told.flat(), ...(sentinels.length === 0 ? listed : [])]) {
    if (host !== named.host || port !== named.port) found.set(`${host}:${port}`, { host, port });
  }
  return Promise.all([...found.values()].map((at) => readNode(contacts, at)));
}

async function readNode(contacts: GroupContacts, at: RollbackAddress): Promise<RollbackNodeFacts> {
  const text = await contacts.node(at, ['INFO']).then(String, () => null);
  const info = parseInfo(text ?? '');
  return {
    ...at,
    reachable: text !== null,
    role: info.role,
    replicationId: info.lineage,
    offset: info.offset,
    follows: info.follows,
    link: info.link,
    loading: info.loading || info.syncing,
    version: info.version,
    usedMemoryBytes: fieldNumber(text, 'used_memory'),
    totalMemoryBytes: fieldNumber(text, 'total_system_memory'),
    forking: fieldNumber(text, 'rdb_bgsave_in_progress') === 1 || fieldNumber(text, 'aof_rewrite_in_progress') === 1,
    failingOver: text !== null && /^master_failover_state:(?!no-failover)/m.test(text),
    lastSaveOk: info.persistence?.lastSaveOk ?? true,
    lastAofWriteOk: info.persistence?.lastAofWriteOk ?? true,
  };
}

async function readSettings(contacts: GroupContacts, at: RollbackAddress): Promise<PrimarySettings> {
  const read = async (name: string): Promise<readonly [string, string | null]> => {
    const reply = textsOf(await contacts.node(at, ['CONFIG', 'GET', name]).catch(() => null));
    const value: unknown = Array.isArray(reply) ? reply[1] : null;
    return [name, typeof value === 'string' ? value : null];
  };
  return Object.fromEntries(await Promise.all(watchedSettings.map(read))) as PrimarySettings;
}

/** Its own masteruser and masterauth; those of the group when they may not be read. */
async function credentialsOf(
  contacts: GroupContacts,
  at: RollbackAddress,
  { username, password }: RedisSettings,
): Promise<RollbackSurvey['credentials']> {
  const read = async (name: string): Promise<string | null> => {
    const reply = textsOf(await contacts.node(at, ['CONFIG', 'GET', name]).catch(() => null));
    const value: unknown = Array.isArray(reply) ? reply[1] : null;
    return typeof value === 'string' ? value : null;
  };
  const [user, secret] = await Promise.all([read('masteruser'), read('masterauth')]);
  const name = secret === null ? username : user;
  const word = secret ?? password;
  return {
    ...(name === undefined || name === null || name === '' ? {} : { username: name }),
    ...(word === undefined || word === '' ? {} : { password: word }),
  };
}

function fieldNumber(info: string | null, name: string): number | null {
  const text = new RegExp(`^${name}:(\\d+)`, 'm').exec(info ?? '')?.[1];
  return text === undefined ? null : Number(text);
}
